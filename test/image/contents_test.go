package image_test

import (
	"archive/tar"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/watch-docker/watch-docker/test/testbed"
)

// maxSize is a bar for what is downloaded and stored, unpacked.
const maxSize = 64 << 20

func (w *world) contents() {
	var lines []string
	var size int64
	var roots []byte
	files := w.files()
	for {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		w.must(err)
		name := strings.Trim(h.Name, "/")
		lines = append(lines, fmt.Sprintf("%s %d:%d %s", h.FileInfo().Mode(), h.Uid, h.Gid, name))
		size += h.Size
		if "/"+name == caRoots {
			roots = testbed.Must(io.ReadAll(files))(w)
		}
	}
	want := []string{
		"-rw-r--r-- 0:0 etc/ssl/certs/ca-certificates.crt",
		"-rwxr-xr-x 0:0 usr/local/bin/docker-compose",
		"-rwxr-xr-x 0:0 watch-docker",
		"drwxr-xr-x 0:0 etc",
		"drwxr-xr-x 0:0 etc/ssl",
		"drwxr-xr-x 0:0 etc/ssl/certs",
		"drwxr-xr-x 0:0 usr",
		"drwxr-xr-x 0:0 usr/local",
		"drwxr-xr-x 0:0 usr/local/bin",
		"drwxrwx--- 65532:0 config",
	}
	slices.Sort(lines)
	if !slices.Equal(lines, want) {
		w.Errorf("it holds\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
	if size > maxSize {
		w.Errorf("it is %.1f MB, more than %.1f", float64(size)/1e6, maxSize/1e6)
	}
	inspect := testbed.Must(w.engine.ImageInspect(w.Context(), w.image))(w)
	w.Logf("image size: %.1f MB unpacked; the engine says %.1f MB", float64(size)/1e6, float64(inspect.Size)/1e6)
	w.bundle(roots)
}

// files are those of all layers, as docker save has them.
func (w *world) files() *tar.Reader {
	w.Helper()
	all := mutate.Extract(w.saved())
	w.Cleanup(func() { _ = all.Close() })
	return tar.NewReader(all)
}

// saved is the image as the engine gives it out.
func (w *world) saved() v1.Image {
	w.Helper()
	saved := testbed.Must(w.engine.ImageSave(w.Context(), []string{w.image}))(w)
	defer saved.Close()
	path := filepath.Join(w.TempDir(), "image.tar")
	file := testbed.Must(os.Create(path))(w)
	testbed.Must(io.Copy(file, saved))(w)
	w.must(file.Close())
	return testbed.Must(tarball.ImageFromPath(path, nil))(w)
}

// bundle checks that each of the CA roots can be read.
func (w *world) bundle(roots []byte) {
	w.Helper()
	n := 0
	for block, rest := pem.Decode(roots); block != nil; block, rest = pem.Decode(rest) {
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil || !cert.IsCA {
			w.Errorf("CA root %d: %v", n, err)
		}
		n++
	}
	if n <= 100 {
		w.Errorf("%d CA roots, want more than 100", n)
	}
	w.Logf("%d CA roots", n)
}

func TestBothDockerfilesDescribeTheSameImage(t *testing.T) {
	var said [2]string
	for i, file := range []string{"Dockerfile", "Dockerfile.binary"} {
		content := string(testbed.Must(os.ReadFile(root + file))(t))
		_, after, _ := strings.Cut(content, "\n# From here on ")
		_, said[i], _ = strings.Cut(after, "\n")
	}
	if said[0] == "" || said[0] != said[1] {
		t.Errorf("one says\n%s\nthe other\n%s", said[0], said[1])
	}
}
