// Signing in: set-up, password, second factor, passkey alone.
import { get, post, useTemporary } from './api.js';
import { button, codeField, el, field, form, show } from './dom.js';
import { enrol, recoveryCodes } from './enrol.js';
import { canUse, prove } from './passkey.js';
import { t } from './text.js';

let entered = () => {};

// begin shows what there is to do before the account: `done` follows.
export async function begin(done, notice) {
  entered = () => { useTemporary(null); done(); };
  useTemporary(null);
  const { needed } = await get('api/v1/auth/setup');
  show(needed ? setUp : () => signIn(notice));
}

const nameField = (properties) => field('username', t('signin.user'), { autocomplete: 'username webauthn', autocapitalize: 'none', spellcheck: 'false', maxlength: '64', autofocus: true, ...properties });
const passwordField = (properties) => field('password', t('signin.password'), { type: 'password', autocomplete: 'current-password', maxlength: '256', ...properties });

function setUp() {
  return [
    el('h1', {}, t('setup.title')),
    el('p', {}, t('setup.intro')),
    form([
      field('setupToken', t('setup.token'), { hint: t('setup.token.hint'), autocomplete: 'off', spellcheck: 'false', autofocus: true }),
      nameField({ autofocus: false, autocomplete: 'username' }),
      passwordField({ autocomplete: 'new-password', minlength: '8', hint: t('password.hint') }),
    ], t('setup.submit'), async (values) => follow(await post('api/v1/auth/setup', values))),
  ];
}

function signIn(notice) {
  return [
    el('h1', {}, t('signin.title')),
    notice && el('p', { role: 'status' }, t(notice)),
    form([nameField(), passwordField()], t('signin.submit'), async (values) => follow(await post('api/v1/auth/login', values))),
    canUse() && el('div', { class: 'alternatives' }, el('p', { class: 'or' }, t('signin.or')), button(t('signin.passkey'), async () => {
      follow(await post('api/v1/auth/passkey/finish', await prove(await post('api/v1/auth/passkey/begin'))));
    })),
  ].filter(Boolean);
}

// follow goes where the answer to a sign-in leads.
async function follow(answer) {
  if (!answer.needTwoFA) {
    entered();
    return;
  }
  useTemporary(answer.tempToken);
  if (answer.isSetup) {
    const use = answer.method === 'webauthn' && !canUse() ? 'otp' : answer.method || answer.methods[0];
    show(() => secondFactor(answer, use));
    return;
  }
  const status = await get('api/v1/2fa/status');
  show(() => enrol({ title: t('enrol.title'), intro: t('enrol.intro'), status, done: enrolled, back }));
}

function enrolled({ recoveryCodes: codes }) {
  useTemporary(null);
  if (codes?.length) show(() => recoveryCodes(codes, entered));
  else entered();
}

const back = () => begin(entered);

// secondFactor asks for one of the methods; the others are a button away.
function secondFactor(answer, method) {
  const other = { otp: t('factor.otp.use'), webauthn: t('factor.passkey.use'), recovery: t('factor.recovery.use') };
  const usable = [...answer.methods.filter((m) => m !== 'webauthn' || canUse()), 'recovery'];
  if (!usable.includes(method)) method = usable[0];
  return [
    el('h1', {}, t('factor.title')),
    !answer.usableHere && el('p', { class: 'note' }, t('factor.notHere')),
    ways[method](),
    el('div', { class: 'alternatives' },
      usable.filter((m) => m !== method).map((m) => button(other[m], () => show(() => secondFactor(answer, m)))),
      button(t('factor.back'), back, { class: 'quiet' })),
  ].filter(Boolean);
}

const verify = (path) => async (values) => {
  await post(path, values);
  entered();
};

const ways = {
  otp: () => form([codeField(t('factor.otp'), { autofocus: true })], t('factor.submit'), verify('api/v1/2fa/verify/otp')),
  recovery: () => form([field('code', t('factor.recovery'), { hint: t('factor.recovery.hint'), autocomplete: 'off', spellcheck: 'false', class: 'code', maxlength: '64', autofocus: true })],
    t('factor.submit'), verify('api/v1/2fa/verify/recovery')),
  webauthn: () => el('div', {}, el('p', {}, t('factor.passkey')), el('div', { class: 'row' }, button(t('factor.passkey.use'), async () => {
    await post('api/v1/2fa/verify/webauthn/finish', await prove(await post('api/v1/2fa/verify/webauthn/begin')));
    entered();
  }, { class: 'main', autofocus: true }))),
};
