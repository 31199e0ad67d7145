package webui_test

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/watch-docker/watch-docker/internal/webui"
)

func get(t *testing.T, name string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	page, err := webui.New()
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	if !page.ServeFile(w, r, name) {
		w.Code = http.StatusNotFound
	}
	return w
}

// names are the files, as they are asked for.
func names(t *testing.T) (all []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS("page"), ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && name != "index.html" {
			all = append(all, name)
		}
		return err
	})
	if err != nil || len(all) < 5 {
		t.Fatalf("%v, %v", all, err)
	}
	return append(all, "")
}

func TestEveryFileHasItsTypeAndIsAskedForAnewButNotSentAnew(t *testing.T) {
	want := map[string]string{"": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
	for _, name := range names(t) {
		first := get(t, name)
		h := first.Header()
		if first.Code != http.StatusOK || h.Get("Content-Type") != want[path.Ext(name)] || h.Get("Cache-Control") != "no-cache" || len(h.Get("ETag")) != 34 {
			t.Errorf("%q: %d %v", name, first.Code, h)
		}
		again := get(t, name, "If-None-Match", h.Get("ETag"))
		if again.Code != http.StatusNotModified || again.Body.Len() != 0 {
			t.Errorf("%q again: %d, %d bytes", name, again.Code, again.Body.Len())
		}
	}
	for _, name := range []string{"index.html", "assets", "assets/", "assets/none.js", "../webui.go", "/etc/passwd", "assets/../index.html"} {
		if w := get(t, name); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
}

func TestThePageObeysItsPolicy(t *testing.T) {
	if strings.Contains(webui.Policy, "unsafe") || strings.Contains(webui.Policy, "*") {
		t.Error(webui.Policy)
	}
	for _, part := range []string{
		"default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:", "connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
	} {
		if !slices.Contains(strings.Split(webui.Policy, "; "), part) {
			t.Errorf("%s isn't in %s", part, webui.Policy)
		}
	}
	inline := regexp.MustCompile(`(?i)<script(?:\s[^>]*)?>[^<]|<style|\son[a-z]+\s*=|\sstyle\s*=|javascript:|<base|<iframe|<form[^>]*\saction`)
	dynamic := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|localStorage\.setItem\([^s]|sessionStorage|document\.cookie`)
	address := regexp.MustCompile(`(?:src|href)="([^"]*)"|from '([^']*)'`)
	for _, name := range names(t) {
		w := get(t, name)
		if got := w.Header().Get("Content-Security-Policy"); got != webui.Policy {
			t.Errorf("%q: %s", name, got)
		}
		text := w.Body.String()
		if bad := inline.FindString(text); bad != "" && path.Ext(name) != ".js" {
			t.Errorf("%q has %q", name, bad)
		}
		if bad := dynamic.FindString(text); bad != "" {
			t.Errorf("%q has %q", name, bad)
		}
		for _, m := range address.FindAllStringSubmatch(text, -1) {
			to := m[1] + m[2]
			if strings.HasPrefix(to, "/") || strings.Contains(to, ":") {
				t.Errorf("%q loads %s: an address that isn't relative breaks under a sub-path", name, to)
			}
			if w := get(t, path.Join(path.Dir(name), to)); w.Code != http.StatusOK {
				t.Errorf("%q loads %s: %d", name, to, w.Code)
			}
		}
	}
}

func TestBothLanguagesSayTheSame(t *testing.T) {
	text := get(t, "assets/text.js").Body.String()
	english, rest, ok := strings.Cut(text, "const chinese")
	chinese, _, ok2 := strings.Cut(rest, "const languages")
	if !ok || !ok2 {
		t.Fatal("text.js isn't as expected")
	}
	key := regexp.MustCompile(`(?m)(?:^  |, )'?([a-zA-Z][a-zA-Z_.]*)'?: '((?:[^'\\]|\\.)*)'`)
	texts := func(part string) map[string]string {
		all := map[string]string{}
		for _, m := range key.FindAllStringSubmatch(part, -1) {
			all[m[1]] = m[2]
		}
		return all
	}
	en, zh := texts(english), texts(chinese)
	if len(en) < 100 {
		t.Fatalf("only %d texts were found", len(en))
	}
	name := regexp.MustCompile(`\{\w+\}`)
	for k, said := range en {
		if zh[k] == "" {
			t.Errorf("%s isn't in Chinese", k)
		}
		for _, placeholder := range name.FindAllString(said, -1) {
			if !strings.Contains(zh[k], placeholder) {
				t.Errorf("%s: %s is missing in %s", k, placeholder, zh[k])
			}
		}
	}
	for k := range zh {
		if en[k] == "" && !strings.HasPrefix(k, "error.") { // the server explains in English itself
			t.Errorf("%s isn't in English", k)
		}
	}
	used := regexp.MustCompile(`\bt\('([a-zA-Z][a-zA-Z_.]*)'`)
	for _, file := range names(t) {
		for _, m := range used.FindAllStringSubmatch(get(t, file).Body.String(), -1) {
			if en[m[1]] == "" && !strings.HasSuffix(m[1], ".") {
				t.Errorf("%s says %s, which has no text", file, m[1])
			}
		}
	}
}
