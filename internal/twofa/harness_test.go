package twofa_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/descope/virtualwebauthn"
	"github.com/pquerna/otp/totp"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/watch-docker/watch-docker/internal/store"
	"github.com/watch-docker/watch-docker/internal/twofa"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type world struct {
	*twofa.Service

	t     testing.TB
	store *store.Store
	log   *observer.ObservedLogs

	mu sync.Mutex
	at time.Time
}

// newWorld has the users ann, bob and Carl, none with a factor.
func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, at: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	var err error
	if w.store, err = store.Open(t.Context(), t.TempDir()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.store.Close() })
	for _, name := range []string{"ann", "bob", "Carl"} {
		if err := w.store.AddUser(t.Context(), store.User{Name: name, PasswordHash: "h", Role: "viewer", CreatedAt: w.at, ChangedAt: w.at}); err != nil {
			t.Fatal(err)
		}
	}
	w.restart()
	return w
}

func (w *world) restart() {
	core, log := observer.New(zap.DebugLevel)
	w.log = log
	w.Service = twofa.New(twofa.Dependencies{Store: w.store, Logger: zap.New(core), Now: w.now})
}

// meet has the next n uses of a factor wait for each other after they were
// found right, and before the store has noted any of them.
func (w *world) meet(n int) {
	meeting := &meeting{Store: w.store}
	meeting.Add(n)
	w.Service = twofa.New(twofa.Dependencies{Store: meeting, Now: w.now})
}

type meeting struct {
	twofa.Store
	sync.WaitGroup
}

func (m *meeting) UseTOTP(ctx context.Context, user string, secret []byte, step int64, at time.Time) (bool, error) {
	m.Done()
	m.Wait()
	return m.Store.UseTOTP(ctx, user, secret, step, at)
}

func (m *meeting) UsePasskey(ctx context.Context, p store.Passkey, checked uint32) (bool, error) {
	m.Done()
	m.Wait()
	return m.Store.UsePasskey(ctx, p, checked)
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at = w.at.Add(d)
}

// here is the site of most tests; its port isn't the scheme's own.
func here() twofa.Site {
	return twofa.Site{RPID: "dash.example.org", Origin: "https://dash.example.org:8443"}
}

func (w *world) status(user string, at twofa.Site) twofa.Status {
	w.t.Helper()
	status, err := w.Status(w.t.Context(), user, at)
	if err != nil {
		w.t.Fatal(err)
	}
	return status
}

// otp sets up one-time codes and goes on to the next step.
func (w *world) otp(user string) (secret string, recovery []string) {
	w.t.Helper()
	e, err := w.BeginOTP(w.t.Context(), user, "s")
	if err != nil {
		w.t.Fatal(err)
	}
	recovery, err = w.FinishOTP(w.t.Context(), user, "s", w.code(e.Secret, 0), false)
	if err != nil {
		w.t.Fatal(err)
	}
	w.pass(30 * time.Second)
	return e.Secret, recovery
}

func (w *world) code(secret string, later time.Duration) string {
	w.t.Helper()
	code, err := totp.GenerateCode(secret, w.now().Add(later))
	if err != nil {
		w.t.Fatal(err)
	}
	return code
}

// device is an authenticator with one credential.
type device struct {
	virtualwebauthn.Authenticator

	key virtualwebauthn.Credential
}

func newDevice() *device {
	d := &device{Authenticator: virtualwebauthn.NewAuthenticator(), key: virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2)}
	// One key in 128 has a coordinate that begins with a zero byte, which
	// virtualwebauthn leaves out: that is no COSE key (RFC 9053, 7.1.1).
	for len(d.key.Key.AttestationData()) != coseKeySize {
		d.key = virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2)
	}
	return d
}

const coseKeySize = 77 // of P-256: a map of five, with two coordinates of 32 bytes

func party(at twofa.Site) virtualwebauthn.RelyingParty {
	return virtualwebauthn.RelyingParty{ID: at.RPID, Origin: at.Origin}
}

// create answers a registration as the browser at a site has it answered.
func (d *device) create(t testing.TB, at twofa.Site, c twofa.Ceremony) json.RawMessage {
	t.Helper()
	options, err := virtualwebauthn.ParseAttestationOptions(string(c.Options))
	if err != nil {
		t.Fatal(err)
	}
	d.Options.UserHandle = []byte(options.UserID)
	return json.RawMessage(virtualwebauthn.CreateAttestationResponse(party(at), d.Authenticator, d.key, *options))
}

// get answers a verification, with the counter as it stands.
func (d *device) get(t testing.TB, at twofa.Site, c twofa.Ceremony) json.RawMessage {
	t.Helper()
	options, err := virtualwebauthn.ParseAssertionOptions(string(c.Options))
	if err != nil {
		t.Fatal(err)
	}
	return json.RawMessage(virtualwebauthn.CreateAssertionResponse(party(at), d.Authenticator, d.key, *options))
}

// counted counts one up before it answers, as most security keys do.
func (d *device) counted(t testing.TB, at twofa.Site, c twofa.Ceremony) json.RawMessage {
	t.Helper()
	d.key.Counter++
	return d.get(t, at, c)
}

func (w *world) register(user string, at twofa.Site, d *device) (recovery []string) {
	w.t.Helper()
	c := w.begin(w.BeginRegistration(w.t.Context(), user, "s", at, twofa.Registration{}))
	recovery, err := w.FinishRegistration(w.t.Context(), user, "s", at, c.ID, d.create(w.t, at, c), false)
	if err != nil {
		w.t.Fatal(err)
	}
	return recovery
}

func (w *world) begin(c twofa.Ceremony, err error) twofa.Ceremony {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// verify is a whole verification of ann.
func (w *world) verify(at twofa.Site, d *device) error {
	w.t.Helper()
	c := w.begin(w.BeginVerification(w.t.Context(), "ann", "s", at))
	return w.FinishVerification(w.t.Context(), "ann", "s", at, c.ID, d.counted(w.t, at, c))
}

func wants(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("got error %v, want %v", got, want)
	}
}
