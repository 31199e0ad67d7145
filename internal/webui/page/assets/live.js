// The events' socket: what is going on, and whether the session still counts.
import { get, idle, socketURL } from './api.js';
import { t } from './text.js';

const place = document.getElementById('live');
let socket = null;
let timer = 0;
let latest = null;
let lost = false;
let refused = 0; // times in a row that it didn't even open

// draw says it in the page's language.
export function draw() {
  const count = latest?.containers.length ?? 0;
  const updates = latest?.containers.filter((c) => c.status === 'updateAvailable').length ?? 0;
  if (latest) place.textContent = t(count === 1 ? 'live.one' : 'live.on', { count, updates });
  else if (socket && lost) place.textContent = t(refused > 1 ? 'live.refused' : 'live.off');
  else place.textContent = '';
}

// follow opens the socket, and again when it is lost. `ended` is called when
// there is no session any more.
export function follow(ended, delay = 1000) {
  clearTimeout(timer);
  const old = socket;
  const mine = new WebSocket(socketURL('api/events/ws'));
  socket = mine;
  old?.close();
  let opened = 0;
  mine.addEventListener('open', () => { opened = Date.now(); });
  mine.addEventListener('message', ({ data }) => {
    const message = JSON.parse(data);
    if (message.type === 'snapshot') latest = message;
    lost = false;
    draw();
  });
  mine.addEventListener('close', async () => {
    if (socket !== mine) return;
    // What ended the session may be a change of this page's own, whose answer
    // brings a new one: that comes first.
    await idle();
    const server = await get('api/v1/auth/me').then(() => 'here', (error) => (error.status === 401 ? 'ended' : 'away'));
    if (socket !== mine) return;
    if (server === 'ended') {
      ended();
      return;
    }
    refused = server === 'here' && !opened ? refused + 1 : 0;
    if (opened && Date.now() - opened > 1000) delay = 1000;
    if (server === 'here' && opened && delay === 1000) { // a new session, or a hiccup
      timer = setTimeout(() => follow(ended, 2 * delay), 100);
      return;
    }
    latest = null;
    lost = true;
    draw();
    timer = setTimeout(() => follow(ended, Math.min(2 * delay, 30_000)), delay);
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
