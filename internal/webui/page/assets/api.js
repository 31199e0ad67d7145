// Questions to the server. Paths are relative to where the page is, so that a
// sub-path needs no setting. A session is the browser's cookie, which no script
// sees; only the temporary token of a sign-in is here, in memory.

const root = new URL('../', import.meta.url);

let temporary = null;
let stepUp = async () => false;
let asking = 0;
let waiting = [];

export class Problem extends Error {
  constructor(status, body, retryAfter) {
    super(body.detail ?? body.title ?? String(status));
    Object.assign(this, { status, code: body.code, detail: body.detail, errors: body.errors, retryAfter });
  }
}

export const useTemporary = (token) => { temporary = token; };

// onStepUp names who asks for a fresh proof: true if it was given.
export const onStepUp = (ask) => { stepUp = ask; };

// idle waits until no question is under way.
export const idle = () => (asking === 0 ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve)));

async function once(method, path, body) {
  const headers = { Accept: 'application/json' };
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (temporary) headers.Authorization = 'Bearer ' + temporary;
  const answer = await fetch(new URL(path, root), {
    method, headers, body: body === undefined ? undefined : JSON.stringify(body), credentials: 'same-origin', cache: 'no-store', redirect: 'error',
  });
  const text = await answer.text();
  let value = {};
  try {
    if (text) value = JSON.parse(text);
  } catch {
    value = { detail: `${answer.status}: no answer of Watch Docker` };
    if (answer.ok) throw new Problem(answer.status, value);
  }
  if (!answer.ok) throw new Problem(answer.status, value, answer.headers.get('Retry-After'));
  return value;
}

// call asks; what needs a fresh proof asks for it and is tried again.
export async function call(method, path, body) {
  asking++;
  try {
    return await once(method, path, body);
  } catch (error) {
    if (error.code !== 'step_up_required' || path.endsWith('/step-up')) throw error;
    if (!(await stepUp())) throw Object.assign(error, { handled: true });
    return await once(method, path, body);
  } finally {
    if (--asking === 0) waiting.splice(0).forEach((resolve) => resolve());
  }
}

export const get = (path) => call('GET', path);
export const post = (path, body = {}) => call('POST', path, body);

// socketURL is that of a WebSocket here.
export function socketURL(path) {
  const url = new URL(path, root);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return url;
}
