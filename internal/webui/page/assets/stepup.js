// The dialog for a fresh proof.
import { call, get, post } from './api.js';
import { ask, button, el, field, form } from './dom.js';
import { canUse, prove } from './passkey.js';
import { t } from './text.js';

// stepUp asks for what the user has; true if the server took it.
export async function stepUp() {
  const status = await get('api/v1/2fa/status');
  return (await ask(t('stepup.title'), (done) => {
    const cancel = button(t('cancel'), () => done(null));
    const give = async (values) => {
      await call('POST', 'api/v1/auth/step-up', values);
      done(true);
    };
    const intro = el('p', {}, t('stepup.intro'));
    if (!status.isSetup) {
      return [intro, form([field('password', t('stepup.password'), { type: 'password', autocomplete: 'current-password', autofocus: true })], t('factor.submit'), give, cancel)];
    }
    const passkey = status.methods.includes('webauthn') && !status.passkeysUnavailable && canUse();
    const label = status.methods.includes('otp') ? t('stepup.code') : t('stepup.codeOnly');
    return [
      intro,
      passkey && el('div', { class: 'row' }, button(t('factor.passkey.use'), async () => {
        await give(await prove(await post('api/v1/2fa/verify/webauthn/begin')));
      }, { class: 'main', autofocus: true })),
      form([field('code', label, { autocomplete: 'one-time-code', spellcheck: 'false', class: 'code', maxlength: '64', autofocus: !passkey })], t('factor.submit'), give, cancel),
    ].filter(Boolean);
  })) === true;
}
