// Package webui is a small page for signing in and for one's account. It is
// plain HTML, CSS and ES modules, embedded as they are: nothing builds them.
package webui

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"time"
)

//go:embed page
var files embed.FS

// Policy is the page's Content-Security-Policy: its own files, pictures in its
// own text (QR codes), and questions to its own server; nothing inline.
const Policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

const index = "index.html"

type file struct {
	content []byte
	kind    string
	tag     string
}

// Page is safe for concurrent use.
type Page struct{ files map[string]file }

// New reads the embedded files.
func New() (*Page, error) {
	p := &Page{files: map[string]file{}}
	root, err := fs.Sub(files, "page")
	if err != nil {
		return nil, fmt.Errorf("the page: %w", err)
	}
	err = fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		kind := kindOf(name)
		if kind == "" {
			return fmt.Errorf("%s has no known type", name)
		}
		sum := sha256.Sum256(content)
		p.files[name] = file{content: content, kind: kind, tag: `"` + hex.EncodeToString(sum[:16]) + `"`}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("the page: %w", err)
	}
	return p, nil
}

// kindOf goes by our own list: the machine's could say text/plain of a script,
// which browsers then refuse.
func kindOf(name string) string {
	return map[string]string{
		".html": "text/html; charset=utf-8",
		".css":  "text/css; charset=utf-8",
		".js":   "text/javascript; charset=utf-8",
		".svg":  "image/svg+xml",
	}[path.Ext(name)]
}

// ServeFile answers with a file, "" for the page itself; false: there is no
// such file, and nothing was written. Browsers ask each time whether what they
// have is still it, so that an update of the program is one of the page.
func (p *Page) ServeFile(w http.ResponseWriter, r *http.Request, name string) bool {
	switch name {
	case "":
		name = index
	case index:
		return false // it has one address
	}
	f, ok := p.files[name]
	if !ok {
		return false
	}
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("Content-Security-Policy", Policy)
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", f.tag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.content))
	return true
}
