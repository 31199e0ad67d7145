package browser_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"github.com/watch-docker/watch-docker/test/testbed"
)

// page is one tab in a profile of its own.
type page struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	problems []string // what the browser complains of in its console
}

// newPage opens a tab; with `beside`, in that tab's profile.
func newPage(t *testing.T, beside ...*page) *page {
	t.Helper()
	parent, err := browser.start()
	if err != nil {
		t.Fatal(err)
	}
	var options []chromedp.ContextOption
	if len(beside) > 0 {
		parent = beside[0].ctx
	} else {
		options = append(options, chromedp.WithNewBrowserContext())
	}
	ctx, cancel := chromedp.NewContext(parent, options...)
	t.Cleanup(cancel)
	p := &page{t: t, ctx: ctx}
	if err := chromedp.Do(ctx); err != nil { // without a time limit, which would be the tab's
		t.Fatal(err)
	}
	if err := chromedp.Listen(ctx, p.listen); err != nil {
		t.Fatal(err)
	}
	p.language("en")
	return p
}

// listen keeps what no page of ours may cause: a violated policy, an exception.
func (p *page) listen(event any) {
	if e, ok := event.(*runtime.EventExceptionThrown); ok {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.problems = append(p.problems, fmt.Sprintf("%s %+v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception))
	}
}

func (p *page) try(actions ...chromedp.Action[chromedp.Void]) error {
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	return chromedp.Do(ctx, actions...)
}

func (p *page) do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := p.try(actions...); err != nil {
		p.t.Fatalf("%v; the page says: %s", err, p.text())
	}
}

// call asks the browser itself.
func call[P, R any](p *page, command cdp.Command[P, R], params P) R {
	p.t.Helper()
	result, err := chromedp.Call(p.ctx, command, params)
	if err != nil {
		p.t.Fatal(err)
	}
	return result
}

// js is the value of an expression in the page; it waits for a promise.
func js[T any](p *page, expression string) T {
	p.t.Helper()
	value, err := evaluate[T](p, expression)
	if err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	return value
}

func evaluate[T any](p *page, expression string) (T, error) {
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

func (p *page) text() string {
	text, err := evaluate[string](p, `document.body.innerText`)
	if err != nil {
		return err.Error()
	}
	return text
}

func (p *page) open(url string) *page {
	p.t.Helper()
	p.do(chromedp.Navigate(url))
	return p
}

func (p *page) language(tag string) {
	p.t.Helper()
	agent := js[string](p, `navigator.userAgent`)
	call(p, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: agent, AcceptLanguage: tag})
}

// place is where a person would look: the dialog on top, or the page.
const place = `([...document.querySelectorAll('dialog[open]')].at(-1) ?? document.body)`

// input is the field with this label.
func input(label string) chromedp.JSPath {
	return chromedp.JSPath(fmt.Sprintf(`[...%s.querySelectorAll('label')].find((l) => l.textContent === %q)?.control`, place, label))
}

// button is the one with this text, or name.
func button(name string) chromedp.JSPath {
	return chromedp.JSPath(fmt.Sprintf(`[...%s.querySelectorAll('button')].find((b) => !b.disabled && !b.ariaDisabled && [b.textContent, b.ariaLabel].includes(%q))`, place, name))
}

// fill types into the fields, by their labels: name, value, name, value…
func (p *page) fill(fields ...string) *page {
	p.t.Helper()
	for pair := range slices.Chunk(fields, 2) {
		p.await(string(input(pair[0]))+` !== undefined`, "a field "+pair[0])
		js[bool](p, fmt.Sprintf(`%s.focus() ?? %[1]s.select() ?? true`, input(pair[0])))
		p.do(chromedp.KeyEvent(pair[1])) // over what is there, which is selected
	}
	return p
}

// press waits for a button and clicks it. One that the page draws anew just
// then is looked for again, as a person would.
func (p *page) press(name string) *page {
	p.t.Helper()
	testbed.Eventually(p.t, patience, func() error {
		p.await(string(button(name))+` !== undefined`, "a button "+name)
		err := p.try(chromedp.Click(button(name)))
		if err != nil && !isGone(err) {
			p.t.Fatalf("press %s: %v; the page says: %s", name, err, p.text())
		}
		return err
	})
	return p
}

// isGone reports whether the browser means an element that is there no more.
func isGone(err error) bool {
	var answer *cdproto.Error
	return errors.As(err, &answer) && strings.Contains(answer.Message, "Could not find node")
}

// sees waits until the page shows a text; where a dialog is open, the dialog.
func (p *page) sees(text string) *page {
	p.t.Helper()
	p.await(fmt.Sprintf(`%s.innerText.includes(%q)`, place, text), text)
	return p
}

// heads waits for a heading: the view is there.
func (p *page) heads(title string) *page {
	p.t.Helper()
	p.await(fmt.Sprintf(`[...%s.querySelectorAll('h1, h2')].some((h) => h.textContent === %q)`, place, title), "the heading "+title)
	return p
}

func (p *page) await(condition, what string) *page {
	p.t.Helper()
	testbed.Eventually(p.t, patience, func() error {
		ok, err := evaluate[bool](p, condition)
		if err == nil && !ok {
			err = fmt.Errorf("%s isn't there: %s", what, p.text())
		}
		return err
	})
	return p
}

// authenticator gives the page a simulated one.
func (p *page) authenticator(o webauthn.VirtualAuthenticatorOptions) webauthn.AuthenticatorID {
	p.t.Helper()
	call(p, webauthn.Enable, webauthn.EnableParams{})
	o.Protocol, o.AutomaticPresenceSimulation = webauthn.AuthenticatorProtocolCtap2, true
	return call(p, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &o}).AuthenticatorID
}

// laptop has a fingerprint reader, and keeps passkeys.
func (p *page) laptop() webauthn.AuthenticatorID {
	return p.authenticator(webauthn.VirtualAuthenticatorOptions{
		Transport: webauthn.AuthenticatorTransportInternal, HasResidentKey: true, HasUserVerification: true, IsUserVerified: true,
	})
}

// simpleKey has a button and nothing else.
func (p *page) simpleKey() webauthn.AuthenticatorID {
	return p.authenticator(webauthn.VirtualAuthenticatorOptions{Transport: webauthn.AuthenticatorTransportUsb})
}

func (p *page) credentials(id webauthn.AuthenticatorID) []*webauthn.Credential {
	p.t.Helper()
	return call(p, webauthn.GetCredentials, webauthn.GetCredentialsParams{AuthenticatorID: id}).Credentials
}

// login gives the password, and nothing more.
func (p *page) login(url string) *page {
	p.t.Helper()
	return p.open(url).heads("Sign in").fill("User name", userName, "Password", password).press("Sign in")
}

// clean fails if something went wrong in the page without being shown.
func (p *page) clean() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.problems) > 0 {
		p.t.Errorf("in the page: %s", strings.Join(p.problems, "\n"))
	}
}

// picture writes a screenshot where WATCHDOCKER_TEST_PICTURES says.
func (p *page) picture(name string) {
	p.t.Helper()
	folder := os.Getenv("WATCHDOCKER_TEST_PICTURES")
	if folder == "" {
		return
	}
	shot, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
	if err = errors.Join(err, os.WriteFile(filepath.Join(folder, name+".png"), shot, 0o644)); err != nil {
		p.t.Fatal(err)
	}
}
