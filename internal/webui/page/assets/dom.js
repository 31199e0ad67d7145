// Building blocks of the views. Nothing here takes HTML: text stays text.
import { t } from './text.js';

// el makes an element: properties by their DOM names, `on…` as listeners, the
// rest as attributes.
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (name in node && typeof value !== 'string') node[name] = value;
    else node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.flat().filter((c) => c !== undefined && c !== null && c !== false));
  return node;
}

export const button = (text, onclick, properties = {}) => el('button', { type: 'button', ...properties, onclick: guarded(onclick) }, text);

// say tells screen readers what has happened.
export function say(text) {
  const said = document.getElementById('said');
  said.textContent = '';
  requestAnimationFrame(() => { said.textContent = text; });
}

// explain is an error in the user's language, as far as there is a text.
export function explain(error) {
  const known = error.code && t('error.' + error.code, error);
  if (known) return known;
  if (error.detail) return error.detail;
  if (error.name === 'NotAllowedError') return t('passkey.cancelled');
  if (error.name === 'InvalidStateError') return t('passkey.known');
  if (error.name === 'SecurityError') return t('passkey.address');
  if (error.name === 'TypeError') return t('error.network');
  return error.message || String(error);
}

let count = 0;

// field is an input with its label, and a hint that belongs to it.
export function field(name, label, { hint, options, ...properties } = {}) {
  const id = `f${++count}-${name}`;
  const about = hint ? { 'aria-describedby': id + '-hint' } : {};
  const input = options
    ? el('select', { id, name, ...properties, ...about }, options.map(([value, text]) => el('option', { value }, text)))
    : el('input', { id, name, type: 'text', required: true, ...properties, ...about });
  return el('div', { class: 'field' },
    el('label', { for: id }, label), input, hint && el('p', { id: id + '-hint', class: 'hint' }, hint));
}

export const codeField = (label, properties = {}) => field('code', label, {
  inputmode: 'numeric', autocomplete: 'one-time-code', pattern: '[0-9]{6}', maxlength: '6', class: 'code', spellcheck: 'false', ...properties,
});

// form sends its fields by name to submit; what that throws is shown and read out.
export function form(fields, submitText, submit, ...more) {
  const problem = el('p', { class: 'error', role: 'alert' });
  const node = el('form', { novalidate: false }, fields, problem, el('div', { class: 'row' }, el('button', { type: 'submit', class: 'main' }, submitText), more));
  node.addEventListener('submit', async (event) => {
    event.preventDefault();
    problem.textContent = '';
    await busy(node, async () => {
      try {
        await submit(Object.fromEntries(new FormData(node)), node);
      } catch (error) {
        if (error.handled) return;
        if (!node.isConnected) throw error;
        problem.textContent = explain(error);
        queueMicrotask(() => (node.querySelector('input') ?? node.querySelector('button'))?.focus());
      }
    });
  });
  return node;
}

// busy keeps a part from being used twice at once.
async function busy(node, work) {
  const used = [...node.querySelectorAll('button')].filter((b) => !b.disabled);
  used.forEach((b) => { b.disabled = true; });
  node.setAttribute('aria-busy', 'true');
  try {
    await work();
  } finally {
    used.forEach((b) => { b.disabled = false; });
    node.removeAttribute('aria-busy');
  }
}

// guarded shows what a button's work throws, beside the button.
function guarded(work) {
  return async (event) => {
    const clicked = event.currentTarget;
    if (clicked.ariaDisabled) return; // not `disabled`, which would take the focus away
    const place = clicked.closest('.card, form, dialog, main') ?? document.body;
    place.querySelectorAll('.error.of-button').forEach((e) => e.remove());
    clicked.ariaDisabled = 'true';
    try {
      await work(event);
    } catch (error) {
      if (error.handled) return;
      const problem = el('p', { class: 'error of-button', role: 'alert' });
      (clicked.closest('.row, li') ?? clicked).after(problem);
      problem.textContent = explain(error);
    } finally {
      clicked.ariaDisabled = null;
    }
  };
}

let current = null;

// show puts a view into the page. A view is a function, so that it can be
// drawn again in another language.
export function show(view, { keepFocus = false } = {}) {
  current = view;
  const main = document.getElementById('view');
  main.replaceChildren(...[view()].flat());
  main.removeAttribute('aria-busy');
  const title = main.querySelector('h1');
  document.title = title ? `${title.textContent} · Watch Docker` : 'Watch Docker';
  if (keepFocus) return;
  const first = main.querySelector('[autofocus]') ?? title;
  if (first === title) title?.setAttribute('tabindex', '-1');
  first?.focus();
}

export const redraw = () => current && show(current, { keepFocus: true });

// ask is a modal dialog; it gives what `done` was called with, or null if it
// was closed. One with `keep` is closed by its buttons alone: Escape must not
// take away what is shown once.
export function ask(title, build, { keep = false } = {}) {
  return new Promise((resolve) => {
    const id = `d${++count}`;
    const dialog = el('dialog', { 'aria-labelledby': id, closedby: keep ? 'none' : 'closerequest' });
    const before = document.activeElement;
    let answer = null;
    const done = (value) => { answer = value; dialog.close(); };
    dialog.append(el('h2', { id }, title), ...[build(done)].flat());
    if (keep) dialog.addEventListener('cancel', (event) => event.preventDefault()); // browsers without closedby
    dialog.addEventListener('close', () => {
      dialog.remove();
      if (before?.isConnected) before.focus();
      resolve(answer);
    });
    document.body.append(dialog);
    dialog.showModal();
    (dialog.querySelector('[autofocus]') ?? dialog.querySelector('input, select, button'))?.focus();
  });
}

// sure asks before something that can't be undone.
export const sure = (title, text, action) => ask(title, (done) => [
  el('p', {}, text),
  el('div', { class: 'row' }, button(action, () => done(true), { class: 'danger' }), button(t('cancel'), () => done(null))),
]);
