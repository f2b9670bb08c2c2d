package raftnode

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

const testSecret = "correct horse battery staple"

func withSecret(secret string) func(*Config) {
	return func(c *Config) {
		c.PeerSecret = secret
		smallLogs(c)
	}
}

// Members with one secret are a cluster, with everything that goes between them, and
// whoever does not know it gets to nothing.
func TestPeersWithSecret(t *testing.T) {
	ms := newCluster(t, 3, withSecret(testSecret))
	l := leader(t, ms)
	behind := remove(ms, l)[0]
	behind.stop()
	fill(l, "r", 40)
	behind.start() // gets a snapshot
	sameRequests(t, ms)
	remove(ms, l)[1].propose("forwarded")
	remove(ms, l)[1].propose("large " + strings.Repeat("x", 3<<20))
	sameRequests(t, ms)

	at := strings.TrimPrefix(l.cfg.Peers[0].URL, "http://")
	other := Config{Dir: t.TempDir(), PeerSecret: testSecret + "!"}
	files, err := secretTLS(&other)
	if err != nil {
		t.Fatal(err)
	}
	wrong := tlsInfo(files)
	for what, info := range map[string]transport.TLSInfo{
		"no TLS": {}, "no certificate": {ServerName: secretName, InsecureSkipVerify: true}, "another secret": wrong,
	} {
		rt, err := transport.NewTransport(info, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		for _, scheme := range []string{"http://", "https://"} {
			if strings.HasPrefix(scheme, "https") && what == "no TLS" {
				continue
			}
			resp, err := (&http.Client{Transport: rt}).Get(scheme + at + membersPath)
			if err == nil {
				resp.Body.Close()
				if resp.StatusCode == http.StatusOK {
					t.Errorf("with %s (%s) a stranger was let in", what, scheme)
				}
			}
		}
		rt.CloseIdleConnections()
	}
	m := &member{t: t, cfg: testConfig(t, 4, []Peer{l.cfg.Peers[0], {4, freeURLs(t, 1)[0]}})}
	m.cfg.Join, m.cfg.PeerSecret, m.cfg.JoinTimeout = true, testSecret+"!", time.Second
	if err := m.tryStart(); err == nil {
		t.Error("a node with another secret has joined")
	}
	m.cfg.PeerSecret, m.cfg.JoinTimeout = testSecret, 0
	m.start()
	eventually(t, "the fourth has the data", func() bool { return m.has("forwarded") })
}

// A cluster without it takes up a secret when all are started with it: the URLs stay.
func TestSecretLater(t *testing.T) {
	ms := newCluster(t, 3, nil)
	ms[0].propose("before")
	for _, m := range ms {
		m.stop()
	}
	for _, m := range ms {
		m.cfg.PeerSecret = testSecret
		m.start()
	}
	ms[1].propose("after")
	sameRequests(t, ms)
}

func TestPeerSecretConfig(t *testing.T) {
	for _, x := range []struct {
		secret string
		tls    TLS
		says   string
	}{
		{"short", TLS{}, "at least 16"},
		{testSecret, TLS{CertFile: "a", KeyFile: "b", CAFile: "c"}, "one of them"},
		{testSecret, TLS{}, ""},
	} {
		cfg := testConfig(t, 1, nil)
		cfg.PeerSecret, cfg.PeerTLS = x.secret, x.tls
		cfg.EnsureDefaults()
		err := cfg.Validate()
		if (err == nil) != (x.says == "") || err != nil && !strings.Contains(err.Error(), x.says) {
			t.Errorf("%q: %v", x.secret, err)
		}
	}
}

// Members that do not know each other say so at each start, where others reach them.
func TestExposedPeersAreWarnedOf(t *testing.T) {
	for url, exposes := range map[string]bool{
		"http://127.0.0.1:7": false, "http://localhost:7": false, "http://[::1]:7": false,
		"http://10.0.0.1:7": true, "http://0.0.0.0:7": true, "http://node-1:7": true, "http://[::ffff:127.0.0.1]:7": false,
	} {
		if exposed(url) != exposes {
			t.Errorf("exposed(%s) is %v", url, !exposes)
		}
	}
	url := freeURLs(t, 1)[0]
	m := &member{t: t, cfg: testConfig(t, 1, []Peer{{1, url}})}
	m.cfg.ListenURL = strings.Replace(url, "127.0.0.1", "0.0.0.0", 1)
	for _, secret := range []string{"", "", testSecret} {
		core, logs := observer.New(zap.WarnLevel)
		m.cfg.Logger, m.cfg.PeerSecret = zap.New(core), secret
		m.start()
		m.stop()
		if n := logs.FilterMessageSnippet("anybody who reaches the peer port").Len(); (n == 1) != (secret == "") {
			t.Errorf("with secret %q: %d warnings", secret, n)
		}
	}
}

// The authority that signs members may sign clients, too: those are no members.
func TestMemberOnly(t *testing.T) {
	for _, x := range []struct {
		usages  []x509.ExtKeyUsage
		refused bool
	}{
		{nil, false},
		{[]x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, true},
		{[]x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}, false},
		{[]x509.ExtKeyUsage{x509.ExtKeyUsageAny}, false},
	} {
		err := memberOnly(tls.ConnectionState{PeerCertificates: []*x509.Certificate{{ExtKeyUsage: x.usages}}})
		if errors.Is(err, errNoMember) != x.refused {
			t.Errorf("%v: %v", x.usages, err)
		}
	}
}
