package raftnode

import (
	"crypto/ed25519"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"path/filepath"
	"time"
)

// A secret that all members share takes the place of certificates: each member makes the
// same key from it, and with that a certificate of its own, and takes only those that are
// signed with that key. So peers that know the secret are known to each other, nobody
// else is let in, and what they say is encrypted; the secret itself never leaves a node.
// Whoever can connect to a member gets to see its certificate, and can try out guesses of
// the secret with it. That is why short ones are refused, and why each guess costs some.

const (
	// MinPeerSecret is how many bytes a secret has at least.
	MinPeerSecret = 16

	// secretName is what the certificates are for, whoever's they are.
	secretName = "raftredis-member"

	secretSalt   = "raftredis peer secret 1" //nolint:gosec // no secret: it keeps tables of guesses for other programs from being of use
	secretRounds = 100_000                   // some tens of milliseconds, once at a start
)

// secretTLS writes the files that follow from cfg.PeerSecret into the data directory.
// They stay when the secret is not used any more, like the log, which is as secret.
func secretTLS(cfg *Config) (TLS, error) {
	seed, err := pbkdf2.Key(sha256.New, cfg.PeerSecret, []byte(secretSalt), secretRounds, ed25519.SeedSize)
	if err != nil {
		return TLS{}, fmt.Errorf("peer secret: %w", err)
	}
	key := ed25519.NewKeyFromSeed(seed)
	// It signs itself, the same for all members: nothing of it tells one from the other.
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: secretName}, DNSNames: []string{secretName},
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // the secret's time is over when it is replaced
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	certDER, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		return TLS{}, fmt.Errorf("peer secret: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return TLS{}, fmt.Errorf("peer secret: %w", err)
	}
	t := TLS{CertFile: filepath.Join(cfg.Dir, "peer-cert.pem"), KeyFile: filepath.Join(cfg.Dir, "peer-key.pem"), name: secretName}
	t.CAFile = t.CertFile
	for path, block := range map[string]*pem.Block{
		t.CertFile: {Type: "CERTIFICATE", Bytes: certDER},
		t.KeyFile:  {Type: "PRIVATE KEY", Bytes: keyDER},
	} {
		if err := writeDurably(path, pem.EncodeToMemory(block), func() error { return nil }); err != nil {
			return TLS{}, fmt.Errorf("peer secret: %w", err)
		}
	}
	return t, nil
}
