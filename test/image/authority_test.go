package image_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/watch-docker/watch-docker/internal/scanner"
	"github.com/watch-docker/watch-docker/test/testbed"
)

// privateRegistry is a name that is no loopback, so that its certificate is verified.
const privateRegistry = "registry.test"

// authorities scans a container of a registry that a private authority vouches
// for: without that authority's certificate, and with it mounted.
func (w *world) authorities() {
	cert, addr := w.privateRegistry()
	shop := w.runsFrom(privateRegistry + ":" + fmt.Sprint(addr.Port()) + "/app:latest")
	scan := testbed.ContainerSpec{Cmd: []string{"scan", "-json"}}
	knowing := func(h *container.HostConfig) { h.ExtraHosts = []string{privateRegistry + ":127.0.0.1"} }

	out, code := w.once(scan, knowing)
	if code != 0 {
		w.Fatalf("scan exits with %d: %s", code, out)
	}
	if c := w.find(out, shop.Name); c.Status != scanner.Failed || !strings.Contains(c.Error.Message, "certificate") {
		w.Errorf("an unknown authority gives %s: %s", c.Status, c.Summary)
	}

	out, code = w.once(scan, func(h *container.HostConfig) {
		knowing(h)
		h.Binds = append(h.Binds, cert+":/etc/ssl/certs/my-ca.crt:ro")
	})
	if code != 0 {
		w.Fatalf("scan exits with %d: %s", code, out)
	}
	if c := w.find(out, shop.Name); c.Status != scanner.UpdateAvailable {
		w.Errorf("a mounted authority gives %s: %s", c.Status, c.Summary)
	}
}

// privateRegistry runs one in the engine's network and returns the file with
// its authority's certificate.
func (w *world) privateRegistry() (cert string, addr netip.AddrPort) {
	w.Helper()
	addr = netip.MustParseAddrPort("127.0.0.1:5443") // nothing else is there: the network is the engine's own
	program := goBuild(w.T, "./test/image/tlsregistry")
	cert, key := w.selfSigned(privateRegistry)
	w.run(testbed.ContainerSpec{Entrypoint: []string{"/tlsregistry"}, Cmd: []string{"-addr", addr.String()}}, func(h *container.HostConfig) {
		h.Binds = []string{program + ":/tlsregistry:ro", cert + ":/cert.pem:ro", key + ":/key.pem:ro"}
	})
	w.reachable(addr)
	return cert, addr
}

// runsFrom runs a container whose image is called ref here; what is behind ref
// at the registry is another.
func (w *world) runsFrom(ref string) testbed.Container {
	w.Helper()
	reg := w.bed.Registry(testbed.TLSToken)
	img := testbed.Must(testbed.Image(testbed.ImageOptions{Payload: "older"}))(w)
	testbed.Must(reg.Push(w.Context(), "older:latest", img))(w)
	w.must(w.bed.Pull(w.Context(), reg.Ref("older:latest")))
	testbed.Must(w.engine.ImageTag(w.Context(), client.ImageTagOptions{Source: reg.Ref("older:latest"), Target: ref}))(w)
	return testbed.Must(w.bed.Run(w.Context(), testbed.ContainerSpec{
		Name: "private", Image: ref, Labels: map[string]string{"watchdocker.force": "true"}, // it was never pulled from there
	}))(w)
}

// selfSigned makes a certificate that is its own authority.
func (w *world) selfSigned(host string) (certFile, keyFile string) {
	w.Helper()
	key := testbed.Must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(w)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	cert := testbed.Must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))(w)
	private := testbed.Must(x509.MarshalPKCS8PrivateKey(key))(w)
	certFile, keyFile = filepath.Join(w.bed.Dir(), "private.crt"), filepath.Join(w.bed.Dir(), "private.key")
	w.must(os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o644))
	w.must(os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	return certFile, keyFile
}
