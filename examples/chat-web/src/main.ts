import { connect, type StateChange } from '@openclaw/client';
import { wireComposer } from './composer.ts';
import { connectionWords, failureWords } from './connection-words.ts';
import { forgetTokens, keepDeviceToken, keepToken, takeCredentials } from './credentials.ts';
import { byId } from './element.ts';
import { followNewest } from './scroll.ts';
import { storedQueue } from './stored-queue.ts';
import { Transcript } from './transcript.ts';

const credentials = takeCredentials();
const url = new URL('gateway', location.href);
url.protocol = url.protocol.replace('http', 'ws');
url.hash = url.search = '';

const waiting = storedQueue.load().filter(({ method }) => method === 'chat.send');
const gateway = connect({
  url: url.href,
  ...credentials,
  client: { id: 'webchat-ui', mode: 'webchat', displayName: 'chat-web' },
  queueStore: storedQueue,
});

const scroll = followNewest();
const announce = (words: string) => {
  byId('announcer').textContent = words;
};
const transcript = new Transcript({
  session: gateway.session('main'),
  list: byId('transcript'),
  grown: scroll.grown,
  announce,
  changed({ openCount, isEmpty }) {
    byId('stop').hidden = openCount === 0;
    byId('empty').hidden = !isEmpty || gateway.state !== 'live';
  },
});
for (const { idempotencyKey, params } of waiting) {
  transcript.await(idempotencyKey, String((params as { message?: unknown }).message ?? ''));
}

let last: StateChange | undefined;
function showConnection(): void {
  if (!last) return;
  const { tone, words } = connectionWords(last, Date.now());
  byId('connection').dataset.tone = tone;
  byId('connection').title = last.reason;
  if (byId('connection-words').textContent !== words) byId('connection-words').textContent = words;
}

gateway.on('state', (change) => {
  const { state, error } = change;
  last = change;
  showConnection();
  if (state === 'live') announce('Connected');
  if (state === 'backoff' || state === 'offline') {
    announce('Connection lost');
    transcript.note('Waiting for the connection; sent once');
  }
  if (state === 'failed') {
    byId('sign-in').hidden = false;
    byId('sign-in-reason').textContent = failureWords(change);
    byId('composer').hidden = true;
    byId('token').focus();
    announce(failureWords(change));
    // A code that was used, or a token of a gateway that was set up anew, is of no use on the next visit either.
    if (String(error?.details?.code ?? '').startsWith('AUTH_')) forgetTokens();
  }
});
gateway.on('credentials', ({ deviceToken }) => keepDeviceToken(deviceToken));
// Counts the seconds to the next attempt.
setInterval(() => {
  if (last?.state === 'backoff') showConnection();
}, 500);

wireComposer({
  send(text) {
    transcript.send(text);
    if (gateway.state !== 'live') transcript.note('Waiting for the connection; sent once');
    scroll.jump();
  },
  stop: () => transcript.stop(),
});

byId<HTMLFormElement>('sign-in-form').addEventListener('submit', (event) => {
  event.preventDefault();
  forgetTokens();
  keepToken(byId<HTMLInputElement>('token').value.trim());
  location.reload();
});
// A second link opened in this tab changes the fragment only.
addEventListener('hashchange', () => {
  if (location.hash.includes('code=')) location.reload();
});

transcript.read().catch((error: unknown) => {
  // What ends the reading ends the connection too, and is shown as its state.
  if (gateway.state !== 'failed') throw error;
});
