// The events' socket: what is going on, and whether the session still counts.
import { get, idle, socketURL } from './api.js';
import { t } from './text.js';

const place = document.getElementById('live');
let socket = null;
let timer = 0;
let latest = null;

// draw says it in the page's language.
export function draw() {
  place.textContent = '';
  if (!socket) return;
  const count = latest?.containers.length ?? 0;
  const updates = latest?.containers.filter((c) => c.status === 'updateAvailable').length ?? 0;
  place.textContent = latest ? t(count === 1 ? 'live.one' : 'live.on', { count, updates }) : t('live.off');
}

// follow opens the socket, and again when it is lost. `ended` is called when
// there is no session any more.
export function follow(ended, delay = 1000) {
  leave();
  const mine = new WebSocket(socketURL('api/events/ws'));
  socket = mine;
  mine.addEventListener('message', ({ data }) => {
    const message = JSON.parse(data);
    if (message.type === 'snapshot') latest = message;
    delay = 1000;
    draw();
  });
  mine.addEventListener('close', async () => {
    if (socket !== mine) return;
    latest = null;
    draw();
    // What ended the session may be a change of this page's own, whose answer
    // brings a new one: that comes first.
    await idle();
    const session = await get('api/v1/auth/me').then(() => true, (error) => error.status !== 401);
    if (socket !== mine) return;
    if (session) timer = setTimeout(() => follow(ended, Math.min(2 * delay, 30_000)), delay);
    else ended();
  });
  draw();
}

// leave closes it for good.
export function leave() {
  clearTimeout(timer);
  const old = socket;
  socket = latest = null;
  old?.close();
  draw();
}
