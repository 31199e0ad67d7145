// Setting up a second factor, for the first time or one more.
import { post } from './api.js';
import { ask, button, codeField, el, field, form, say, show } from './dom.js';
import { canUse, register } from './passkey.js';
import { t } from './text.js';

// enrol offers both kinds; `done` gets the answer to what was set up.
export function enrol(o) {
  return [
    el('h1', {}, o.title),
    el('p', {}, o.intro),
    el('section', { class: 'card', 'aria-labelledby': 'with-passkey' }, el('h2', { id: 'with-passkey' }, t('enrol.passkey.title')),
      el('p', {}, t('enrol.passkey.intro')), passkeyForm(o)),
    el('section', { class: 'card', 'aria-labelledby': 'with-app' }, el('h2', { id: 'with-app' }, t('enrol.otp.title')),
      el('p', {}, t('enrol.otp.intro')), el('div', { class: 'row' }, button(t('enrol.otp.submit'), async () => {
        const made = await post('api/v1/2fa/setup/otp/init');
        show(() => [el('h1', {}, t('enrol.otp.title')), otpForm(made, o.done, button(t('cancel'), () => show(() => enrol(o))))]);
      }))),
    el('div', { class: 'alternatives' }, button(t('factor.back'), o.back, { class: 'quiet' })),
  ];
}

// passkeyForm makes one, or says why it can't.
export function passkeyForm({ status, done }, ...more) {
  if (status.passkeysUnavailable) return el('p', { class: 'note' }, status.passkeysUnavailable);
  if (!canUse()) return el('p', { class: 'note' }, t('passkey.unsupported'));
  return form([field('name', t('enrol.passkey.name'), { hint: t('enrol.passkey.name.hint'), maxlength: '64', autocomplete: 'off' })],
    t('enrol.passkey.submit'), async ({ name }) => {
      const ceremony = await post('api/v1/2fa/setup/webauthn/begin', { name });
      await done(await post('api/v1/2fa/setup/webauthn/finish', await register(ceremony)));
    }, ...more);
}

// otpForm shows what an app needs, and asks for its first code.
export function otpForm(made, done, ...more) {
  return el('div', {},
    el('p', {}, t('enrol.otp.scan')),
    el('img', { class: 'qr', src: made.qrCode, alt: t('enrol.otp.qr') }),
    el('p', {}, t('enrol.otp.secret'), ': ', el('code', { class: 'secret' }, made.secret)),
    form([codeField(t('enrol.otp.code'), { autofocus: true })], t('enrol.otp.finish'),
      async ({ code }) => done(await post('api/v1/2fa/setup/otp/verify', { code })), ...more));
}

// addOTP does so in a dialog; it gives the answer, or null.
export async function addOTP() {
  const made = await post('api/v1/2fa/setup/otp/init');
  return ask(t('enrol.otp.title'), (done) => otpForm(made, done, button(t('cancel'), () => done(null))));
}

// kept shows what is shown once, with ways to take it away.
function kept(list, file, label) {
  const text = list.join('\n') + '\n';
  const items = el('ol', { class: list.length > 1 ? 'codes' : 'codes single', 'aria-label': label }, list.map((c) => el('li', {}, el('code', {}, c))));
  return [items, el('div', { class: 'row' },
    button(t('codes.copy'), async () => {
      if (navigator.clipboard) {
        await navigator.clipboard.writeText(text);
        say(t('codes.copied'));
      } else { // plain HTTP: they are marked, for the user to copy
        getSelection().selectAllChildren(items);
      }
    }),
    button(t('codes.download'), () => {
      const link = el('a', { href: URL.createObjectURL(new Blob([text], { type: 'text/plain' })), download: file });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    }))];
}

// recoveryCodes is the view after a set-up.
export function recoveryCodes(codes, next) {
  return [
    el('h1', {}, t('codes.title')),
    el('p', {}, t('codes.intro')),
    kept(codes, 'watch-docker-recovery-codes.txt', t('codes.list')),
    el('div', { class: 'alternatives' }, button(t('codes.kept'), next, { class: 'main' })),
  ].flat();
}

// showOnce is the same in a dialog.
export const showOnce = (title, intro, list, file) => ask(title, (done) => [
  el('p', {}, intro), ...kept(list, file, title), el('div', { class: 'row' }, button(t('next'), () => done(true), { class: 'main' })),
], { keep: true });
