package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-resty/resty/v2"
	"github.com/golang-jwt/jwt/v5"
)

const (
	// Servers and proxies commonly refuse request lines beyond 8 KiB.
	maxTokenURL = 7500
	// The token specification's default for expires_in.
	defaultTokenLife = time.Minute
	// A token isn't used in its last seconds, which the request itself may take.
	tokenMargin = 10 * time.Second
)

// token is a bearer token for one repository or several, or the reason why a
// repository gets none.
type token struct {
	value   string
	err     error
	from    time.Time
	until   time.Time
	scopes  int  // for how many repositories it was asked for
	listed  bool // it tells which ones it is good for
	instead bool // a shared one didn't serve, so it was asked for alone
}

// token returns a valid token for the repository. Everybody who needs one at
// the same time waits for one request, which names all the repositories of the
// batch that need one.
func (h *host) token(ctx context.Context, b *Batch, k *contact, ch Challenge, repository string) (*token, error) {
	for {
		if t := h.validToken(repository); t != nil {
			return t, t.err
		}
		key := "" // shared requests go one after the other: the next may not be needed
		if h.asksAlone(repository) {
			key = repository
		}
		_, err := h.fetches.get(ctx, key, func(ctx context.Context) (struct{}, error) {
			if h.validToken(repository) != nil { // it came while this one queued up
				return struct{}{}, nil
			}
			return struct{}{}, h.fetchToken(ctx, k, ch, h.needTokens(b, repository))
		})
		if err != nil {
			return nil, err
		}
	}
}

func (h *host) validToken(repository string) *token {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.tokens[repository]
	if t == nil || !h.client.opts.Now().Before(t.until) {
		return nil
	}
	return t
}

func (h *host) asksAlone(repository string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.alone[repository] || h.state.MaxScopes == 1
}

// needTokens lists the repositories to name in a request for this one: itself,
// and those of the batch that have no token yet.
func (h *host) needTokens(b *Batch, repository string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	need := []string{repository}
	if h.alone[repository] {
		return need
	}
	length := len(h.state.Challenge.Realm) + len(scopeOf(repository)) + 200
	now := h.client.opts.Now()
	for _, r := range b.repositories[h.name] {
		if r == repository || h.alone[r] || h.tokens[r] != nil && now.Before(h.tokens[r].until) {
			continue
		}
		length += len("&scope=") + len(scopeOf(r))
		if length > maxTokenURL || len(need) == h.state.MaxScopes {
			break
		}
		need = append(need, r)
	}
	slices.Sort(need)
	return need
}

func scopeOf(repository string) string { return "repository:" + repository + ":pull" }

// fetchToken asks for a token and files it under its repositories. It returns
// only failures that concern the whole host; what concerns one repository is
// filed in the token's place.
func (h *host) fetchToken(ctx context.Context, k *contact, ch Challenge, repositories []string) error {
	credential, err := h.credential(ctx)
	if err != nil {
		return err
	}
	t, err := h.requestToken(ctx, k, ch, credential, repositories)
	if err == nil {
		h.keepToken(t, repositories)
		return nil
	}
	e, refused := errors.AsType[*Error](err)
	if !refused || e.hostwide || e.Code == CodeRateLimited {
		return err
	}
	signedIn := credential != (Credential{})
	if signedIn && e.Status == http.StatusForbidden && len(repositories) > 1 {
		// Either the password is wrong or one of the repositories is off
		// limits. A request without any, which is what docker login makes, tells.
		_, err := h.requestToken(ctx, k, ch, credential, nil)
		if e, ok := errors.AsType[*Error](err); ok && e.Code == CodeUnauthorized {
			e.hostwide = true
			return e
		}
	} else if wrongCredential(e.Status, credential) {
		e.hostwide = true
		return e
	}
	h.keepRefusal(e, repositories)
	return nil
}

// wrongCredential: RFC 6749, 5.2 has a bad refresh token answered with 400.
func wrongCredential(status int, c Credential) bool {
	return status == http.StatusUnauthorized && c != (Credential{}) || status == http.StatusBadRequest && c.IdentityToken != ""
}

// keepToken files a token under the repositories it was granted for. Those
// that it was not, as far as it tells, are asked for alone.
func (h *host) keepToken(t *token, repositories []string) {
	granted, listed := grants(t.value)
	h.mu.Lock()
	defer h.mu.Unlock()
	t.scopes, t.listed = len(repositories), listed
	t.instead = t.scopes == 1 && h.alone[repositories[0]]
	for _, r := range repositories {
		if t.scopes > 1 && listed && !granted[r] {
			h.alone[r] = true
			continue
		}
		h.tokens[r] = t
	}
}

// keepRefusal files why one repository gets no token. What was refused for
// several says nothing about each: they are asked for alone.
func (h *host) keepRefusal(e *Error, repositories []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(repositories) > 1 {
		for _, r := range repositories {
			h.alone[r] = true
		}
		return
	}
	now := h.client.opts.Now()
	until := now.Add(max(h.client.opts.ErrorTTL, time.Second))
	h.tokens[repositories[0]] = &token{err: e, from: now, until: until}
}

// retire takes a token out of use that the registry answered 401 to, and
// reports whether another is worth asking for: it was from before this batch,
// or it was shared.
func (h *host) retire(t *token, repository string, batchStarted time.Time) bool {
	if t == nil {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case t.from.Before(batchStarted):
		h.dropTokens(func(other *token) bool { return other == t })
	case t.scopes > 1:
		h.alone[repository] = true
		delete(h.tokens, repository)
	default:
		return false
	}
	return true
}

// goodTokenLength fits into any server's headers: nginx, before many a
// registry, refuses more than 8 KiB (large_client_header_buffers), load
// balancers 16.
const goodTokenLength = 6 << 10

// tooLong reports whether a shared token may be what the registry dislikes: a
// JWT grows with the repositories that it is for, by 100 to 300 bytes each.
func (t *token) tooLong(resp *resty.Response, err error) bool {
	if t == nil || t.scopes == 1 || len(t.value) <= goodTokenLength {
		return false
	}
	if err != nil { // HTTP/2 servers can say what they accept, and net/http keeps to it
		return strings.Contains(err.Error(), "header list larger than peer's")
	}
	return resp.StatusCode() == http.StatusBadRequest || resp.StatusCode() == http.StatusRequestHeaderFieldsTooLarge
}

// shorten replaces a token by ones for fewer repositories, from now on.
func (h *host) shorten(ctx context.Context, long *token) {
	h.update(ctx, func(s *HostState) {
		fit := max(1, long.scopes*goodTokenLength/len(long.value))
		if s.MaxScopes == 0 || s.MaxScopes > fit {
			s.MaxScopes = fit
		}
		h.dropTokens(func(t *token) bool { return t == long })
	})
}

// dropTokens is called with the lock held.
func (h *host) dropTokens(chosen func(*token) bool) {
	for repository, t := range h.tokens {
		if chosen(t) {
			delete(h.tokens, repository)
		}
	}
}

// grants tells which repositories a token lets be pulled, if it tells. Tokens
// are meant to be opaque; the distribution project's are JWTs that list it in
// "access". Their signature is the registry's business: this is a hint.
func grants(value string) (granted map[string]bool, listed bool) {
	var claims struct {
		jwt.RegisteredClaims
		Access *[]struct {
			Type, Name string
			Actions    []string
		}
	}
	if _, _, err := jwt.NewParser().ParseUnverified(value, &claims); err != nil || claims.Access == nil {
		return nil, false
	}
	granted = map[string]bool{}
	for _, a := range *claims.Access {
		if a.Type == "repository" && (slices.Contains(a.Actions, "pull") || slices.Contains(a.Actions, "*")) {
			granted[a.Name] = true
		}
	}
	return granted, true
}

// requestToken asks the challenge's token server (distribution project, "Token
// Authentication Specification" and "Oauth2 Token Authentication").
func (h *host) requestToken(ctx context.Context, k *contact, ch Challenge, credential Credential, repositories []string) (*token, error) {
	realm, err := h.checkRealm(ch.Realm)
	if err != nil {
		return nil, err
	}
	m := tokenMessage(realm, ch.Service, credential, repositories)
	resp, err := h.client.send(ctx, h, k, m)
	if e, ok := errors.AsType[*Error](err); ok {
		e.hostwide = e.Code != CodeRateLimited
	}
	if err != nil {
		return nil, err
	}
	if resp.StatusCode() != http.StatusOK {
		return nil, h.tokenRefused(realm.Host, credential, repositories, resp)
	}
	t, err := readToken(resp, h.client.opts.Now())
	if err != nil {
		e := errorf(CodeBadResponse, h.name, "%s, which %s sends for tokens, answered something else: %s. Its administrator has to mend that.", realm.Host, h.name, reason(err))
		e.Status, e.hostwide = resp.StatusCode(), true
		return nil, e
	}
	return t, nil
}

// checkRealm refuses to send anything to a token server that could be
// overheard, be it a password or nothing but names. That the registry may be
// overheard says nothing of a token server elsewhere.
func (h *host) checkRealm(raw string) (*url.URL, error) {
	realm, err := url.Parse(raw)
	switch {
	case err != nil || realm.Host == "" || realm.User != nil || realm.Scheme != "https" && realm.Scheme != "http":
		e := errorf(CodeBadResponse, h.name, "%s sends for tokens to an address that is none. Its administrator has to mend that.", h.name)
		e.hostwide = true
		return nil, e
	case realm.Scheme == "http" && !h.mayBeInsecure(realm.Host):
		e := errorf(CodeBadResponse, h.name, "%s sends for tokens to %s over plain HTTP, which is refused. If that is acceptable, add %s to registry.insecure.", h.name, realm.Host, realm.Host)
		e.hostwide = true
		return nil, e
	}
	return realm, nil
}

func tokenMessage(realm *url.URL, service string, credential Credential, repositories []string) message {
	scopes := make([]string, len(repositories))
	for i, r := range repositories {
		scopes[i] = scopeOf(r)
	}
	if credential.IdentityToken != "" {
		return message{method: http.MethodPost, url: realm.String(), accept: "application/json", form: map[string]string{
			"grant_type": "refresh_token", "refresh_token": credential.IdentityToken,
			"client_id": "watch-docker", "service": service, "scope": strings.Join(scopes, " "),
		}}
	}
	query := realm.RawQuery
	add := func(name, value string) {
		if query != "" {
			query += "&"
		}
		query += name + "=" + value
	}
	if service != "" {
		add("service", url.QueryEscape(service))
	}
	for _, s := range scopes {
		add("scope", s) // ":" and "/" need no escaping in a query, and stay short
	}
	target := *realm
	target.RawQuery, target.Fragment = query, ""
	m := message{method: http.MethodGet, url: target.String(), accept: "application/json"}
	if credential.Username != "" {
		m.authorization = basicAuth(credential)
	}
	return m
}

func (h *host) tokenRefused(server string, credential Credential, repositories []string, resp *resty.Response) *Error {
	status := resp.StatusCode()
	e := errorf(CodeUnauthorized, h.name, "")
	e.Status = status
	switch {
	case wrongCredential(status, credential), status == http.StatusForbidden && len(repositories) == 0:
		e.Message = h.wrongPassword(server, said(resp))
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		e.Message = fmt.Sprintf("%s gives no access to %s at %s%s. It does not exist or is private. %s", server, strings.Join(repositories, ", "), h.name, said(resp), h.adviceOnAccess())
	case status == http.StatusBadRequest:
		e.Code, e.Message = CodeBadResponse, fmt.Sprintf("%s, the token server of %s, answered %s%s. Its administrator has to mend that.", server, h.name, statusText(status), said(resp))
	case status >= 500:
		e.Code, e.hostwide = CodeUnreachable, true
		e.Message = fmt.Sprintf("%s, the token server of %s, is in trouble (%s%s). Nothing to do here but wait.", server, h.name, statusText(status), said(resp))
	default:
		e.Code, e.hostwide = CodeBadResponse, true
		e.Message = fmt.Sprintf("%s, the token server of %s, answered %s%s. Its administrator has to mend that.", server, h.name, statusText(status), said(resp))
	}
	return e
}

func readToken(resp *resty.Response, now time.Time) (*token, error) {
	var body struct {
		Token       string
		AccessToken string    `json:"access_token"`
		ExpiresIn   float64   `json:"expires_in"`
		IssuedAt    time.Time `json:"issued_at"`
	}
	if err := json.Unmarshal(resp.Body(), &body); err != nil {
		return nil, errors.New("no JSON")
	}
	value := body.Token
	if value == "" {
		value = body.AccessToken
	}
	if value == "" || strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return nil, errors.New("no token in it")
	}
	life := defaultTokenLife
	if body.ExpiresIn > 0 {
		life = time.Duration(min(body.ExpiresIn, 24*3600) * float64(time.Second))
	}
	// Its age by the server's own clock: this machine's may be minutes off.
	if date, err := http.ParseTime(resp.Header().Get("Date")); err == nil && !body.IssuedAt.IsZero() {
		if age := date.Sub(body.IssuedAt); age > 0 && age < life {
			life -= age
		}
	}
	life -= min(tokenMargin, life/4)
	return &token{value: value, from: now, until: now.Add(life)}, nil
}
