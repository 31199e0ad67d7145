package registry_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/watch-docker/watch-docker/internal/registry"
)

// pages answers for the tags of "app" in pages, whose links are as link makes them.
func pages(link func(next string) string, lists ...[]string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/v2/app/tags/list" {
			return false
		}
		n := 0
		_, _ = fmt.Sscanf(r.URL.Query().Get("page"), "%d", &n)
		if n+1 < len(lists) {
			w.Header().Set("Link", link(fmt.Sprint("page=", n+1, "&n=1000")))
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"name": "app", "tags": lists[n]})
		return true
	}
}

func TestTagsAreListedPageByPageAndKept(t *testing.T) {
	for name, link := range map[string]func(string) string{
		"relative": func(q string) string { return "</v2/app/tags/list?" + q + `>; rel="next"` },
		"absolute": func(q string) string { return "<https://reg.example.com/v2/app/tags/list?" + q + ">; rel=next" },
		"among others": func(q string) string {
			return `</v2/>; rel="first", </v2/app/tags/list?` + q + `>;title="a,b"; rel="next"`
		},
		"to another host":    func(q string) string { return "<https://evil.example.com/v2/app/tags/list?" + q + `>; rel="next"` },
		"to another place":   func(q string) string { return "</v2/other/tags/list?" + q + `>; rel="next"` },
		"to nothing but one": func(q string) string { return "<?" + q + `>; rel="next"` },
	} {
		t.Run(name, func(t *testing.T) {
			n := newNetwork(t)
			s := n.site("reg.example.com")
			evil := n.site("evil.example.com")
			s.handle(pages(link, []string{"1.1", "1.0"}, []string{"1.2", "1.1", strings.Repeat("x", 200), ""}, []string{"1.3"}))
			b := n.client(registry.Options{CacheTTL: time.Minute}).Batch(nil)
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(func() {
					tags, err := b.Tags(t.Context(), s.ref("app:1.0"))
					if want := []string{"1.0", "1.1", "1.2", "1.3"}; err != nil || !slices.Equal(tags, want) {
						t.Errorf("%q, %v; want %q", tags, err, want)
					}
				})
			}
			wg.Wait()
			if _, err := b.Tags(t.Context(), s.ref("app:1.1")); err != nil {
				t.Error(err)
			}
			s.wantRequests(3)
			evil.wantRequests(0)
		})
	}
}

func TestTagsOfTheInProcessRegistryAreListedAnewOnceForgotten(t *testing.T) {
	n := newNetwork(t)
	s := n.site("reg.example.com")
	for _, tag := range []string{"1.0", "1.1", "latest"} {
		s.image("app", tag)
	}
	c := n.client(registry.Options{CacheTTL: time.Hour})
	list := func(want ...string) {
		t.Helper()
		tags, err := c.Batch(nil).Tags(t.Context(), s.ref("app:1.0"))
		if err != nil || !slices.Equal(tags, want) {
			t.Errorf("%q, %v; want %q", tags, err, want)
		}
	}
	list("1.0", "1.1", "latest")
	s.image("app", "1.2")
	list("1.0", "1.1", "latest")
	c.Forget(s.ref("app:1.0"))
	list("1.0", "1.1", "1.2", "latest")
}

func TestTagsNeedNoOtherTokenThanTheirImages(t *testing.T) {
	n := newNetwork(t)
	s := n.site("reg.example.com")
	ts := n.tokens("auth.example.com")
	s.handle(ts.guard)
	s.image("app", "1.0")
	b := n.client(registry.Options{}).Batch(nil)
	if _, err := b.Head(t.Context(), s.ref("app:1.0")); err != nil {
		t.Fatal(err)
	}
	s.asked()
	if tags, err := b.Tags(t.Context(), s.ref("app:1.0")); err != nil || len(tags) != 1 {
		t.Errorf("%q, %v", tags, err)
	}
	s.wantRequests(1)
}

func TestWhyTagsCannotBeListed(t *testing.T) {
	endless := func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Link", "<?n=1000&last="+r.URL.Query().Get("last")+`x>; rel="next"`)
		fmt.Fprint(w, `{"tags":["1.0"]}`)
		return true
	}
	circle := func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Link", `<?n=1000>; rel="next"`)
		fmt.Fprint(w, `{"tags":["1.0"]}`)
		return true
	}
	answer := func(status int, body string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(status)
			fmt.Fprint(w, body)
			return true
		}
	}
	for name, c := range map[string]struct {
		handle func(http.ResponseWriter, *http.Request) bool
		code   string
		says   string
		asked  int
	}{
		"endless":       {endless, registry.CodeBadResponse, "no end", 50},
		"in a circle":   {circle, registry.CodeBadResponse, "no end", 1},
		"no JSON":       {answer(200, "<html>"), registry.CodeBadResponse, "no list of tags", 1},
		"not allowed":   {answer(405, ""), registry.CodeBadResponse, "take the label away", 1},
		"no repository": {answer(404, ""), registry.CodeNotFound, "the tags of reg.example.com/app", 1},
		"denied":        {answer(403, `{"errors":[{"code":"DENIED","message":"not you"}]}`), registry.CodeUnauthorized, "not you", 1},
		"too many":      {answer(429, ""), registry.CodeRateLimited, "left alone until", 1},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNetwork(t)
			s := n.site("reg.example.com")
			s.handle(c.handle)
			b := n.client(registry.Options{}).Batch(nil)
			_, err := b.Tags(t.Context(), s.ref("app:1.0"))
			wantCode(t, err, c.code, c.says)
			s.wantRequests(c.asked)
			if c.code == registry.CodeRateLimited {
				_, err = b.Tags(t.Context(), s.ref("other:1.0"))
				wantCode(t, err, c.code)
				s.wantRequests(0)
			}
		})
	}
}

func TestAnEmptyRepositoryHasNoTags(t *testing.T) {
	n := newNetwork(t)
	s := n.site("reg.example.com")
	s.handle(func(w http.ResponseWriter, _ *http.Request) bool {
		fmt.Fprint(w, `{"name":"app","tags":null}`)
		return true
	})
	if tags, err := n.client(registry.Options{}).Batch(nil).Tags(t.Context(), s.ref("app:1.0")); err != nil || len(tags) != 0 {
		t.Errorf("%q, %v", tags, err)
	}
}
