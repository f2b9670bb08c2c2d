package resp

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// tlsFiles are a certificate and its key in a directory.
type tlsFiles struct{ cert, key string }

// newTLSFiles makes a self-signed certificate that is valid until then.
func newTLSFiles(t *testing.T, until time.Time) tlsFiles {
	t.Helper()
	dir := t.TempDir()
	f := tlsFiles{filepath.Join(dir, "node.crt"), filepath.Join(dir, "node.key")}
	f.renew(t, 1, until)
	return f
}

// renew puts another certificate there, as what comes in the place of a file: the
// certificate first, and then its key.
func (f tlsFiles) renew(t *testing.T, serial int64, until time.Time) {
	t.Helper()
	cert, key := newCertificate(t, serial, until)
	replace(t, f.cert, cert)
	replace(t, f.key, key)
}

func newCertificate(t *testing.T, serial int64, until time.Time) (cert, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotBefore: until.Add(-48 * time.Hour), NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}

func replace(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// newTLSServer returns a server with a TLS port alone.
func newTLSServer(t *testing.T, f tlsFiles) *Server {
	t.Helper()
	s, _ := newServer(t, func(o *Options) {
		o.Config.Port, o.Config.TLSPort = 0, freePort(t)
		o.Config.TLSCertFile, o.Config.TLSKeyFile, o.Config.TLSAuthClients = f.cert, f.key, "no"
	})
	return s
}

// secure connects to the TLS port, which is the first.
func secure(t *testing.T, s *Server) (*client, *tls.Conn) {
	t.Helper()
	c := dial(t, s)
	conn := tls.Client(c.Conn, &tls.Config{InsecureSkipVerify: true})
	if err := conn.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	return &client{t: t, Conn: conn}, conn
}

// serial is the number of the certificate that a new client sees.
func serial(t *testing.T, s *Server) int64 {
	t.Helper()
	_, conn := secure(t, s)
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

func tomorrow() time.Time { return time.Now().Add(24 * time.Hour) }

// TestTLSFilesChange: what is renewed on disk is what new clients see, those that
// are there stay, and what cannot be used changes nothing.
func TestTLSFilesChange(t *testing.T) {
	f := newTLSFiles(t, tomorrow())
	s := newTLSServer(t, f)
	c, _ := secure(t, s)
	see := func(want int64) {
		t.Helper()
		for range 2 {
			if got := serial(t, s); got != want {
				t.Fatalf("a client sees certificate %d, not %d", got, want)
			}
		}
		c.ask("PING\r\n", "+PONG\r\n")
	}
	see(1)
	f.renew(t, 2, tomorrow())
	see(2)
	cert, key := newCertificate(t, 3, tomorrow())
	replace(t, f.cert, cert)
	see(2) // the key is not there yet
	replace(t, f.key, key)
	see(3)
	replace(t, f.key, []byte("nonsense"))
	see(3)
	if err := os.Remove(f.cert); err != nil {
		t.Fatal(err)
	}
	see(3)
	f.renew(t, 4, tomorrow())
	see(4)
}

// TestConfigSetTLS: other files, both at once; Redis's errors, which change nothing;
// another port.
func TestConfigSetTLS(t *testing.T) {
	f, g := newTLSFiles(t, tomorrow()), newTLSFiles(t, tomorrow())
	g.renew(t, 7, tomorrow())
	s := newTLSServer(t, f)
	c, _ := secure(t, s)
	set := func(reply string, words ...string) {
		t.Helper()
		c.ask("CONFIG SET "+strings.Join(words, " ")+"\r\n", reply+"\r\n")
	}
	const bad = "-ERR CONFIG SET failed (possibly related to argument '%s') - %s"
	update := "Unable to update TLS configuration. Check server logs."
	set(fmt.Sprintf(bad, "tls-cert-file", update), "tls-cert-file", g.cert) // the key is another's
	set(fmt.Sprintf(bad, "tls-key-file", update), "tls-key-file", "/nowhere", "tls-cert-file", g.cert)
	set(fmt.Sprintf(bad, "tls-auth-clients", update), "tls-auth-clients", "yes") // of which authority?
	if got := serial(t, s); got != 1 {
		t.Fatalf("a client sees certificate %d after changes that failed", got)
	}
	set("+OK", "tls-cert-file", g.cert, "tls-key-file", g.key)
	if got := serial(t, s); got != 7 {
		t.Fatalf("a client sees certificate %d, not the new file's", got)
	}
	set("+OK", "tls-protocols", "TLSv1.2")
	if _, conn := secure(t, s); conn.ConnectionState().Version != tls.VersionTLS12 {
		t.Fatal("TLS 1.3 is spoken, which has been forbidden")
	}

	old := s.Addrs()[0].String()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	set(fmt.Sprintf(bad, "tls-port", "Unable to listen on this port. Check server logs."), "tls-port", fmt.Sprint(taken.Addr().(*net.TCPAddr).Port))
	serial(t, s)
	set("+OK", "tls-port", fmt.Sprint(freePort(t)))
	if now := s.Addrs()[0].String(); now == old {
		t.Fatalf("still on %s", now)
	}
	serial(t, s)
	if nc, err := net.Dial("tcp", old); err == nil {
		_ = nc.Close()
		t.Fatal("the old TLS port is still open")
	}
	set("+OK", "tls-port", "0")
	if left := s.Addrs(); len(left) != 0 {
		t.Fatalf("still listening on %v", left)
	}
	c.ask("PING\r\n", "+PONG\r\n")
}

// TestMembersCertificate: what the links between members use is not half changed.
func TestMembersCertificate(t *testing.T) {
	f, g := newTLSFiles(t, tomorrow()), newTLSFiles(t, tomorrow())
	s, _ := newServer(t, func(o *Options) {
		o.PeersUseTLS = true
		o.Config.TLSCertFile, o.Config.TLSKeyFile = f.cert, f.key
	})
	c := dial(t, s)
	c.ask("CONFIG SET tls-cert-file "+g.cert+" tls-key-file "+g.key+"\r\n",
		"-ERR CONFIG SET failed (possibly related to argument 'tls-cert-file') - the members use the same files: replace their contents, or start the node with other names\r\n")
	c.ask("CONFIG SET tls-cert-file "+f.cert+"\r\n", "+OK\r\n")
}

func TestCheckTLS(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		until time.Time
		want  string
	}{
		{now.Add(time.Hour), ""},
		{now.Add(-time.Hour), "has expired on"},
		{now.Add(72 * time.Hour), "is not valid before"},
	} {
		f := newTLSFiles(t, c.until)
		warning, err := CheckTLS(&Config{TLSCertFile: f.cert, TLSKeyFile: f.key, TLSAuthClients: "no"}, now)
		if err != nil || (warning == "") != (c.want == "") || !strings.Contains(warning, c.want) {
			t.Errorf("valid until %v: %q, %v, wanted ... %s ...", c.until, warning, err, c.want)
		}
	}
	f := newTLSFiles(t, now)
	for want, c := range map[string]Config{
		"needs tls-cert-file and tls-key-file": {TLSCertFile: f.cert},
		"tls-cert-file, tls-key-file: ":        {TLSCertFile: f.cert, TLSKeyFile: f.cert},
		"needs tls-ca-cert-file":               {TLSCertFile: f.cert, TLSKeyFile: f.key, TLSAuthClients: "optional"},
		"has no certificate":                   {TLSCertFile: f.cert, TLSKeyFile: f.key, TLSCAFile: f.key, TLSAuthClients: "yes"},
	} {
		if _, err := CheckTLS(&c, now); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, wanted ... %s ...", c, err, want)
		}
	}
}

func TestTLS(t *testing.T) {
	s := newTLSServer(t, newTLSFiles(t, tomorrow()))
	c, _ := secure(t, s)
	other, _ := secure(t, s)
	c.ask("SET a 1\r\nGET a\r\nINCR a\r\n", "+OK\r\n$1\r\n1\r\n:2\r\n")

	other.send("BZPOPMIN q 0\r\n")
	waitBlocked(t, s, 1)
	c.ask("ZADD q 1 a\r\n", ":1\r\n")
	other.expect("*3\r\n$1\r\nq\r\n$1\r\na\r\n$1\r\n1\r\n")
	other.ask("PING\r\n", "+PONG\r\n")

	value := strings.Repeat("v", 10_000)
	c.ask("SET k "+value+"\r\n", "+OK\r\n")
	const n = 2_000
	c.send(strings.Repeat("GET k\r\n", n))
	reply := fmt.Sprintf("$%d\r\n%s\r\n", len(value), value)
	got := make([]byte, len(reply))
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	for i := range n {
		if _, err := io.ReadFull(c, got); err != nil || string(got) != reply {
			t.Fatalf("reply %d: %v", i, err)
		}
	}
	// Somebody who does not speak TLS gets nowhere, and nobody else notices.
	plain := dial(t, s)
	plain.send("PING\r\n")
	plain.expectEOF()
	c.ask("PING\r\n", "+PONG\r\n")
}
