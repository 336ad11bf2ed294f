import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { VirtualClock } from '@openclaw/protocol/testing';
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import type { TailscaleOptions } from '../src/connection/access-options.ts';
import { identifyTailscale, TailscaleUsers } from '../src/connection/tailscale.ts';
import { ask, askUpgrade } from './ask.ts';
import { listening } from './edge-fixture.ts';
import { connectFrame } from './raw-client.ts';

const ada = { 'tailscale-user-login': 'ada@example.com', 'x-forwarded-for': '100.64.0.7' };
const claim = { address: '100.64.0.7', login: 'ada@example.com', isPeerTrusted: false };

/** A tailnet in which one address is Ada's; it writes down what it is asked. */
function tailnet(changes: Partial<TailscaleOptions> = {}): { options: TailscaleOptions; asked: string[] } {
  const asked: string[] = [];
  const whois = async (address: string) => {
    asked.push(address);
    return address === '100.64.0.7' ? { login: 'Ada@example.com', name: 'Ada' } : undefined;
  };
  return { asked, options: { whois, ...changes } };
}

function missingProgram(): Promise<never> {
  return Promise.reject(Object.assign(new Error('spawn tailscale ENOENT'), { code: 'ENOENT' }));
}

function detail(code: string) {
  return expect.objectContaining({ details: expect.objectContaining({ code }) });
}

describe('whois', () => {
  test('confirms who has an address, and is asked again after a minute', async () => {
    const clock = new VirtualClock();
    const { options, asked } = tailnet();
    const users = new TailscaleUsers({ clock, options });
    expect(await identifyTailscale(users, claim)).toBe('ada@example.com');
    await clock.advance(59_999);
    expect(await identifyTailscale(users, claim)).toBe('ada@example.com');
    expect(asked.length).toBe(1);
    await clock.advance(1);
    await identifyTailscale(users, claim);
    expect(asked.length).toBe(2);
  });

  test('of another user, or of nobody, is a mismatch', async () => {
    const users = new TailscaleUsers({ clock: new VirtualClock(), options: tailnet().options });
    await expect(identifyTailscale(users, { ...claim, login: 'eve@example.com' })).rejects.toEqual(
      detail('AUTH_TAILSCALE_IDENTITY_MISMATCH'),
    );
    await expect(identifyTailscale(users, { ...claim, address: '100.64.0.8' })).rejects.toEqual(
      detail('AUTH_TAILSCALE_IDENTITY_MISMATCH'),
    );
  });

  test('that fails refuses, is not remembered, and is not asked more than eight times at once', async () => {
    let answer = () => {};
    let isBroken = true;
    let askedCount = 0;
    const whois = async () => {
      askedCount++;
      if (isBroken) throw new Error('no daemon');
      await new Promise<void>((resolve) => {
        answer = resolve;
      });
      return { login: 'ada@example.com' };
    };
    const users = new TailscaleUsers({ clock: new VirtualClock(), options: { whois } });
    await expect(identifyTailscale(users, claim)).rejects.toEqual(detail('AUTH_TAILSCALE_WHOIS_FAILED'));
    isBroken = false;
    const again = identifyTailscale(users, claim);
    const others = Array.from({ length: 8 }, (_, index) =>
      identifyTailscale(users, { ...claim, address: `100.64.1.${index}` }),
    );
    await expect(others[7]).rejects.toEqual(detail('AUTH_TAILSCALE_WHOIS_FAILED'));
    for (const other of others.slice(0, 7)) other.catch(() => undefined);
    expect(askedCount).toBe(9);
    answer();
    void again.catch(() => undefined);
  });

  test('without a program counts the header only of a trusted proxy', async () => {
    const users = new TailscaleUsers({ clock: new VirtualClock(), options: { whois: missingProgram } });
    await expect(identifyTailscale(users, claim)).rejects.toEqual(detail('AUTH_TAILSCALE_WHOIS_FAILED'));
    expect(await identifyTailscale(users, { ...claim, isPeerTrusted: true })).toBe('ada@example.com');
  });

  test('lets in only the logins that may come, in the list’s own spelling', async () => {
    const allowing = (...allowLogins: string[]) =>
      new TailscaleUsers({ clock: new VirtualClock(), options: tailnet({ allowLogins }).options });
    expect(await identifyTailscale(allowing('ADA@example.com'), claim)).toBe('ADA@example.com');
    await expect(identifyTailscale(allowing('grace@example.com'), claim)).rejects.toEqual(
      detail('AUTH_VERIFIED_USER_REQUIRED'),
    );
  });
});

describe('the program tailscale', () => {
  afterEach(() => {
    vi.unstubAllEnvs();
  });

  /** A program of this name, first in the path. */
  async function program(script: string): Promise<TailscaleUsers> {
    const directory = await mkdtemp(join(tmpdir(), 'tailscale-'));
    onTestFinished(() => rm(directory, { recursive: true }));
    await writeFile(join(directory, 'tailscale'), `#!/bin/sh\n${script}\n`);
    await chmod(join(directory, 'tailscale'), 0o755);
    vi.stubEnv('PATH', `${directory}:${process.env.PATH}`);
    return new TailscaleUsers({ clock: new VirtualClock() });
  }

  test('is asked for the address, in JSON', async () => {
    const users = await program(
      '[ "$*" = "whois --json 100.64.0.7" ] && echo \'{"Node":{},"UserProfile":{"LoginName":"ada@example.com","DisplayName":"Ada"}}\'',
    );
    expect(await users.whois('100.64.0.7')).toEqual({ is: 'known', user: { login: 'ada@example.com', name: 'Ada' } });
    expect(await users.whois('100.64.0.8')).toEqual({ is: 'failed' });
  });

  test.each(['echo nonsense', 'echo null', 'exit 1'])('that says "%s" tells nothing', async (script) => {
    expect(await (await program(script)).whois('100.64.0.7')).toEqual({ is: 'failed' });
  });

  test('that knows no user says nobody', async () => {
    expect(await (await program('echo "{}"')).whois('100.64.0.7')).toEqual({ is: 'nobody' });
  });

  test('that is not there is told from one that fails', async () => {
    vi.stubEnv('PATH', '/nowhere');
    expect(await new TailscaleUsers({ clock: new VirtualClock() }).whois('100.64.0.7')).toEqual({ is: 'absent' });
  });
});

describe('tailscale serve in front', () => {
  test('brings its user in without a token; the connection is not local', async () => {
    const { asked, options } = tailnet();
    const { dial, host } = await listening({ tailscale: options, allowedHosts: ['box.tailnet.ts.net'] });
    const client = dial({ headers: { ...ada, host: 'box.tailnet.ts.net', origin: 'https://box.tailnet.ts.net' } });
    await client.next();
    client.send(connectFrame({ auth: {}, scopes: ['operator.read', 'operator.admin'] }));
    expect(await client.next()).toMatchObject({ ok: true, payload: { auth: { scopes: ['operator.read'] } } });
    expect(asked).toEqual(['100.64.0.7']);
    expect(host.peers[0]).toMatchObject({
      remoteAddress: '100.64.0.7',
      identity: { principal: 'user:ada@example.com', isLocal: false },
    });
  });

  test('asks nobody about a client that brings a token', async () => {
    const { asked, options } = tailnet();
    const { dial } = await listening({ tailscale: options });
    const client = dial({ headers: { ...ada, 'x-forwarded-for': '100.64.0.8' } });
    await client.next();
    client.send(connectFrame());
    expect(await client.next()).toMatchObject({ ok: true });
    expect(asked).toEqual([]);
  });

  test('does not help a stranger who writes its headers himself', async () => {
    const { dial } = await listening({ tailscale: tailnet().options });
    for (const [headers, code] of [
      [{ ...ada, 'x-forwarded-for': '203.0.113.9' }, 'AUTH_TAILSCALE_IDENTITY_MISMATCH'],
      [{ ...ada, 'x-forwarded-for': '100.64.0.7, 203.0.113.9' }, 'AUTH_TAILSCALE_IDENTITY_MISMATCH'],
      [{ ...ada, 'tailscale-user-login': 'eve@example.com' }, 'AUTH_TAILSCALE_IDENTITY_MISMATCH'],
    ] as const) {
      const client = dial({ headers });
      await client.next();
      client.send(connectFrame({ auth: {} }));
      expect(await client.next()).toMatchObject({ ok: false, error: { details: { code } } });
    }
  });

  test('is not believed unless Tailscale is configured', async () => {
    const { origin } = await listening();
    expect(JSON.parse((await askUpgrade(origin, ada)).text)).toMatchObject({
      error: { type: 'proxy_attribution_required' },
    });
  });
});

describe('tailscale funnel in front', () => {
  const funnelled = { 'x-forwarded-for': '203.0.113.9', 'x-forwarded-host': 'box.tailnet.ts.net' };
  const options = { tailscale: tailnet().options, allowedHosts: ['box.tailnet.ts.net'] };

  test('is refused until loopback is a trusted proxy', async () => {
    const { origin } = await listening(options);
    expect(await askUpgrade(origin, funnelled)).toMatchObject({ status: 403 });
    expect(await ask(origin, '/protocol.schema.json', { headers: funnelled })).toMatchObject({ status: 200 });
  });

  test('names nobody: who comes by it needs a credential', async () => {
    const { dial } = await listening({ ...options, trustedProxies: ['127.0.0.1'] });
    const stranger = dial({ headers: funnelled });
    await stranger.next();
    stranger.send(connectFrame({ auth: {} }));
    expect(await stranger.next()).toMatchObject({ ok: false });
    const known = dial({ headers: funnelled });
    await known.next();
    known.send(connectFrame());
    expect(await known.next()).toMatchObject({ ok: true });
  });
});
