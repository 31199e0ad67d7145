package app

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/watch-docker/watch-docker/internal/config"
)

// writePair makes a self-signed certificate for a name.
func writePair(t *testing.T, dir, name string, at time.Time) config.TLSConfig {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	files := config.TLSConfig{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	for file, block := range map[string]*pem.Block{files.Cert: {Type: "CERTIFICATE", Bytes: der}, files.Key: {Type: "EC PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, at, at); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func TestARenewedCertificateIsUsedWithoutARestart(t *testing.T) {
	dir, at := t.TempDir(), time.Now().Add(-time.Hour)
	tlsConfig, err := serverTLS(writePair(t, dir, "one", at))
	if err != nil {
		t.Fatal(err)
	}
	name := func() string {
		pair, err := tlsConfig.GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(pair.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		return leaf.Subject.CommonName
	}
	if got := name(); got != "one" {
		t.Errorf("serves %s", got)
	}
	files := writePair(t, dir, "two", at.Add(time.Minute))
	if got := name(); got != "two" {
		t.Errorf("after a renewal it serves %s", got)
	}
	if err := os.WriteFile(files.Key, []byte("half written"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := name(); got != "two" {
		t.Errorf("with a broken key it serves %s", got)
	}
}

func TestACertificateThatCantBeReadIsNamed(t *testing.T) {
	if _, err := serverTLS(config.TLSConfig{Cert: "/nowhere/cert.pem", Key: "/nowhere/key.pem"}); err == nil {
		t.Error("no error")
	}
}
