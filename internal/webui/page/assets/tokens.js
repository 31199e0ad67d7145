// API tokens in the account. Their list needs a fresh proof, so it is shown
// when it is asked for.
import { card } from './account.js';
import { call, get, post } from './api.js';
import { ask, button, el, field, form, sure } from './dom.js';
import { showOnce } from './enrol.js';
import { t, when } from './text.js';

const scopes = { viewer: ['read'], operator: ['read', 'operate'], admin: ['read', 'operate', 'admin'] };

async function list(state) {
  state.tokens = (await get('api/v1/auth/tokens')).tokens;
  state.draw('tokens');
}

export function tokens(state) {
  const intro = el('p', {}, t('tokens.intro'));
  if (!state.tokens) return card('tokens', t('tokens.title'), intro, el('div', { class: 'row' }, button(t('tokens.show'), () => list(state))));
  return card('tokens', t('tokens.title'), intro,
    state.tokens.length ? el('ul', { class: 'list' }, state.tokens.map((one) => item(state, one))) : el('p', {}, t('tokens.none')),
    el('div', { class: 'row' }, button(t('tokens.make'), () => make(state))));
}

function item(state, token) {
  const about = { scope: t('tokens.' + token.scope), created: when(token.createdAt), used: when(token.lastUsedAt), expires: when(token.expiresAt) };
  return el('li', {}, el('div', {}, el('strong', {}, token.name), el('p', { class: 'hint' }, t('tokens.about', about))),
    button(t('remove'), async () => {
      if (!(await sure(t('tokens.remove', token), t('tokens.remove.text'), t('remove')))) return;
      await call('DELETE', `api/v1/auth/tokens/${encodeURIComponent(token.id)}`);
      await list(state);
    }, { 'aria-label': `${t('remove')}: ${token.name}` }));
}

async function make(state) {
  const made = await ask(t('tokens.make'), (done) => form([
    field('name', t('tokens.name'), { maxlength: '64', autocomplete: 'off', autofocus: true }),
    field('scope', t('tokens.scope'), { options: scopes[state.me.role].map((s) => [s, t('tokens.' + s)]) }),
    field('days', t('tokens.expires'), { options: [['30', t('tokens.days', { count: '30' })], ['90', t('tokens.days', { count: '90' })], ['365', t('tokens.year')], ['', t('never')]] }),
  ], t('tokens.make'), async ({ name, scope, days }) => {
    const expiresAt = days ? new Date(Date.now() + Number(days) * 86_400_000).toISOString() : undefined;
    done(await post('api/v1/auth/tokens', { name, scope, expiresAt }));
  }, button(t('cancel'), () => done(null))));
  if (!made) return;
  await showOnce(t('tokens.made'), t('tokens.once'), [made.token], 'watch-docker-token.txt');
  await list(state);
}
