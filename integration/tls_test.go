package integration

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority makes certificates for a test.
type authority struct {
	t    testing.TB
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB, dir, name string) *authority {
	t.Helper()
	a := &authority{t: t, dir: dir}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.write(name+".crt", "CERTIFICATE", der)
	return a
}

func (a *authority) write(name, kind string, der []byte) string {
	a.t.Helper()
	path := filepath.Join(a.dir, name)
	var b bytes.Buffer
	if err := pem.Encode(&b, &pem.Block{Type: kind, Bytes: der}); err != nil {
		a.t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return path
}

// issue makes a certificate for 127.0.0.1 and returns its files.
func (a *authority) issue(name string) (cert, key string) {
	a.t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:    x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &k.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.write(name+".crt", "CERTIFICATE", der), a.write(name+".key", "EC PRIVATE KEY", keyDER)
}

// TestTLS: members talk TLS and turn away who has no certificate of their
// authority; clients talk TLS on a port of its own.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	ca := newAuthority(t, dir, "ca")
	caFile := filepath.Join(dir, "ca.crt")
	var urls, ports, tlsPorts []string
	for i := range 3 {
		urls = append(urls, fmt.Sprintf("%d=https://127.0.0.1:%s", i+1, freePort(t)))
		ports, tlsPorts = append(ports, freePort(t)), append(tlsPorts, freePort(t))
	}
	for i := range 3 {
		cert, key := ca.issue(fmt.Sprintf("node%d", i+1))
		run(t, t.TempDir(), "--id", fmt.Sprint(i+1), "--cluster", strings.Join(urls, ","), "--port", ports[i], "--tls-port", tlsPorts[i],
			"--tls-cluster", "yes", "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", caFile)
	}
	for _, port := range ports {
		eventually(t, "the node", func() error {
			_, err := ask("127.0.0.1:"+port, "SET", "ready", "1")
			return err
		})
	}

	clientCert, clientKey := ca.issue("client")
	pair, err := tls.LoadX509KeyPair(clientCert, clientKey)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	talk := func(addr string, certs []tls.Certificate) (string, error) {
		c, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: roots, Certificates: certs})
		if err != nil {
			return "", err
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
			return "", err
		}
		if _, err := c.Write(append(encode("SET", "a", "over TLS"), encode("GET", "a")...)); err != nil {
			return "", err
		}
		b := make([]byte, 100)
		got := ""
		for !strings.HasSuffix(got, "over TLS\r\n") {
			n, err := c.Read(b)
			if err != nil {
				return got, err
			}
			got += string(b[:n])
		}
		return got, nil
	}
	for _, port := range tlsPorts {
		if got, err := talk("127.0.0.1:"+port, []tls.Certificate{pair}); err != nil || got != "+OK\r\n$8\r\nover TLS\r\n" {
			t.Errorf("over TLS: %q, %v", got, err)
		}
		if got, err := talk("127.0.0.1:"+port, nil); err == nil {
			t.Errorf("a client without a certificate is answered %q", got)
		}
	}
	_, peer, _ := strings.Cut(urls[0], "=https://")
	c, err := tls.Dial("tcp", peer, &tls.Config{RootCAs: roots})
	if err == nil {
		c.SetDeadline(time.Now().Add(patience))
		fmt.Fprintf(c, "GET /members HTTP/1.0\r\n\r\n")
		if n, err := c.Read(make([]byte, 1)); err == nil {
			t.Errorf("a stranger is let into the members' port: %d bytes", n)
		}
		c.Close()
	}
}
