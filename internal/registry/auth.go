package registry

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"

	"github.com/go-resty/resty/v2"
)

// question is one request to a repository.
type question struct {
	method     string
	repository string
	path       string // below the repository: "manifests/latest", "blobs/sha256:…"
	accept     string
	name       string // the reference, for messages
}

// authorization is what a question is sent with.
type authorization struct {
	challenge Challenge // that it answers
	header    string    // empty: none
	token     *token    // that is in the header, for Bearer
}

// ask puts a question to a registry and returns the answer, whatever its
// status; only 401, 429 and a server in trouble are errors.
//
// It waits for the batch's first contact with the host, and takes part in what
// follows from a host that fails.
func (b *Batch) ask(ctx context.Context, h *host, q question) (*resty.Response, error) {
	h.load(ctx)
	if err := h.paused(); err != nil {
		return nil, err
	}
	k := b.contact(h)
	first, err := k.enter(ctx)
	if err != nil {
		return nil, err
	}
	outcome := context.Canceled // what others see if this panics: one of them is first, then
	defer func() { k.leave(first, outcome) }()
	resp, err := b.askAuthorized(ctx, h, k, q)
	if err == nil && resp.StatusCode() >= 500 && resp.StatusCode() != http.StatusNotImplemented {
		e := statusError(h, q.name, resp)
		e.hostwide = first && resp.StatusCode() > 500 // a gateway without a registry behind it
		resp, err = nil, e
	}
	outcome = err
	h.noteResult(ctx, err)
	return resp, err
}

// askOnce puts a question that can do without an answer: nothing follows from
// a failure, but that a 429 pauses the host. So a blocked storage server, to
// which a registry redirects for blobs, doesn't take the registry with it.
func (b *Batch) askOnce(ctx context.Context, h *host, q question) (*resty.Response, error) {
	k := b.contact(h)
	auth, err := h.authorize(ctx, b, k, q.repository)
	if err != nil {
		return nil, err
	}
	return b.client.exchange(ctx, h, k, q, auth.header)
}

// maxTries bounds what 401s may teach: that the challenge has changed, that
// the token is stale or too long, that a shared one doesn't serve this
// repository.
const maxTries = 5

func (b *Batch) askAuthorized(ctx context.Context, h *host, k *contact, q question) (*resty.Response, error) {
	var failed error // why a remembered challenge could not be answered
	for range maxTries {
		auth, err := h.authorize(ctx, b, k, q.repository)
		switch {
		case err == nil:
		case ended(err) || hasCode(err, CodeRateLimited) || auth.challenge == k.confirmedChallenge():
			return nil, h.refuse(err)
		default:
			// The challenge is from another day, and may be out of date: ask
			// without an answer to it, which shows.
			failed, auth.header, auth.token = err, "", nil
		}
		resp, err := b.client.exchange(ctx, h, k, q, auth.header)
		if auth.token.tooLong(resp, err) {
			h.shorten(ctx, auth.token)
			continue
		}
		if err != nil {
			return nil, err
		}
		if status := resp.StatusCode(); status != http.StatusUnauthorized {
			if failed != nil && (status == http.StatusForbidden || status >= 500) {
				return nil, h.refuse(failed)
			}
			h.settle(ctx, auth, failed != nil, status)
			return resp, nil
		}
		learned := h.learn(ctx, k, auth.challenge, resp)
		switch {
		case learned != auth.challenge:
			failed = nil
		case failed != nil:
			return nil, h.refuse(failed)
		case !h.retire(auth.token, q.repository, b.started):
			return nil, h.refuse(h.denied(auth, q, resp))
		}
	}
	return nil, errorf(CodeUnauthorized, h.name, "%s keeps asking for another authorization for %s. Its administrator has to mend that.", h.name, q.name)
}

// authorize answers the challenge that is known of the host, if there is one.
func (h *host) authorize(ctx context.Context, b *Batch, k *contact, repository string) (authorization, error) {
	auth := authorization{challenge: h.remembered().Challenge}
	switch auth.challenge.Scheme {
	case schemeBasic:
		credential, err := h.credential(ctx)
		if err == nil && credential.Username != "" {
			auth.header = basicAuth(credential)
		}
		return auth, err
	case schemeBearer:
		t, err := h.token(ctx, b, k, auth.challenge, repository)
		if err == nil {
			auth.token, auth.header = t, "Bearer "+t.value
		}
		return auth, err
	}
	return auth, nil
}

func basicAuth(c Credential) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(c.Username+":"+c.Password))
}

// learn takes the challenge from a 401 and remembers it. It returns the one
// that was used if the answer has none, or none that can be answered.
func (h *host) learn(ctx context.Context, k *contact, used Challenge, resp *resty.Response) Challenge {
	learned := choose(parseChallenges(resp.Header()))
	if learned == (Challenge{}) {
		return used
	}
	k.confirm(learned)
	h.update(ctx, func(s *HostState) {
		if s.Challenge != learned {
			s.Challenge, s.MaxScopes = learned, 0
			h.dropTokens(func(*token) bool { return true })
			clear(h.alone)
		}
	})
	return learned
}

// settle draws the conclusions from an answer other than 401.
func (h *host) settle(ctx context.Context, auth authorization, bare bool, status int) {
	switch {
	case bare: // the registry has become an anonymous one
		h.update(ctx, func(s *HostState) { s.Challenge = Challenge{} })
	case auth.token != nil && auth.token.instead && status < 300:
		h.update(ctx, func(s *HostState) {
			s.MaxScopes = 1
			h.dropTokens(func(t *token) bool { return t.scopes > 1 && !t.listed })
		})
	}
}

// denied is the error for a 401 that there is no further answer to.
func (h *host) denied(auth authorization, q question, resp *resty.Response) *Error {
	e := statusError(h, q.name, resp)
	switch {
	case auth.challenge.Scheme == schemeBasic && auth.header != "":
		e.Message, e.hostwide = h.wrongPassword(h.name, said(resp)), true
	case auth.challenge.Scheme == schemeBasic:
		e.Message, e.hostwide = fmt.Sprintf("%s wants a user name and password. %s", h.name, h.adviceOnAccess()), true
	case auth.challenge.Scheme == "":
		e.Message = fmt.Sprintf("%s wants an authorization of a kind that is not supported; Bearer and Basic are.", h.name)
		e.hostwide = true
	case h.name == dockerHub:
		e.Message = fmt.Sprintf("%s does not exist on Docker Hub or is private. %s", q.name, h.adviceOnAccess())
	}
	return e
}

func (h *host) wrongPassword(by, said string) string {
	c := h.lastCredential()
	who := fmt.Sprintf("the user name %q and its password", printable(c.Username, 60))
	if c.IdentityToken != "" {
		who = "the identity token"
	}
	return fmt.Sprintf("%s refuses %s%s. They come from %s: correct them there.", by, who, said, c.Source)
}

func (h *host) adviceOnAccess() string {
	c := h.lastCredential()
	if c == (Credential{}) {
		return "If it is private, add the registry to registry.auth in the configuration, or sign in with docker login."
	}
	return fmt.Sprintf("The user name %q, from %s, may lack the right to pull it.", printable(c.Username, 60), c.Source)
}

func (k *contact) confirm(c Challenge) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.confirmed = c
}

func (k *contact) confirmedChallenge() Challenge {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.confirmed
}
