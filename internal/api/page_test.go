package api_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/watch-docker/watch-docker/internal/api"
)

// page has one file beside itself.
type page struct{}

func (page) ServeFile(w http.ResponseWriter, _ *http.Request, name string) bool {
	if name != "" && name != "assets/app.js" {
		return false
	}
	w.Header().Set("Content-Security-Policy", "its own")
	w.Header().Set("Cache-Control", "its own")
	_, _ = io.WriteString(w, `"`+name+`"`)
	return true
}

func TestThePageIsAtTheRootAndNowhereElse(t *testing.T) {
	for base, prefix := range map[string]string{"": "", "https://watch.example/watch": "/watch"} {
		w := newWorld(t, func(d *api.Dependencies) {
			d.Page = page{}
			if base != "" {
				d.BaseURL = parse(base)
			}
		})
		w.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		for path, want := range map[string]string{"/": `""`, "/assets/app.js": `"assets/app.js"`} {
			a := w.do("GET", prefix+path)
			if a.status != http.StatusOK || a.text != want || a.header.Get("Content-Security-Policy") != "its own" || a.header.Get("Cache-Control") != "its own" ||
				a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("X-Frame-Options") != "DENY" {
				t.Errorf("%s: %s %v", prefix+path, a, a.header)
			}
			if a := w.do("HEAD", prefix+path); a.status != http.StatusOK {
				t.Errorf("HEAD %s: %s", prefix+path, a)
			}
		}
		for _, path := range []string{"/assets/", "/assets/none.js", "/assets/../app.js", "/index.html", "/account", "/assets"} {
			a := w.do("GET", prefix+path)
			a.is(http.StatusNotFound, "not_found")
			if csp := a.header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'") {
				t.Errorf("%s: %s", path, csp)
			}
		}
		w.do("POST", prefix+"/").is(http.StatusMethodNotAllowed, "method_not_allowed")
		if prefix != "" {
			req, _ := http.NewRequestWithContext(t.Context(), "GET", w.url+prefix, http.NoBody)
			res, err := w.client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != http.StatusFound || res.Header.Get("Location") != prefix+"/" {
				t.Errorf("%s: %d %v", prefix, res.StatusCode, res.Header)
			}
		}
	}
}
