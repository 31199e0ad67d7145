package attack_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// patience is how long a test waits for what should happen at once.
const patience = 20 * time.Second

// certificate makes one for localhost and gives the settings that name it.
func certificate(t testing.TB) []string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	var env []string
	for name, block := range map[string]*pem.Block{"CERT": {Type: "CERTIFICATE", Bytes: cert}, "KEY": {Type: "PRIVATE KEY", Bytes: private}} {
		file := filepath.Join(folder, name)
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		env = append(env, "WATCH_SERVER_TLS_"+name+"="+file)
	}
	return env
}

// trusting is a client's side for the program's certificate.
func trusting(t testing.TB, w *world) *tls.Config {
	t.Helper()
	pool := x509.NewCertPool()
	for _, setting := range w.env {
		if file, ok := strings.CutPrefix(setting, "WATCH_SERVER_TLS_CERT="); ok {
			text, err := os.ReadFile(file)
			if err != nil || !pool.AppendCertsFromPEM(text) {
				t.Fatal("no certificate", err)
			}
		}
	}
	return &tls.Config{RootCAs: pool, ServerName: "localhost"}
}
