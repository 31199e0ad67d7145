package attack_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/descope/virtualwebauthn"
	"github.com/pquerna/otp/totp"
)

const period = 30 * time.Second // of a TOTP step

// generator makes a user's TOTP codes, each step's once.
type generator struct {
	testing.TB

	secret string
	last   int64 // the step used last
}

// code gives the next code that hasn't been used: three are at hand at any
// time, the steps around now; for a fourth it waits.
func (g *generator) code() string {
	g.Helper()
	oldest := time.Now().Add(period/6).Unix()/30 - 1 // not one that is about to be too old
	g.last = max(g.last+1, oldest)
	if ahead := time.Unix((g.last-1)*30, 0); time.Now().Before(ahead) {
		<-time.After(time.Until(ahead))
	}
	return g.at(g.last)
}

func (g *generator) at(step int64) string {
	g.Helper()
	code, err := totp.GenerateCode(g.secret, time.Unix(step*30, 0))
	if err != nil {
		g.Fatal(err)
	}
	return code
}

// wrong is a code that isn't right for any step near now.
func (g *generator) wrong() string {
	g.Helper()
	now := time.Now().Unix() / 30
	for _, guess := range []string{"000000", "111111", "222222", "333333", "444444", "555555", "666666", "777777"} {
		right := false
		for step := now - 3; step <= now+3; step++ {
			right = right || g.at(step) == guess
		}
		if !right {
			return guess
		}
	}
	g.Fatal("eight right codes")
	return ""
}

// enrolTOTP gives the client's user a TOTP factor; the client goes on with the
// new session.
func (c *client) enrolTOTP() (*generator, []string) {
	c.Helper()
	secret := c.must("POST", "/api/v1/2fa/setup/otp/init", nil).text("secret")
	g := &generator{TB: c.TB, secret: secret}
	a := c.must("POST", "/api/v1/2fa/setup/otp/verify", map[string]string{"code": g.code()})
	c.keep(a)
	return g, recoveryCodes(c, a)
}

func recoveryCodes(t testing.TB, a answer) []string {
	t.Helper()
	list, _ := a.get("recoveryCodes").([]any)
	codes := make([]string, 0, len(list))
	for _, code := range list {
		codes = append(codes, code.(string))
	}
	return codes
}

// key is a software authenticator with one credential.
type key struct {
	virtualwebauthn.Authenticator
	virtualwebauthn.Credential

	site virtualwebauthn.RelyingParty
}

// newKey is one for the host that clients call the program by.
func (w *world) newKey() *key {
	return &key{
		Authenticator: virtualwebauthn.NewAuthenticator(), Credential: newCredential(),
		site: virtualwebauthn.RelyingParty{ID: "localhost", Name: "Watch Docker", Origin: "http://" + w.host},
	}
}

// newCredential leaves out keys whose coordinates begin with a zero byte,
// which the library would write too short (1 in 128).
func newCredential() virtualwebauthn.Credential {
	for {
		c := virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2)
		if len(c.Key.AttestationData()) == 77 {
			return c
		}
	}
}

// ceremony is what the server began.
type ceremony struct {
	id      string
	options string
}

func (c *client) begin(path string, body any, options ...option) ceremony {
	c.Helper()
	return ceremonyOf(c, c.must("POST", path, body, options...))
}

func ceremonyOf(t testing.TB, a answer) ceremony {
	t.Helper()
	text, err := json.Marshal(a.get("options"))
	if err != nil || a.text("sessionId") == "" {
		t.Fatalf("no ceremony: %s", a)
	}
	return ceremony{id: a.text("sessionId"), options: string(text)}
}

// attest answers a registration.
func (k *key) attest(t testing.TB, c ceremony) map[string]any {
	t.Helper()
	options, err := virtualwebauthn.ParseAttestationOptions(c.options)
	if err != nil {
		t.Fatalf("%v: %s", err, c.options)
	}
	k.Options.UserHandle = []byte(options.UserID)
	return finish(c, virtualwebauthn.CreateAttestationResponse(k.site, k.Authenticator, k.Credential, *options))
}

// assert answers a sign-in, with a counter that has grown.
func (k *key) assert(t testing.TB, c ceremony) map[string]any {
	t.Helper()
	k.Counter++
	return k.again(t, c)
}

// again answers with the counter as it is.
func (k *key) again(t testing.TB, c ceremony) map[string]any {
	t.Helper()
	options, err := virtualwebauthn.ParseAssertionOptions(c.options)
	if err != nil {
		t.Fatalf("%v: %s", err, c.options)
	}
	return finish(c, virtualwebauthn.CreateAssertionResponse(k.site, k.Authenticator, k.Credential, *options))
}

func finish(c ceremony, credential string) map[string]any {
	return map[string]any{"sessionId": c.id, "credential": json.RawMessage(bytes.TrimSpace([]byte(credential)))}
}

// enrolKey gives the client's user a passkey; the client goes on with the new
// session.
func (c *client) enrolKey() *key {
	c.Helper()
	k := c.newKey()
	begun := c.begin("/api/v1/2fa/setup/webauthn/begin", map[string]string{"name": "key"})
	a := c.must("POST", "/api/v1/2fa/setup/webauthn/finish", k.attest(c, begun))
	c.keep(a)
	return k
}
