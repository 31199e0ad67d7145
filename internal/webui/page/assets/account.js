// The account: who I am, and what lets me in.
import { call, get, post } from './api.js';
import { ask, button, el, field, form, say, show, sure } from './dom.js';
import { addOTP, passkeyForm, showOnce } from './enrol.js';
import { t, when } from './text.js';
import { tokens } from './tokens.js';

// account shows the view; `signedOut` follows when there is no session any more.
export async function account(signedOut) {
  const state = { tokens: null };

  async function load() {
    const [me, status, sessions] = await Promise.all([get('api/v1/auth/me'), get('api/v1/2fa/status'), get('api/v1/auth/sessions')]);
    Object.assign(state, { me, status, sessions: sessions.sessions });
  }

  // again fetches and draws anew; the focus stays near the part that changed.
  state.again = async (part, said) => {
    try {
      await load();
    } catch (error) {
      if (error.status !== 401) throw error;
      await signedOut();
      return;
    }
    state.draw(part);
    if (said) say(said);
  };
  state.draw = (part) => {
    show(view, { keepFocus: true });
    document.getElementById(part)?.focus();
  };
  const view = () => [
    el('h1', {}, t('account.title')),
    who(state, signedOut), passkeys(state), otp(state), state.status.isSetup && recovery(state), password(state), sessions(state, signedOut), tokens(state),
  ].filter(Boolean);

  await load();
  show(view);
}

export const card = (id, title, ...content) => el('section', { class: 'card', 'aria-labelledby': id }, el('h2', { id, tabindex: '-1' }, title), content);

function who({ me }, signedOut) {
  return el('div', { class: 'card who' },
    el('div', {}, el('p', { class: 'name' }, t('account.who', { username: me.username, role: t('role.' + me.role) })),
      el('p', { class: 'hint' }, t(me.twoFAVerified ? 'account.verified' : 'account.unverified'))),
    button(t('account.signout'), async () => {
      await post('api/v1/auth/logout');
      await signedOut();
    }));
}

// withCodes shows the codes that a first factor brought.
async function withCodes(answer) {
  if (answer?.recoveryCodes?.length) await showOnce(t('codes.title'), t('codes.intro'), answer.recoveryCodes, 'watch-docker-recovery-codes.txt');
}

function passkeys(state) {
  const list = state.status.credentials.map((c) => el('li', {},
    el('div', {}, el('strong', {}, c.name), el('p', { class: 'hint' }, t('passkeys.about', { rpid: c.rpid, created: when(c.createdAt), used: when(c.lastUsedAt) }))),
    el('div', { class: 'row' },
      button(t('rename'), async () => {
        const name = await ask(t('passkeys.rename', c), (done) => form([field('name', t('enrol.passkey.name'), { value: c.name, maxlength: '64', autocomplete: 'off', autofocus: true })],
          t('save'), ({ name }) => done(name), button(t('cancel'), () => done(null))));
        if (!name) return;
        await call('PATCH', `api/v1/2fa/credentials/${encodeURIComponent(c.id)}`, { name });
        await state.again('passkeys');
      }, { 'aria-label': `${t('rename')}: ${c.name}` }),
      button(t('remove'), async () => {
        if (!(await sure(t('passkeys.remove', c), t('passkeys.remove.text'), t('remove')))) return;
        await call('DELETE', `api/v1/2fa/credentials/${encodeURIComponent(c.id)}`);
        await state.again('passkeys');
      }, { 'aria-label': `${t('remove')}: ${c.name}` }))));
  return card('passkeys', t('passkeys.title'),
    list.length ? el('ul', { class: 'list' }, list) : el('p', {}, t('passkeys.none')),
    state.status.passkeysUnavailable ? el('p', { class: 'note' }, state.status.passkeysUnavailable) : el('div', { class: 'row' }, button(t('enrol.passkey.submit'), async () => {
      const answer = await ask(t('enrol.passkey.submit'), (done) => passkeyForm({ status: state.status, done }, button(t('cancel'), () => done(null))));
      if (!answer) return;
      await withCodes(answer);
      await state.again('passkeys');
    })));
}

function otp(state) {
  const on = state.status.methods.includes('otp');
  return card('otp', t('otp.title'), el('p', {}, t(on ? 'otp.on' : 'otp.off')), el('div', { class: 'row' }, on
    ? button(t('remove'), async () => {
      if (!(await sure(t('otp.remove'), t('otp.remove.text'), t('remove')))) return;
      await post('api/v1/2fa/disable', { method: 'otp' });
      await state.again('otp');
    }, { 'aria-label': `${t('remove')}: ${t('otp.title')}` })
    : button(t('enrol.otp.submit'), async () => {
      const answer = await addOTP();
      if (!answer) return;
      await withCodes(answer);
      await state.again('otp');
    })));
}

function recovery(state) {
  return card('recovery', t('recovery.title'), el('p', {}, t('recovery.left', { count: String(state.status.recoveryCodesLeft) })), el('div', { class: 'row' },
    button(t('recovery.new'), async () => {
      if (!(await sure(t('recovery.new.sure'), t('recovery.new.text'), t('recovery.new')))) return;
      await withCodes(await post('api/v1/2fa/recovery-codes'));
      await state.again('recovery');
    })));
}

function password(state) {
  return card('password', t('password.title'), el('div', { class: 'row' }, button(t('password.change'), async () => {
    const fresh = { type: 'password', autocomplete: 'new-password', minlength: '8', maxlength: '256' };
    const changed = await ask(t('password.change'), (done) => form([
      // Password managers look for whose it is.
      el('input', { type: 'text', name: 'username', value: state.me.username, autocomplete: 'username', hidden: true }),
      field('current', t('password.current'), { type: 'password', autocomplete: 'current-password', maxlength: '256', autofocus: true }),
      field('new', t('password.new'), { ...fresh, hint: t('password.hint') }), field('again', t('password.again'), fresh),
    ], t('password.change'), async (values) => {
      if (values.new !== values.again) throw new Error(t('password.different'));
      await post('api/v1/auth/password', { current: values.current, new: values.new });
      done(true);
    }, button(t('cancel'), () => done(null))));
    if (changed) await state.again('password', t('password.done'));
  })));
}

// device is a browser's name, as far as its User-Agent tells.
function device(agent) {
  const browser = [['Edg/', 'Edge'], ['OPR/', 'Opera'], ['Firefox/', 'Firefox'], ['Chrome/', 'Chrome'], ['Safari/', 'Safari']].find(([mark]) => agent.includes(mark));
  const system = [['Android', 'Android'], ['iPhone', 'iPhone'], ['iPad', 'iPad'], ['Windows', 'Windows'], ['Mac OS', 'macOS'], ['Linux', 'Linux']].find(([mark]) => agent.includes(mark));
  return browser && system ? `${browser[1]} · ${system[1]}` : agent || t('sessions.unknown');
}

function sessions(state, signedOut) {
  const list = state.sessions.map((s) => el('li', {},
    el('div', {}, el('strong', {}, device(s.device)), s.current && el('span', { class: 'mark' }, t('sessions.this')),
      el('p', { class: 'hint' }, t('sessions.about', { address: s.address, created: when(s.createdAt), used: when(s.lastUsedAt) }))),
    button(s.current ? t('account.signout') : t('sessions.end'), async () => {
      await call('DELETE', `api/v1/auth/sessions/${encodeURIComponent(s.id)}`);
      if (s.current) await signedOut();
      else await state.again('sessions', t('sessions.ended'));
    }, { 'aria-label': `${s.current ? t('account.signout') : t('sessions.end')}: ${device(s.device)}` })));
  return card('sessions', t('sessions.title'), el('ul', { class: 'list' }, list),
    list.length > 1 && el('div', { class: 'row' }, button(t('sessions.others'), async () => {
      await call('DELETE', 'api/v1/auth/sessions');
      await state.again('sessions', t('sessions.ended'));
    })));
}
