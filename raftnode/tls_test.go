package raftnode

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// testTLS makes a CA and one certificate that all members share.
func testTLS(t *testing.T) TLS {
	t.Helper()
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	must(err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "member"},
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	certDER, err := x509.CreateCertificate(rand.Reader, cert, ca, &key.PublicKey, caKey)
	must(err)
	keyDER, err := x509.MarshalECPrivateKey(key)
	must(err)
	return TLS{
		CertFile: write("cert.pem", "CERTIFICATE", certDER),
		KeyFile:  write("key.pem", "EC PRIVATE KEY", keyDER),
		CAFile:   write("ca.pem", "CERTIFICATE", caDER),
	}
}

func TestPeersOverTLS(t *testing.T) {
	tls := testTLS(t)
	ms := newCluster(t, 3, func(c *Config) {
		c.PeerTLS = tls
		smallLogs(c)
		c.Peers = append([]Peer(nil), c.Peers...)
		for i := range c.Peers {
			c.Peers[i].URL = strings.Replace(c.Peers[i].URL, "http:", "https:", 1)
		}
	})
	l := leader(t, ms)
	behind := remove(ms, l)[0]
	behind.stop()
	fill(l, "r", 40)
	behind.start() // gets a snapshot
	sameRequests(t, ms)
	remove(ms, l)[1].propose("forwarded")
	sameRequests(t, ms)
	// Nobody gets in without a certificate.
	if resp, err := http.Get(l.cfg.Peers[0].URL + membersPath); err == nil {
		resp.Body.Close()
		t.Error("a stranger was let in")
	}
}
