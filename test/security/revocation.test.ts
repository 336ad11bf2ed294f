import { afterEach, beforeEach, expect, test } from 'vitest';
import { scriptedAgent, startGateway, type TestGateway, testToken } from '../gateway.ts';
import { makeDevice } from './device.ts';
import { operatorParams, RawSocket } from './raw-socket.ts';

let running: TestGateway;
let say: (word: string) => void;
const sockets: RawSocket[] = [];

beforeEach(async () => {
  const words: string[] = [];
  let wake = () => {};
  say = (word) => {
    words.push(word);
    wake();
  };
  // An answer that is being made for as long as the test likes: it says each word that the test gives it.
  const agent = scriptedAgent(async function* () {
    for (;;) {
      const word = words.shift();
      if (word === 'end') return;
      if (word !== undefined) yield `${word} `;
      else
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
    }
  });
  running = await startGateway({ agent, openAi: { responses: true } });
});

afterEach(async () => {
  say('end');
  for (const socket of sockets.splice(0)) socket.terminate();
  await running.close();
});

function dial(): RawSocket {
  const socket = new RawSocket(running.url);
  sockets.push(socket);
  return socket;
}

async function admin(): Promise<RawSocket> {
  const socket = dial();
  await socket.connect(operatorParams({ auth: { token: testToken }, scopes: ['operator.admin'] }));
  await socket.request('streams.subscribe', { streams: [{ stream: 'session:main' }] });
  return socket;
}

const saw = (socket: RawSocket, word: string) => socket.texts.some((text) => text.includes(word));
const untilSaid = (socket: RawSocket, word: string) =>
  socket.until((frame) => frame.type === 'event' && JSON.stringify(frame).includes(word));

/**
 * A victim reads an answer while it is made; `revoke` takes its credential away in the middle. Nothing that is said after the
 * answer to that comes to the victim any more, while everyone else goes on reading.
 */
async function revokedInTheMiddle(owner: RawSocket, victim: RawSocket, revoke: () => Promise<unknown>) {
  await victim.request('streams.subscribe', { streams: [{ stream: 'session:main' }] });
  await owner.request('chat.send', { sessionKey: 'main', message: 'go', idempotencyKey: 'run' });
  say('before');
  await Promise.all([untilSaid(victim, 'before'), untilSaid(owner, 'before')]);
  expect(await revoke()).toMatchObject({ ok: true });
  say('afterwards');
  await untilSaid(owner, 'afterwards');
  const { code } = await victim.closed;
  expect(saw(victim, 'afterwards')).toBe(false);
  return code;
}

for (const caps of [['streams'], []]) {
  const kind = caps.length > 0 ? 'with streams' : 'as plain v4';

  test(`a device that is removed in the middle of an answer hears nothing more, ${kind}, and does not come back`, async () => {
    const owner = await admin();
    const device = makeDevice();
    const victim = dial();
    const hello = await victim.connectSigned(device, operatorParams({ auth: { token: testToken }, caps }));
    const { deviceToken } = (hello.payload as { auth: { deviceToken: string } }).auth;
    const code = await revokedInTheMiddle(owner, victim, () =>
      owner.request('device.pair.remove', { deviceId: device.id }),
    );
    expect(code).not.toBe(1006);
    expect(await dial().connectSigned(device, operatorParams({ auth: { deviceToken } }))).toMatchObject({ ok: false });
  });

  test(`a token that is revoked in the middle of an answer hears nothing more, ${kind}, and does not come back`, async () => {
    const owner = await admin();
    const made = await owner.request('tokens.create', { role: 'operator', id: 'screen', scopes: ['operator.read'] });
    const { token, tokenId } = made.payload as { token: string; tokenId: string };
    const victim = dial();
    expect(await victim.connect(operatorParams({ auth: { token }, caps }))).toMatchObject({ ok: true });
    await revokedInTheMiddle(owner, victim, () => owner.request('tokens.revoke', { tokenId }));
    expect(await dial().connect(operatorParams({ auth: { token } }))).toMatchObject({ ok: false });
  });
}

test('a device whose tokens are revoked is cut, and its old token opens nothing', async () => {
  const owner = await admin();
  const device = makeDevice();
  const victim = dial();
  const hello = await victim.connectSigned(device, operatorParams({ auth: { token: testToken } }));
  const { deviceToken } = (hello.payload as { auth: { deviceToken: string } }).auth;
  await revokedInTheMiddle(owner, victim, () =>
    owner.request('device.token.revoke', { deviceId: device.id, role: 'operator' }),
  );
  expect(await dial().connectSigned(device, operatorParams({ auth: { deviceToken } }))).toMatchObject({ ok: false });
});

test('an answer that streams over HTTP is cut in the middle when its token is revoked, and the run goes on', async () => {
  const owner = await admin();
  const made = await owner.request('tokens.create', { role: 'operator', id: 'script', scopes: ['operator.write'] });
  const { token, tokenId } = made.payload as { token: string; tokenId: string };
  const response = await fetch(`${running.url.replace('ws', 'http')}/v1/responses`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', 'x-openclaw-session-key': 'main' },
    body: JSON.stringify({ model: 'openclaw', input: 'go', stream: true }),
  });
  expect(response.status).toBe(200);
  let streamed = '';
  const chunks = (response.body as ReadableStream<Uint8Array>).getReader();
  say('before');
  while (!streamed.includes('before')) streamed += Buffer.from((await chunks.read()).value ?? []).toString();

  expect(await owner.request('tokens.revoke', { tokenId })).toMatchObject({ ok: true });
  say('afterwards');
  await untilSaid(owner, 'afterwards');
  const rest = (async () => {
    for (;;) {
      const { done, value } = await chunks.read();
      if (done) return;
      streamed += Buffer.from(value).toString();
    }
  })();
  await expect(rest).rejects.toThrow('terminated');
  expect(streamed).not.toContain('afterwards');
});

test('a named token that is taken out of the settings is cut at once; one that lost its scope loses its streams', async () => {
  await running.close();
  const auth = { mode: 'token' as const, token: testToken };
  const token = (name: string, scopes: string[]) => ({ name, token: `token-of-${name}-0123456789`, scopes });
  running = await startGateway({
    auth,
    tokens: [token('gone', ['operator.read']), token('less', ['operator.read', 'operator.pairing'])],
  });
  const [gone, less] = [dial(), dial()];
  await gone.connect(operatorParams({ auth: { token: 'token-of-gone-0123456789' } }));
  await less.connect(
    operatorParams({ auth: { token: 'token-of-less-0123456789' }, scopes: ['operator.read', 'operator.pairing'] }),
  );
  await less.request('streams.subscribe', { streams: [{ stream: 'session:main' }, { stream: 'pairing' }] });

  running.gateway.reconfigure({ auth, tokens: [token('less', ['operator.pairing'])] });
  await gone.closed;
  const ended = await less.until(
    ({ event, payload }) => event === 'stream.reset' && (payload as { reason: string }).reason === 'scope_lost',
  );
  expect(ended.payload).toMatchObject({ stream: 'session:agent:main:main' });
  const history = await less.request('chat.history', { sessionKey: 'main' });
  expect(history.error).toMatchObject({ code: 'FORBIDDEN', details: { missingScope: 'operator.read' } });

  const owner = await admin();
  await owner.request('chat.send', { sessionKey: 'main', message: 'a secret of others', idempotencyKey: 'k' });
  await untilSaid(owner, 'a secret of others');
  await less.request('ping', {});
  expect(saw(less, 'a secret of others')).toBe(false);
});
