package resp

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"strings"
	"testing"
	"time"
)

func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestTLS(t *testing.T) {
	s, _ := newServer(t, func(o *Options) {
		o.Config.Port, o.Config.TLSPort = 0, freePort(t)
		o.TLS = &tls.Config{Certificates: []tls.Certificate{selfSigned(t)}}
	})
	secure := func() *client {
		c := dial(t, s)
		return &client{t: t, Conn: tls.Client(c.Conn, &tls.Config{InsecureSkipVerify: true})}
	}
	c, other := secure(), secure()
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
