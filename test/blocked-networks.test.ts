import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ConnectOptions, connect, type DialCode, type StateChange } from '@openclaw/client';
import { VirtualClock } from '@openclaw/protocol/testing';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ca, certificate, pinOf } from './blocked-networks/certificates.ts';
import {
  connectProxy,
  httpAnswer,
  rawAnswer,
  strippingProxy,
  tcpServer,
  tlsServer,
  upgrading,
} from './blocked-networks/servers.ts';
import { startGateway, testToken } from './gateway.ts';

/** Whatever was opened in a test, to be closed after it. */
const opened: { close(): unknown }[] = [];
beforeEach(() => {
  // What the machine of whoever runs this has set.
  for (const name of ['http_proxy', 'https_proxy', 'all_proxy', 'no_proxy']) {
    vi.stubEnv(name, '');
    vi.stubEnv(name.toUpperCase(), '');
  }
});
afterEach(async () => {
  vi.unstubAllEnvs();
  for (const each of opened.splice(0).reverse()) await each.close();
});

async function keep<T extends { close(): unknown }>(server: Promise<T> | T): Promise<T> {
  const kept = await server;
  opened.push(kept);
  return kept;
}

/** Credentials of every kind; none may be seen in what is told. */
const secrets = {
  token: 'canary-token',
  headers: { 'x-api-key': 'canary-header' },
};

function secretUrl(port: number, scheme = 'ws', host = '127.0.0.1'): string {
  return `${scheme}://canary-user:canary-password@${host}:${port}/canary-path?key=canary-query`;
}

/** Connects, and resolves with the first loss; there is no second attempt. */
async function firstLoss(options: ConnectOptions, { clock }: { clock?: VirtualClock } = {}): Promise<StateChange> {
  const gateway = connect({ ...secrets, ...(clock ? { clock } : {}), ...options });
  try {
    return await new Promise<StateChange>((resolve) => {
      gateway.on('state', (change) => {
        if (change.state === 'backoff' || change.state === 'failed') resolve(change);
      });
    });
  } finally {
    gateway.close();
  }
}

function expectDial(change: StateChange, code: DialCode, next?: RegExp): void {
  expect(change.dial).toMatchObject({ code, cause: expect.any(String), nextStep: expect.any(String) });
  expect(change.error).toMatchObject({ code: 'DIAL_FAILED', details: { dialCode: code } });
  expect(change.reason).toBe(`${change.dial?.cause}. ${change.dial?.nextStep}`);
  if (next) expect(change.reason).toMatch(next);
  const { error, ...rest } = change;
  expect(JSON.stringify([rest, error?.message, error?.details, error?.stack, error?.cause])).not.toContain('canary');
}

const page = '<!doctype html><title>Sign in</title> you sent: canary-echo';
const html = { 'content-type': 'text/html' };

describe('a network between client and gateway is told by one code', () => {
  test.each<[string, string, DialCode, number, RegExp]>([
    ['401', httpAnswer(401, {}, 'who are you?'), 'unauthorized', 401, /headers/],
    ['403 with a page', httpAnswer(403, html, page), 'forbidden', 403, /firewall/],
    ['404', httpAnswer(404, html, page), 'not-found', 404, /path/],
    ['407', httpAnswer(407, {}, ''), 'proxy-auth-required', 407, /user:password@/],
    ['426', httpAnswer(426, { upgrade: 'websocket' }), 'upgrade-stripped', 426, /Upgrade and Connection/],
    ['429', httpAnswer(429), 'rate-limited', 429, /Wait/],
    ['502 with a page', httpAnswer(502, html, page), 'bad-gateway', 502, /gateway runs/],
    ['504', httpAnswer(504), 'bad-gateway', 504, /gateway runs/],
    ['a page', httpAnswer(200, html, page), 'html-answer', 200, /Sign in/],
    ['a page without its type', httpAnswer(200, {}, page), 'html-answer', 200, /Sign in/],
    ['200 with JSON', httpAnswer(200, {}, '{"ok":true}'), 'upgrade-stripped', 200, /Upgrade and Connection/],
    ['400', httpAnswer(400, {}, 'bad request'), 'not-a-gateway', 400, /port/],
    ['302', httpAnswer(302, { location: 'http://login.example/?back=canary' }), 'redirected', 302, /login\.example/],
  ])('%s in place of the upgrade', async (_name, answer, code, status, next) => {
    const { port } = await keep(rawAnswer(answer));
    const change = await firstLoss({ url: secretUrl(port) });
    expectDial(change, code, next);
    expect(change).toMatchObject({ state: 'backoff', code: 'dial-failed', dial: { status } });
    expect(change.reason).toContain(`127.0.0.1:${port}`);
  });

  test('503 is tried again when its retry-after says so', async () => {
    const { port } = await keep(rawAnswer(httpAnswer(503, { 'retry-after': '7' })));
    const clock = new VirtualClock();
    const change = await firstLoss({ url: secretUrl(port) }, { clock });
    expectDial(change, 'bad-gateway');
    expect((change.retryAtMs ?? 0) - clock.now()).toBeGreaterThanOrEqual(7_000);
  });

  test.each<[string, (socket: Socket) => void, DialCode]>([
    ['closes without an answer', (socket) => socket.once('data', () => socket.end()), 'reset'],
    ['resets', (socket) => socket.once('data', () => socket.resetAndDestroy()), 'reset'],
    ['says what is no HTTP', (socket) => socket.end('SSH-2.0-OpenSSH_9.2\r\n'), 'not-a-gateway'],
    [
      'switches protocols to another one',
      (socket) => socket.once('data', () => socket.write(httpAnswer(101, { connection: 'upgrade', upgrade: 'h2c' }))),
      'upgrade-stripped',
    ],
    [
      'switches protocols without the proof that it understood',
      (socket) =>
        socket.once('data', () => socket.write(httpAnswer(101, { connection: 'upgrade', upgrade: 'websocket' }))),
      'not-a-gateway',
    ],
  ])('a server that %s', async (_name, onSocket, code) => {
    const { port } = await keep(tcpServer(onSocket));
    expectDial(await firstLoss({ url: secretUrl(port) }), code);
  });

  test('nothing at the port', async () => {
    const gone = await tcpServer(() => {});
    await gone.close();
    expectDial(await firstLoss({ url: secretUrl(gone.port) }), 'refused', /Start the gateway/);
  });

  test('a name without an address', async () => {
    expectDial(
      await firstLoss({ url: secretUrl(1, 'ws', 'no-such-host.invalid') }),
      'dns-failed',
      /no-such-host\.invalid/,
    );
  });

  test.each<[string, (socket: import('ws').WebSocket, tcp: Socket) => void]>([
    ['closed', (socket) => socket.close(1013, 'gateway starting')],
    ['cut', (_socket, tcp) => tcp.destroy()],
    ['reset', (_socket, tcp) => tcp.resetAndDestroy()],
  ])('a WebSocket that is %s before the challenge', async (_name, onSocket) => {
    const { port } = await keep(upgrading(onSocket));
    expectDial(await firstLoss({ url: secretUrl(port) }), 'cut-after-upgrade', /wss:/);
  });

  test('a WebSocket that speaks something else', async () => {
    const { port } = await keep(upgrading((socket) => socket.send('hello there')));
    const change = await firstLoss({ url: secretUrl(port) });
    expectDial(change, 'not-a-gateway');
    expect(change.code).toBe('bad-frame');
  });

  test('bytes after the upgrade that are no frames', async () => {
    const { port } = await keep(upgrading((_socket, tcp) => tcp.write(Buffer.alloc(64, 0xff))));
    expectDial(await firstLoss({ url: secretUrl(port) }), 'not-a-gateway', /WS_ERR/);
  });

  test('a server that takes the connection and says nothing, and a WebSocket without a challenge', async () => {
    let arrived = () => {};
    const { port } = await keep(tcpServer((socket) => socket.once('data', () => arrived())));
    const silent = await keep(upgrading(() => arrived()));
    for (const [url, code, next] of [
      [secretUrl(port), 'timeout', /answer to the upgrade/],
      [secretUrl(silent.port), 'not-a-gateway', /port/],
    ] as const) {
      const clock = new VirtualClock();
      const isThere = new Promise<void>((resolve) => {
        arrived = resolve;
      });
      const loss = firstLoss({ url }, { clock });
      await isThere;
      await turns();
      await clock.advance(15_000);
      const change = await loss;
      expectDial(change, code, next);
      expect(change.code).toBe('handshake-timeout');
    }
  });

  test('headers that can not be sent', async () => {
    const { port } = await keep(tcpServer(() => {}));
    expectDial(await firstLoss({ url: `ws://127.0.0.1:${port}`, headers: { a: 'b\r\nc: d' } }), 'unknown');
  });
});

/** Lets what arrived be worked on. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
}

describe('the gateway itself', () => {
  test('behind a proxy that drops Upgrade and Connection is upgrade-stripped, though it answers with its page', async () => {
    const siteDirectory = await mkdtemp(join(tmpdir(), 'site-'));
    opened.push({ close: () => rm(siteDirectory, { recursive: true }) });
    await writeFile(join(siteDirectory, 'index.html'), '<!doctype html><title>OpenClaw gateway</title>');
    const running = await keep(startGateway({ siteDirectory }));
    const { port } = await keep(strippingProxy(running.port));
    const change = await firstLoss({ url: `ws://127.0.0.1:${port}` });
    expectDial(change, 'upgrade-stripped', /Upgrade and Connection/);
    // The gateway may notice it by itself and say 426.
    expect([200, 426]).toContain(change.dial?.status);
  });

  test('says why it forbids an upgrade: forwarded headers of a proxy that it does not trust, a host that it does not know', async () => {
    const running = await keep(startGateway());
    const url = secretUrl(running.port);
    const forwarded = await firstLoss({ url, headers: { 'x-forwarded-for': '203.0.113.9' } });
    expectDial(forwarded, 'forbidden', /proxy_attribution_required.*trustedProxies/);
    expectDial(
      await firstLoss({ url, headers: { host: 'evil.example' } }),
      'forbidden',
      /host_not_allowed.*allowedHosts/,
    );
  });
});

describe('TLS', () => {
  test.each<['self-signed' | 'expired' | 'other-name' | 'trusted', string[], RegExp]>([
    ['self-signed', [], /self-signed.*as `ca`.*as `pin`/],
    ['trusted', [], /CA is unknown.*as `ca`/],
    ['expired', [ca], /expired.*Renew/],
    ['other-name', [ca], /another name.*Use a name/],
  ])('a certificate that is %s is untrusted, says how, and is tried again after 30 s', async (name, trusted, next) => {
    const received: string[] = [];
    const server = await keep(
      tlsServer(certificate(name), (socket) => socket.on('data', (b) => received.push(String(b)))),
    );
    const clock = new VirtualClock();
    const change = await firstLoss({ url: secretUrl(server.port, 'wss'), ca: trusted }, { clock });
    expectDial(change, 'tls-untrusted', next);
    expect(change.state).toBe('backoff');
    expect((change.retryAtMs ?? 0) - clock.now()).toBeGreaterThanOrEqual(30_000);
    expect(received).toEqual([]);
  });

  test('another certificate than the pinned one fails for good, before a byte is sent', async () => {
    const received: string[] = [];
    const server = await keep(
      tlsServer(certificate('trusted'), (socket) => socket.on('data', (bytes) => received.push(String(bytes)))),
    );
    const pin = pinOf(certificate('self-signed').cert);
    const gateway = connect({ ...secrets, url: secretUrl(server.port, 'wss'), pin, ca });
    const ended = new Promise<StateChange>((resolve) => {
      gateway.on('state', (change) => void (change.state === 'failed' && resolve(change)));
    });
    await expect(gateway.request('health')).rejects.toMatchObject({
      code: 'DIAL_FAILED',
      retryable: false,
      details: { dialCode: 'tls-pin-mismatch' },
    });
    expectDial(await ended, 'tls-pin-mismatch', /someone is in between/);
    const { port } = await keep(connectProxy());
    const through = await firstLoss({ url: secretUrl(server.port, 'wss'), pin, proxy: `http://127.0.0.1:${port}` });
    expectDial(through, 'tls-pin-mismatch');
    expect(through.state).toBe('failed');
    expect(received).toEqual([]);
  });

  test('wss:// to a port without TLS', async () => {
    const { port } = await keep(tcpServer((socket) => socket.once('data', () => socket.end(httpAnswer(400)))));
    expectDial(await firstLoss({ url: secretUrl(port, 'wss') }), 'tls-failed', /ws:\/\//);
  });

  test('a TLS handshake that is cut', async () => {
    const { port } = await keep(tcpServer((socket) => socket.once('data', () => socket.destroy())));
    expectDial(await firstLoss({ url: secretUrl(port, 'wss') }), 'reset');
  });
});

/** Sends a message and reads the answer as it streams. */
async function say(options: ConnectOptions): Promise<string> {
  const gateway = await keep(connect({ token: testToken, ...options }));
  let text = '';
  const losses: StateChange[] = [];
  gateway.on('state', (change) => void (change.state === 'backoff' && losses.push(change)));
  for await (const part of gateway.session('main').send('hello')) if (part.type === 'text') text += part.delta;
  expect(losses).toEqual([]);
  return text;
}

describe('a way through', () => {
  test('by a CA of one’s own, and by a pin where there is no CA and no name', async () => {
    const trusted = await keep(startGateway({ tls: certificate('trusted') }));
    expect(await say({ url: `wss://localhost:${trusted.port}`, ca })).toBe('You said: hello');
    const alone = await keep(startGateway({ tls: certificate('expired') }));
    const pin = pinOf(certificate('expired').cert);
    expect(await say({ url: `wss://127.0.0.1:${alone.port}`, pin })).toBe('You said: hello');
  });

  test('by a CONNECT proxy that wants credentials, for ws:// and wss://', async () => {
    const proxy = await keep(connectProxy('ada:l@ve lace'));
    const plain = await keep(startGateway());
    const secure = await keep(startGateway({ tls: certificate('trusted') }));
    const through = `http://ada:l%40ve%20lace@127.0.0.1:${proxy.port}`;
    expect(await say({ url: plain.url, proxy: through })).toBe('You said: hello');
    expect(await say({ url: `wss://localhost:${secure.port}`, proxy: through, ca })).toBe('You said: hello');
    expect(proxy.asked.map(({ target }) => target)).toEqual([`127.0.0.1:${plain.port}`, `localhost:${secure.port}`]);
  });

  test('by a CONNECT proxy that itself speaks TLS', async () => {
    const proxy = await keep(connectProxy('ada:lovelace', certificate('trusted')));
    const secure = await keep(startGateway({ tls: certificate('trusted') }));
    const through = `https://ada:lovelace@localhost:${proxy.port}`;
    expect(await say({ url: `wss://localhost:${secure.port}`, proxy: through, ca })).toBe('You said: hello');
    expect(proxy.asked).toHaveLength(1);
    expectDial(await firstLoss({ url: secretUrl(secure.port, 'wss'), proxy: through }), 'proxy-unreachable');
    // The certificate is judged by the name of the proxy, not by that of the gateway.
    const named = await keep(startGateway({ allowedHosts: ['gateway.invalid'] }));
    expect(await say({ url: `ws://gateway.invalid:${named.port}`, proxy: through, ca })).toBe('You said: hello');
    const posing = await keep(connectProxy('ada:lovelace', certificate('other-name')));
    const posed = await firstLoss({ url: secretUrl(1), proxy: `https://ada:lovelace@localhost:${posing.port}`, ca });
    expectDial(posed, 'proxy-unreachable', /ALTNAME/);
    expect(posing.asked).toEqual([]);
  });

  test('by the proxy of the environment, which is passed by for NO_PROXY and for loopback', async () => {
    const proxy = await keep(connectProxy());
    const running = await keep(startGateway({ allowedHosts: ['gateway.invalid'] }));
    vi.stubEnv('HTTP_PROXY', `127.0.0.1:${proxy.port}`);
    const url = `ws://gateway.invalid:${running.port}`;
    expect(await say({ url })).toBe('You said: hello');
    expect(proxy.asked).toHaveLength(1);
    expect(await say({ url: running.url })).toBe('You said: hello');
    expectDial(await firstLoss({ url, proxy: false }), 'dns-failed');
    vi.stubEnv('NO_PROXY', 'example.com, .invalid');
    expectDial(await firstLoss({ url }), 'dns-failed');
    expect(proxy.asked).toHaveLength(1);
  });
});

describe('a proxy in the way', () => {
  test('that wants other credentials, and tells nobody those it got', async () => {
    const proxy = await keep(connectProxy('right:one'));
    const change = await firstLoss({
      url: secretUrl(1),
      proxy: `http://canary-proxy:canary-password@127.0.0.1:${proxy.port}`,
    });
    expectDial(change, 'proxy-auth-required', /user:password@/);
    expect(change.dial?.status).toBe(407);
    expect(proxy.asked[0]?.authorization).toBeDefined();
  });

  test('that refuses, can not be reached, ends early, or is of another kind', async () => {
    const refusing = await keep(rawAnswer(httpAnswer(403, html, page)));
    const loss = await firstLoss({ url: secretUrl(1, 'wss'), proxy: `http://127.0.0.1:${refusing.port}` });
    expectDial(loss, 'proxy-refused', /NO_PROXY/);
    expect(loss.dial?.status).toBe(403);
    const ending = await keep(tcpServer((socket) => socket.once('data', () => socket.end())));
    const through = `http://127.0.0.1:${ending.port}`;
    expectDial(await firstLoss({ url: secretUrl(1), proxy: through }), 'proxy-unreachable');
    await ending.close();
    expectDial(await firstLoss({ url: secretUrl(1), proxy: through }), 'proxy-unreachable', /HTTPS_PROXY/);
    vi.stubEnv('ALL_PROXY', 'socks5://canary:canary@127.0.0.1:1080');
    expectDial(await firstLoss({ url: secretUrl(1, 'wss', 'gateway.invalid') }), 'proxy-unsupported', /socks5/);
  });

  test('keeps the credentials for the gateway from the proxy when the proxy answers in its place', async () => {
    const requests: string[] = [];
    const refusing = await keep(rawAnswer(httpAnswer(502), requests));
    await firstLoss({ url: secretUrl(1, 'wss'), proxy: `http://127.0.0.1:${refusing.port}` });
    expect(requests).toHaveLength(1);
    expect(requests[0]).not.toContain('canary');
  });
});
