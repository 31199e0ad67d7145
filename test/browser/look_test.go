package browser_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// look is how somebody has the page before them.
type look struct {
	width    int64
	scheme   string // light, dark
	language string
}

func (l look) String() string { return fmt.Sprintf("%d-%s-%s", l.width, l.scheme, l.language) }

func (p *page) as(l look) {
	p.t.Helper()
	p.language(l.language)
	p.do(chromedp.EmulateViewport(l.width, 900))
	call(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: l.scheme}},
	})
}

// inspect looks at a view in every way that it may be seen: the browser's
// own accessibility tree, the contrast of each text, and what doesn't fit.
func (p *page) inspect(view string) {
	p.t.Helper()
	p.picture(view)
	if wide := js[[]string](p, `[document.documentElement, ...document.querySelectorAll('dialog')].filter((e) => e.scrollWidth > e.clientWidth).map((e) => e.tagName + ' ' + e.scrollWidth + ' > ' + e.clientWidth)`); len(wide) > 0 {
		p.t.Errorf("%s: wider than the screen: %v", view, wide)
	}
	for _, faint := range js[[]string](p, contrast) {
		p.t.Errorf("%s: too little contrast: %s", view, faint)
	}
	call(p, accessibility.Enable, struct{}{})
	seen := 0
	for _, node := range call(p, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{}).Nodes {
		if node.Ignored || node.Role == nil {
			continue
		}
		role, name := string(node.Role.Value), ""
		if node.Name != nil {
			name = string(node.Name.Value)
		}
		named := []string{"textbox", "button", "combobox", "checkbox", "link", "image", "dialog", "region", "heading"}
		if !slices.Contains(named, strings.Trim(role, `"`)) {
			continue
		}
		seen++
		if strings.Trim(name, `" `) == "" {
			p.t.Errorf("%s: %s without a name", view, role)
		}
	}
	if seen < 2 {
		p.t.Errorf("%s: the accessibility tree has %d named nodes", view, seen)
	}
	small := js[[]string](p, `[...document.querySelectorAll('button, input, select')].filter((e) => e.offsetParent && e.getBoundingClientRect().height < 24).map((e) => e.outerHTML)`)
	for _, s := range small {
		p.t.Errorf("%s: hard to hit: %s", view, s)
	}
}

// contrast lists texts below WCAG's AA: 4.5, or 3 for large ones.
const contrast = `(() => {
	const canvas = Object.assign(document.createElement('canvas'), {width: 1, height: 1}).getContext('2d', {willReadFrequently: true});
	const rgba = (color) => {
		canvas.clearRect(0, 0, 1, 1);
		canvas.fillStyle = color;
		canvas.fillRect(0, 0, 1, 1);
		return [...canvas.getImageData(0, 0, 1, 1).data];
	};
	const luminance = ([r, g, b]) => [r, g, b].map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
		.reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
	const behind = (e) => {
		for (; e; e = e.parentElement) {
			const color = rgba(getComputedStyle(e).backgroundColor);
			if (color[3] === 255) return color;
		}
		return rgba(getComputedStyle(document.body).backgroundColor);
	};
	const faint = [];
	const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	while (walker.nextNode()) {
		const e = walker.currentNode.parentElement;
		if (!walker.currentNode.data.trim() || !e.checkVisibility() || e.closest('noscript, .hidden')) continue;
		const style = getComputedStyle(e);
		const [a, b] = [luminance(rgba(style.color)), luminance(behind(e))];
		const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
		const size = parseFloat(style.fontSize);
		const large = size >= 24 || size >= 18.66 && style.fontWeight >= 700;
		if (ratio < (large ? 3 : 4.5)) faint.push(walker.currentNode.data.trim() + ' ' + ratio.toFixed(2));
	}
	return faint;
})()`

// words are what the walk needs of each language.
var words = map[string][]string{ //nolint:gochecknoglobals // a table
	"en":    {"Set up Watch Docker", "Set-up token", "User name", "Password", "Create administrator"},
	"zh-CN": {"设置 Watch Docker", "设置令牌", "用户名", "密码", "创建管理员"},
}

func TestEveryViewIsReadableInEveryWayItMayBeSeen(t *testing.T) {
	for _, l := range []look{{1280, "light", "en"}, {390, "dark", "en"}, {390, "light", "zh-CN"}, {1280, "dark", "zh-CN"}, {360, "light", "en"}} {
		t.Run(l.String(), func(t *testing.T) {
			w := newWorld(t, required)
			p := newPage(t)
			p.laptop()
			p.as(l)
			say := words[l.language]
			p.open(w.url).heads(say[0]).inspect("1-setup-" + l.String())
			p.fill(say[1], w.setupToken(), say[2], userName, say[3], password).press(say[4])
			view := func(name string, ready string) {
				t.Helper()
				p.await(ready, name).inspect(name + "-" + l.String())
			}
			press := func(selector string) {
				t.Helper()
				p.await(fmt.Sprintf(`document.querySelector(%q) !== null`, selector), selector)
				p.do(chromedp.Click(chromedp.JSPath(fmt.Sprintf(`document.querySelector(%q)`, selector))))
			}
			view("2-enrol", `document.querySelectorAll('section.card').length === 2`)
			press("section.card:nth-of-type(2) button")
			view("3-app", `document.querySelector('.qr')?.complete`)
			app := p.scan()
			p.do(chromedp.Focus(chromedp.CSS("input.code")), chromedp.KeyEvent(app.shows(t, 0)))
			press("button.main")
			view("4-codes", `document.querySelector('.codes') !== null`)
			press("button.main")
			view("5-account", `document.querySelectorAll('.card').length > 5 && document.getElementById('live').textContent !== ''`)
			press("#passkeys ~ .row button")
			view("6-passkey", `document.querySelector('dialog input') !== null`)
			p.do(chromedp.KeyEvent("MacBook Pro von Änne"))
			press("dialog button.main")
			view("7-account", `document.querySelector('dialog') === null && document.querySelector('#passkeys + .list') !== null`)
			press("#tokens ~ .row button")
			p.await(`document.querySelectorAll('#tokens ~ p').length === 2`, "no tokens")
			press("#tokens ~ .row button")
			view("8-token", `document.querySelector('dialog select') !== null`)
			p.do(chromedp.KeyEvent("backup"))
			press("dialog button.main")
			view("9-token-made", `document.querySelector('dialog .codes') !== null`)
			press("dialog button.main")
			p.await(`document.querySelector('dialog') === null && document.querySelector('#tokens ~ .list') !== null`, "the token")
			w.forgetProofs()
			press("#recovery ~ .row button")
			view("a-sure", `document.querySelector('dialog') !== null`)
			press("dialog .danger")
			view("b-stepup", `document.querySelector('dialog input') !== null`)
			press("dialog form button[type=button]")
			p.await(`document.querySelector('dialog') === null`, "no dialog")
			press(".who button")
			view("c-signin", `document.querySelector('h1') !== null && document.querySelectorAll('input').length === 2`)
			p.fill(say[2], userName, say[3], "wrong")
			press("button.main")
			view("d-wrong", `document.querySelector('.error').textContent !== ''`)
			p.fill(say[3], password)
			press("button.main")
			view("e-factor", `document.querySelectorAll('.alternatives button').length === 3`)
			press("#language")
			p.await(fmt.Sprintf(`document.documentElement.lang === %q`, map[string]string{"en": "zh-Hans", "zh-CN": "en"}[l.language]), "the other language")
			p.clean()
		})
	}
}
