// Tlsregistry is a registry behind a certificate that no public authority has
// signed, for an engine that has no other network: it holds one image, app:latest,
// and runs in a container of the host's network. The tests of the image build it.
package main

import (
	"flag"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/watch-docker/watch-docker/test/testbed"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:5443", "listen here")
	cert := flag.String("cert", "/cert.pem", "the certificate, a PEM `file`")
	key := flag.String("key", "/key.pem", "its key, a PEM `file`")
	flag.Parse()
	handler, err := filled()
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: *addr, Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.ListenAndServeTLS(*cert, *key))
}

// filled is a registry that the image has been pushed to, over a server that
// lives no longer than that.
func filled() (http.Handler, error) {
	handler := registry.New()
	plain := httptest.NewServer(handler)
	defer plain.Close()
	ref, err := name.ParseReference(strings.TrimPrefix(plain.URL, "http://") + "/app:latest")
	if err != nil {
		return nil, err
	}
	img, err := testbed.Image(testbed.ImageOptions{Payload: "newer", Bare: true})
	if err != nil {
		return nil, err
	}
	return handler, remote.Write(ref, img)
}
