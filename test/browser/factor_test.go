package browser_test

import (
	"testing"
	"time"

	"github.com/chromedp/cdproto/webauthn"
	"github.com/pquerna/otp/totp"
)

// codes are the recovery codes that the page shows.
func (p *page) codes() []string {
	p.t.Helper()
	p.await(place+`.querySelector('.codes') !== null`, "a list of codes")
	codes := js[[]string](p, `[...`+place+`.querySelectorAll('.codes code')].map((c) => c.textContent)`)
	if len(codes) != 10 {
		p.t.Fatalf("%d recovery codes: %v", len(codes), codes)
	}
	return codes
}

// authenticatorApp is what was scanned; it shows the code of some steps
// from now.
type authenticatorApp string

func (a authenticatorApp) shows(t *testing.T, steps int) string {
	t.Helper()
	code, err := totp.GenerateCode(string(a), time.Now().Add(time.Duration(steps)*30*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// scan reads what the page shows for an app.
func (p *page) scan() authenticatorApp {
	p.t.Helper()
	p.await(`document.querySelector('.secret') !== null`, "a key")
	if !js[bool](p, `document.querySelector('.qr').complete && document.querySelector('.qr').naturalWidth >= 150`) {
		p.t.Error("the QR code isn't shown")
	}
	return authenticatorApp(js[string](p, `document.querySelector('.secret').textContent`))
}

func TestWhereAFactorIsRequiredTheFirstSignInSetsUpAPasskey(t *testing.T) {
	w := newWorld(t, append(anAccount(), required)...)
	p := newPage(t)
	laptop := p.laptop()
	p.login(w.url).heads("Set up a second factor")
	if js[int](p, `fetch('api/containers').then((r) => r.status)`) != 401 {
		t.Error("the temporary token opens more than the set-up")
	}
	p.fill("Name of the passkey", "Laptop").press("Create a passkey").heads("Recovery codes")
	p.codes()
	p.press("I have kept the codes").heads("Your account").sees("Laptop").sees("Signed in with a second factor.").sees("10 left.")
	all := p.credentials(laptop)
	if len(all) != 1 || all[0].RpID != "localhost" || !all[0].IsResidentCredential {
		t.Errorf("the authenticator has %+v", all)
	}

	// As second factor, and alone.
	p.press("Sign out").heads("Sign in")
	p.login(w.url).heads("Second factor").press("Use a passkey").heads("Your account")
	p.press("Sign out").heads("Sign in").press("Sign in with a passkey").heads("Your account").sees("Signed in with a second factor.")
	if used := p.credentials(laptop); used[0].SignCount <= all[0].SignCount {
		t.Errorf("the counter stays at %v", used[0].SignCount)
	}

	// Somebody at the laptop whom it doesn't know.
	p.press("Sign out").heads("Sign in")
	call(p, webauthn.SetUserVerified, webauthn.SetUserVerifiedParams{AuthenticatorID: laptop, IsUserVerified: false})
	p.press("Sign in with a passkey").sees("Nothing was confirmed")
	p.clean()
}

func TestAKeyWithAButtonIsASecondFactorAndNoMore(t *testing.T) {
	w := newWorld(t, append(anAccount(), required)...)
	p := newPage(t)
	p.simpleKey()
	p.login(w.url).heads("Set up a second factor").fill("Name of the passkey", "Key").press("Create a passkey").heads("Recovery codes")
	p.press("I have kept the codes").heads("Your account").press("Sign out").heads("Sign in")
	p.press("Sign in with a passkey").sees("Nothing was confirmed")
	p.login(w.url).heads("Second factor").press("Use a passkey").heads("Your account").sees("Key")
	p.clean()
}

func TestAnAuthenticatorAppAndRecoveryCodes(t *testing.T) {
	w := newWorld(t, append(anAccount(), required)...)
	p := newPage(t)
	p.login(w.url).heads("Set up a second factor").press("Set up an app").heads("Authenticator app")
	phone := p.scan()
	p.fill("Code from the app", "000000").press("Confirm code").sees("The code is wrong")
	p.fill("Code from the app", phone.shows(t, 0)).press("Confirm code").heads("Recovery codes")
	codes := p.codes()
	p.press("I have kept the codes").heads("Your account").press("Sign out").heads("Sign in")

	p.login(w.url).heads("Second factor").fill("Code from your authenticator app", phone.shows(t, 1)).press("Confirm").heads("Your account")
	p.press("Sign out").heads("Sign in")
	p.login(w.url).heads("Second factor").fill("Code from your authenticator app", phone.shows(t, 1)).press("Confirm").sees("The code is wrong, too old, or was used before.")
	p.press("Use a recovery code").fill("Recovery code", codes[3]).press("Confirm").heads("Your account").sees("9 left.")
	p.press("Sign out").heads("Sign in")
	p.login(w.url).heads("Second factor").press("Use a recovery code").fill("Recovery code", codes[3]).press("Confirm").sees("The code is wrong, too old, or was used before.")
	p.fill("Recovery code", codes[4]).press("Confirm").heads("Your account").sees("8 left.")
	p.clean()
}

func TestWhatIsDelicateAsksForAFreshProofAndGoesOn(t *testing.T) {
	w := newWorld(t, anAccount()...)
	p := newPage(t)
	laptop := p.laptop()
	p.login(w.url).heads("Your account").sees("Live ·")

	// Without a factor: the password.
	w.forgetProofs()
	p.press("Set up an app").heads("Is it you?").press("Cancel").heads("Your account")
	p.press("Set up an app").heads("Is it you?").fill("Your password", "wrong").press("Confirm").sees("The user name or the password is wrong.")
	p.fill("Your password", password).press("Confirm")
	phone := p.scan()
	p.fill("Code from the app", phone.shows(t, 0)).press("Confirm code").heads("Recovery codes").press("Continue").heads("Your account").sees("10 left.").sees("Live ·")

	// With an app: its code, no password.
	w.forgetProofs()
	p.press("Create a passkey").fill("Name of the passkey", "Laptop").press("Create a passkey").heads("Is it you?")
	p.fill("Code from your app, or a recovery code", phone.shows(t, 1)).press("Confirm").sees("Laptop").heads("Your account")

	// With a passkey: that.
	w.forgetProofs()
	p.press("Rename: Laptop").fill("Name of the passkey", "Old laptop").press("Save").heads("Is it you?").press("Use a passkey").sees("Old laptop").heads("Your account")
	w.forgetProofs()
	p.press("New recovery codes").press("New recovery codes").heads("Is it you?").press("Use a passkey")
	codes := p.codes()
	p.press("Continue").heads("Your account")

	w.forgetProofs()
	p.press("Remove: Old laptop").press("Remove").heads("Is it you?").fill("Code from your app, or a recovery code", codes[0]).press("Confirm").sees("No passkey yet.")
	p.await(`document.querySelector('dialog') === null`, "no dialog")
	p.press("Sign out").heads("Sign in").press("Sign in with a passkey").sees("The passkey's answer doesn't hold.")
	if n := len(p.credentials(laptop)); n != 1 {
		t.Errorf("the authenticator has %d credentials", n)
	}
	p.clean()
}

func TestRemovingTheLastFactorWhereOneIsRequiredBeginsAnew(t *testing.T) {
	w := newWorld(t, append(anAccount(), required)...)
	p := newPage(t)
	p.login(w.url).heads("Set up a second factor").press("Set up an app")
	p.fill("Code from the app", p.scan().shows(t, 0)).press("Confirm code").heads("Recovery codes").press("I have kept the codes").heads("Your account")
	p.press("Remove: Authenticator app").press("Remove").heads("Sign in")
	p.login(w.url).heads("Set up a second factor")
	p.clean()
}
