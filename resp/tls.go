package resp

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/raftredis/raftredis/resp/directive"
)

// secrets is what the TLS port shows to clients and asks of them. The files are
// looked at in each handshake and read again when they have changed, so that a
// renewed certificate needs neither a restart nor a command. What cannot be used
// (a certificate whose key has not been written yet) is logged and leaves clients
// with what there was before.
type secrets struct {
	log *zap.Logger
	now func() time.Time

	mu  sync.Mutex // one reads files at a time
	cur atomic.Pointer[tlsState]
}

// tlsState is what was read from the files. It does not change.
type tlsState struct {
	config *tls.Config
	from   tlsSettings
	stamps []os.FileInfo // of the files as they were read; nil: there was none
}

// tlsSettings are the directives that a tlsState follows from.
type tlsSettings struct {
	cert, key, ca, auth, protocols string
}

func (c *Config) tlsSettings() tlsSettings {
	return tlsSettings{c.TLSCertFile, c.TLSKeyFile, c.TLSCAFile, c.TLSAuthClients, c.TLSProtocols}
}

// CheckTLS reads the files that the TLS directives name, as a server with a TLS
// port does. warning says what clients and members may hold against the node's
// own certificate: that its time is over, or has not come.
func CheckTLS(c *Config, now time.Time) (warning string, err error) {
	s, err := readTLS(c.tlsSettings())
	if err != nil {
		return "", err
	}
	return s.warning(now), nil
}

// readTLS is also the place where the directives are checked against each other.
func readTLS(from tlsSettings) (*tlsState, error) {
	if from.cert == "" || from.key == "" {
		return nil, errors.New("TLS needs tls-cert-file and tls-key-file")
	}
	// Before they are read: a change in between is then seen next time.
	s := &tlsState{from: from, stamps: from.stamps()}
	cert, err := tls.LoadX509KeyPair(from.cert, from.key)
	if err != nil {
		return nil, fmt.Errorf("tls-cert-file, tls-key-file: %w", err)
	}
	s.config = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	if from.protocols != "" {
		if s.config.MinVersion, s.config.MaxVersion, err = parseProtocols(from.protocols); err != nil {
			return nil, fmt.Errorf("tls-protocols: %w", err)
		}
	}
	switch from.auth {
	case "yes":
		s.config.ClientAuth = tls.RequireAndVerifyClientCert
	case "optional":
		s.config.ClientAuth = tls.VerifyClientCertIfGiven
	default:
		return s, nil
	}
	if from.ca == "" {
		return nil, errors.New("TLS needs tls-ca-cert-file to check the certificates of clients (or tls-auth-clients no)")
	}
	pem, err := os.ReadFile(from.ca)
	if err != nil {
		return nil, fmt.Errorf("tls-ca-cert-file: %w", err)
	}
	s.config.ClientCAs = x509.NewCertPool()
	if !s.config.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("tls-ca-cert-file: %s has no certificate", from.ca)
	}
	return s, nil
}

// parseProtocols reads tls-protocols: the versions of TLS that are allowed.
// Those between the lowest and the highest are, too.
func parseProtocols(words string) (lowest, highest uint16, err error) {
	versions := map[string]uint16{
		"tlsv1": tls.VersionTLS10, "tlsv1.1": tls.VersionTLS11, "tlsv1.2": tls.VersionTLS12, "tlsv1.3": tls.VersionTLS13,
	}
	for _, word := range strings.Fields(words) {
		v, ok := versions[strings.ToLower(word)]
		if !ok {
			return 0, 0, fmt.Errorf("there is no protocol %s: TLSv1.2, TLSv1.3", word)
		}
		if lowest == 0 || v < lowest {
			lowest = v
		}
		highest = max(highest, v)
	}
	return lowest, highest, nil
}

// stamps tell whether the files are still those that were read.
func (t tlsSettings) stamps() []os.FileInfo {
	var all []os.FileInfo
	for _, path := range []string{t.cert, t.key, t.ca} {
		info, err := os.Stat(path)
		if err != nil {
			info = nil // whoever reads the file says why
		}
		all = append(all, info)
	}
	return all
}

func sameStamp(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

// warning says what is wrong with the time of the node's own certificate.
func (s *tlsState) warning(now time.Time) string {
	leaf := s.config.Certificates[0].Leaf
	switch {
	case now.After(leaf.NotAfter):
		return fmt.Sprintf("the certificate in %s has expired on %s: whoever checks it will refuse this node",
			s.from.cert, leaf.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(leaf.NotBefore):
		return fmt.Sprintf("the certificate in %s is not valid before %s: whoever checks it will refuse this node",
			s.from.cert, leaf.NotBefore.UTC().Format(time.RFC3339))
	}
	return ""
}

// use makes s what clients see from now on.
func (x *secrets) use(s *tlsState) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.cur.Store(s)
}

// forClient is tls.Config.GetConfigForClient.
func (x *secrets) forClient(*tls.ClientHelloInfo) (*tls.Config, error) {
	s := x.cur.Load()
	if slices.EqualFunc(s.stamps, s.from.stamps(), sameStamp) {
		return s.config, nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if now := x.cur.Load(); now != s {
		return now.config, nil // somebody else was faster
	}
	stamps := s.from.stamps()
	fresh, err := readTLS(s.from)
	if err != nil {
		x.log.Warn("the TLS files have changed and cannot be used: going on with what they were", zap.Error(err))
		fresh = &tlsState{config: s.config, from: s.from, stamps: stamps}
	} else {
		x.log.Info("the TLS files have changed and were read again", zap.String("certificate", s.from.cert))
		if w := fresh.warning(x.now()); w != "" {
			x.log.Warn(w)
		}
	}
	x.cur.Store(fresh)
	return fresh.config, nil
}

// isTLS says that CONFIG SET of the directive is changeTLS's business.
func isTLS(d *directive.Directive) bool {
	return d.Owner == directive.Front && strings.HasPrefix(d.Name, "tls-")
}

// changeTLS is CONFIG SET of TLS directives, the port among them: the files are
// read (again, if the names are the same), or nothing changes. The errors' texts
// are Redis's; the log has the reasons. Called with cfgMu held.
func (s *Server) changeTLS(next *Config) error {
	now := s.config()
	if s.opts.PeersUseTLS && (next.TLSCertFile != now.TLSCertFile || next.TLSKeyFile != now.TLSKeyFile || next.TLSCAFile != now.TLSCAFile) {
		return errors.New("the members use the same files: replace their contents, or start the node with other names")
	}
	before := s.secrets.cur.Load()
	if next.TLSPort != 0 {
		state, err := readTLS(next.tlsSettings())
		if err != nil {
			s.log.Warn("CONFIG SET: the TLS files cannot be used", zap.Error(err))
			return errors.New("Unable to update TLS configuration. Check server logs.")
		}
		if w := state.warning(s.now()); w != "" {
			s.log.Warn(w)
		}
		s.secrets.use(state)
	}
	if next.TLSPort == now.TLSPort {
		return nil
	}
	if err := s.moveTLS(next); err != nil {
		s.log.Warn("CONFIG SET: no other TLS port", zap.Error(err))
		s.secrets.use(before)
		return errors.New("Unable to listen on this port. Check server logs.")
	}
	return nil
}
