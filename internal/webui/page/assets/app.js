// The page: who is there decides what is shown.
import { account } from './account.js';
import { get, onStepUp } from './api.js';
import { el, explain, redraw, show } from './dom.js';
import * as live from './live.js';
import { begin } from './signin.js';
import { stepUp } from './stepup.js';
import { languageCode, switchLanguage, t } from './text.js';

async function start(notice) {
  try {
    await get('api/v1/auth/me');
  } catch (error) {
    if (error.status !== 401) throw error;
    await begin(enter, notice);
    return;
  }
  await enter();
}

async function enter() {
  live.follow(() => start('signin.ended').catch(failed));
  await account(async () => {
    live.leave();
    await start();
  });
}

function failed(error) {
  show(() => [el('h1', {}, 'Watch Docker'), el('p', { class: 'error', role: 'alert' }, explain(error))]);
}

const language = document.getElementById('language');

function speak() {
  document.documentElement.lang = languageCode();
  language.textContent = t('language.other');
  language.lang = languageCode() === 'en' ? 'zh-Hans' : 'en';
  language.setAttribute('aria-label', t('language.switch'));
}

language.addEventListener('click', () => {
  switchLanguage();
  speak();
  live.draw();
  redraw();
});
onStepUp(stepUp);
speak();
start().catch(failed);
