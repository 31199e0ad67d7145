package browser_test

import (
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

func TestTheFirstAdministratorIsMadeWithTheTokenFromTheLog(t *testing.T) {
	w := newWorld(t)
	p := newPage(t)
	p.open(w.url).heads("Set up Watch Docker")
	p.fill("Set-up token", "wrong", "User name", userName, "Password", password).press("Create administrator").sees("The set-up token is wrong")
	p.fill("Set-up token", w.setupToken()).press("Create administrator").heads("Your account").sees("ann · administrator")
	p.press("Sign out").heads("Sign in")
	p.clean()
}

func TestASignInWithAPassword(t *testing.T) {
	w := newWorld(t, anAccount()...)
	p := newPage(t)
	p.open(w.url).heads("Sign in").fill("User name", userName, "Password", "wrong").press("Sign in").sees("The user name or the password is wrong.")
	p.fill("User name", userName, "Password", password).press("Sign in").heads("Your account").sees("Signed in with a password alone.")
	p.sees("Live · 0 containers")
	// The session is a cookie that no script sees; nothing else is kept.
	if kept := js[string](p, `document.cookie + JSON.stringify(localStorage) + JSON.stringify(sessionStorage)`); kept != "{}{}" {
		t.Errorf("a script sees %s", kept)
	}
	p.open(w.url).heads("Your account") // again: it is still there
	p.press("Sign out").heads("Sign in")
	p.open(w.url).heads("Sign in")
	p.clean()
}

func TestTheKeyboardSuffices(t *testing.T) {
	w := newWorld(t, anAccount()...)
	p := newPage(t)
	p.open(w.url).heads("Sign in")
	for _, keys := range []string{userName, kb.Tab, password, kb.Enter} { // the focus is where one begins
		p.do(chromedp.KeyEvent(keys))
	}
	p.heads("Your account")
	// A dialog has the focus, keeps it, closes with Escape and gives it back.
	p.do(chromedp.Focus(button("Change password")), chromedp.KeyEvent(kb.Enter))
	p.heads("Change password")
	for range 8 {
		p.do(chromedp.KeyEvent(kb.Tab))
		if js[bool](p, `document.activeElement !== document.body && !document.querySelector('dialog').contains(document.activeElement)`) {
			t.Error("the focus leaves the dialog")
		}
	}
	p.do(chromedp.KeyEvent(kb.Escape))
	p.await(`document.querySelector('dialog') === null && document.activeElement.textContent === 'Change password'`, "the focus on the button")
	p.clean()
}

func TestEndingASessionClosesItsSocketAndSaysSo(t *testing.T) {
	w := newWorld(t, anAccount()...)
	here, there := newPage(t), newPage(t)
	there.login(w.url).sees("Live ·")
	here.login(w.url).heads("Your account").press("End: Chrome · Linux")
	there.heads("Sign in").sees("Your session has ended.")
	if n := w.requests(`"route":"/api/events/ws"`, `"status":101`); n < 1 {
		t.Errorf("the access log has %d sockets that have ended", n)
	}
	here.sees("Live ·").press("Sign out").heads("Sign in")
	here.clean()
	there.clean()
}

func TestAChangedPasswordEndsTheOtherSessionsAlone(t *testing.T) {
	w := newWorld(t, anAccount()...)
	here, there := newPage(t), newPage(t)
	there.login(w.url).heads("Your account").sees("Live ·")
	here.login(w.url).heads("Your account").press("Change password")
	here.fill("Current password", password, "New password", "another long password", "New password again", "a different one").press("Change password").
		sees("The two new passwords differ.")
	here.fill("New password again", "another long password", "Current password", "wrong").press("Change password").sees("The user name or the password is wrong.")
	here.fill("Current password", password).press("Change password")
	there.heads("Sign in")
	here.await(`document.querySelector('dialog') === null`, "no dialog").heads("Your account").sees("Live ·")
	here.open(w.url).heads("Your account")
	there.login(w.url).sees("The user name or the password is wrong.")
	there.fill("User name", userName, "Password", "another long password").press("Sign in").heads("Your account")
	here.clean()
	there.clean()
}

func TestAnAPITokenIsShownOnceAndCountsUntilItIsRemoved(t *testing.T) {
	w := newWorld(t, anAccount()...)
	p := newPage(t)
	p.login(w.url).heads("Your account").press("Show API tokens").sees("No API token.").press("Make a token")
	p.fill("What it is for", "backup script").press("Make a token").heads("Your new token")
	token := js[string](p, `document.querySelector('dialog .codes code').textContent`)
	p.do(chromedp.KeyEvent(kb.Escape)) // it is shown once: Escape doesn't take it away
	p.do(chromedp.KeyEvent(kb.Escape))
	p.press("Continue").sees("backup script")
	ask := func() int {
		t.Helper()
		return js[int](p, `fetch('api/containers', {credentials: 'omit', headers: {Authorization: 'Bearer `+token+`'}}).then((r) => r.status)`)
	}
	if status := ask(); status != 200 {
		t.Errorf("the token: %d", status)
	}
	p.press("Remove: backup script").press("Remove").sees("No API token.")
	if status := ask(); status != 401 {
		t.Errorf("a token that was removed: %d", status)
	}
	p.clean()
}

func TestWhatIsWrittenIntoThePageDoesNotRun(t *testing.T) {
	w := newWorld(t, anAccount()...)
	p := newPage(t)
	p.login(w.url).heads("Your account").press("Create a passkey") // a name is text wherever it is shown
	p.press("Cancel").press("Show API tokens").press("Make a token").fill("What it is for", "<img src=x onerror=alert(1)>").press("Make a token").press("Continue")
	p.sees("<img src=x onerror=alert(1)>")
	for name, write := range map[string]string{
		"a handler":       `document.body.insertAdjacentHTML('beforeend', '<img src="x" onerror="window.ran = true">')`,
		"a script":        `document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.ran = true'}))`,
		"another's":       `document.body.append(Object.assign(document.createElement('script'), {src: 'https://elsewhere.example/x.js'}))`,
		"a style":         `document.body.insertAdjacentHTML('beforeend', '<p style="color: red">')`,
		"another's image": `document.body.append(Object.assign(document.createElement('img'), {src: 'https://elsewhere.example/x.png'}))`,
		"a question":      `fetch('https://elsewhere.example/').catch(() => {})`,
		"a form":          `(() => { const f = document.createElement('form'); f.action = 'api/v1/auth/logout'; f.method = 'post'; document.body.append(f); f.submit(); })()`,
	} {
		if blocked := js[bool](p, `new Promise((done) => {
			document.addEventListener('securitypolicyviolation', () => done(true), {once: true});
			`+write+`;
		})`); !blocked {
			t.Errorf("%s isn't blocked", name)
		}
	}
	if js[bool](p, `window.ran === true`) {
		t.Error("it ran")
	}
	p.clean()
}
