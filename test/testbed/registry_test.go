package testbed_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/watch-docker/watch-docker/test/testbed"
)

// httpClient trusts the bed's authority.
func httpClient(t *testing.T, bed *testbed.Bed) *http.Client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: bed.CertPool(), MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

type reply struct {
	status int
	header http.Header
	body   string
}

func request(t *testing.T, c *http.Client, method, url, token string) (reply, error) {
	t.Helper()
	req := testbed.Must(http.NewRequestWithContext(t.Context(), method, url, nil))(t)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := c.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, string(body)}, err
}

// askToken asks for a token and returns what the server said.
func askToken(t *testing.T, c *http.Client, reg *testbed.Registry, user string, scopes ...string) (int, map[string]any) {
	t.Helper()
	query := url.Values{"service": {"testbed-registry"}, "scope": scopes}
	req := testbed.Must(http.NewRequestWithContext(t.Context(), http.MethodGet, reg.Tokens().Realm()+"?"+query.Encode(), nil))(t)
	if user != "" {
		req.SetBasicAuth(user, reg.Password())
	}
	resp := testbed.Must(c.Do(req))(t)
	defer func() { _ = resp.Body.Close() }()
	var body map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, body
}

func pushBare(t *testing.T, reg *testbed.Registry, repos ...string) {
	t.Helper()
	for _, repo := range repos {
		img := testbed.Must(testbed.Image(testbed.ImageOptions{Bare: true, Payload: repo}))(t)
		testbed.Must(reg.Push(t.Context(), repo+":1", img))(t)
	}
}

func TestTokenServer(t *testing.T) {
	t.Parallel()
	bed := testbed.New(t, testbed.WithRegistry(testbed.TLSToken))
	reg, c := bed.Registry(testbed.TLSToken), httpClient(t, bed)
	pushBare(t, reg, "one", "two", "public/three")
	manifest := func(repo string) string { return reg.URL() + "/v2/" + repo + "/manifests/1" }
	status := func(t *testing.T, repo string, token any) int {
		t.Helper()
		answer := testbed.Must(request(t, c, http.MethodHead, manifest(repo), token.(string)))(t)
		return answer.status
	}
	both := []string{"repository:one:pull", "repository:two:pull"}

	t.Run("several scopes in one request", func(t *testing.T) {
		_, body := askToken(t, c, reg, testbed.Username, both...)
		for _, repo := range []string{"one", "two"} {
			if got := status(t, repo, body["token"]); got != http.StatusOK {
				t.Errorf("%s: %d, want 200", repo, got)
			}
		}
		if body["token"] != body["access_token"] {
			t.Error("token and access_token differ")
		}
	})
	t.Run("several scopes in one parameter", func(t *testing.T) {
		_, body := askToken(t, c, reg, testbed.Username, strings.Join(both, " "))
		if got := status(t, "two", body["token"]); got != http.StatusOK {
			t.Errorf("two: %d, want 200", got)
		}
	})
	t.Run("first scope only", func(t *testing.T) {
		reg.Tokens().SetBehaviour(testbed.TokenBehaviour{FirstScopeOnly: true, OnlyField: "access_token"})
		defer reg.Tokens().SetBehaviour(testbed.TokenBehaviour{})
		_, body := askToken(t, c, reg, testbed.Username, both...)
		if got := status(t, "one", body["access_token"]); got != http.StatusOK {
			t.Errorf("one: %d, want 200", got)
		}
		if got := status(t, "two", body["access_token"]); got != http.StatusUnauthorized {
			t.Errorf("two: %d, want 401", got)
		}
		if _, ok := body["token"]; ok {
			t.Error("token is answered as well")
		}
	})
	t.Run("wrong user", func(t *testing.T) {
		if got, _ := askToken(t, c, reg, "somebody", both...); got != http.StatusUnauthorized {
			t.Errorf("status %d, want 401", got)
		}
	})
	t.Run("anonymous pulls public only", func(t *testing.T) {
		_, body := askToken(t, c, reg, "", "repository:one:pull", "repository:public/three:pull,push")
		if got := status(t, "public/three", body["token"]); got != http.StatusOK {
			t.Errorf("public/three: %d, want 200", got)
		}
		if got := status(t, "one", body["token"]); got != http.StatusUnauthorized {
			t.Errorf("one: %d, want 401", got)
		}
	})
}

func TestRegistryMisbehavesWhenTold(t *testing.T) {
	t.Parallel()
	bed := testbed.New(t, testbed.WithRegistry(testbed.Plain))
	reg, c := bed.Registry(testbed.Plain), httpClient(t, bed)
	pushBare(t, reg, "one")
	target := reg.URL() + "/v2/one/manifests/1"
	ask := func(t *testing.T, method string) reply {
		t.Helper()
		return testbed.Must(request(t, c, method, target, ""))(t)
	}

	t.Run("limited times", func(t *testing.T) {
		defer reg.ClearFaults()
		reg.Inject(testbed.Fault{Status: http.StatusTooManyRequests, Header: http.Header{"retry-after": {"7"}}, Times: 1})
		if got := ask(t, http.MethodGet); got.status != http.StatusTooManyRequests || got.header.Get("Retry-After") != "7" {
			t.Errorf("got %+v, want 429 with Retry-After", got)
		}
		if got := ask(t, http.MethodGet); got.status != http.StatusOK {
			t.Errorf("second request: %d, want 200", got.status)
		}
	})
	t.Run("one method", func(t *testing.T) {
		remove := reg.Inject(testbed.Fault{Method: http.MethodHead, Path: "/v2/*/manifests/*", Status: http.StatusMethodNotAllowed})
		if got := ask(t, http.MethodHead); got.status != http.StatusMethodNotAllowed {
			t.Errorf("HEAD: %d, want 405", got.status)
		}
		if got := ask(t, http.MethodGet); got.status != http.StatusOK {
			t.Errorf("GET: %d, want 200", got.status)
		}
		remove()
		if got := ask(t, http.MethodHead); got.status != http.StatusOK {
			t.Errorf("HEAD after removal: %d, want 200", got.status)
		}
	})
	t.Run("no digest header", func(t *testing.T) {
		defer reg.ClearFaults()
		if ask(t, http.MethodHead).header.Get("Docker-Content-Digest") == "" {
			t.Error("there is none anyway")
		}
		reg.Inject(testbed.Fault{Strip: []string{"docker-content-digest"}})
		if got := ask(t, http.MethodHead).header.Get("Docker-Content-Digest"); got != "" {
			t.Errorf("got %s", got)
		}
	})
	t.Run("dropped", func(t *testing.T) {
		defer reg.ClearFaults()
		reg.Inject(testbed.Fault{Drop: true})
		if _, err := request(t, c, http.MethodGet, target, ""); err == nil {
			t.Error("no error, want a broken connection")
		}
	})
	t.Run("slow", func(t *testing.T) {
		defer reg.ClearFaults()
		reg.Inject(testbed.Fault{Latency: 30 * time.Millisecond})
		start := time.Now()
		ask(t, http.MethodHead)
		if took := time.Since(start); took < 30*time.Millisecond {
			t.Errorf("took %s", took)
		}
	})
	t.Run("records", func(t *testing.T) {
		reg.Reset()
		ask(t, http.MethodHead)
		got := reg.Requests()
		if len(got) != 1 || got[0].String() != "HEAD /v2/one/manifests/1" || got[0].Status != http.StatusOK || got[0].UserAgent == "" {
			t.Errorf("requests = %+v", got)
		}
	})
}

func TestImagesWithTheSameOptionsAreTheSame(t *testing.T) {
	t.Parallel()
	digest := func(o testbed.ImageOptions) string {
		return testbed.Must(testbed.Must(testbed.Image(o))(t).Digest())(t).String()
	}
	plain := digest(testbed.ImageOptions{})
	if again := digest(testbed.ImageOptions{}); plain != again {
		t.Error("two plain images differ")
	}
	if plain == digest(testbed.ImageOptions{Payload: "two"}) {
		t.Error("another payload makes no difference")
	}
}

func TestNestedIndexIsPushedWhole(t *testing.T) {
	t.Parallel()
	bed := testbed.New(t, testbed.WithRegistry(testbed.Token))
	reg := bed.Registry(testbed.Token)
	outer := testbed.Must(testbed.Index(testbed.IndexOptions{Nested: []v1.ImageIndex{multiPlatform(t, "one")}, Docker: true}))(t)
	digest := testbed.Must(reg.Push(t.Context(), "nest:1", outer))(t)
	if err := reg.Delete(t.Context(), "nest@"+digest); err != nil {
		t.Error(err)
	}
	if err := reg.Delete(context.Background(), "nest:1"); err == nil {
		t.Error("a tag is there after its manifest was deleted")
	}
}
