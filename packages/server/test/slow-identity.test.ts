import { settle } from '@openclaw/protocol/testing';
import { describe, expect, test } from 'vitest';
import { Identities, sharedToken } from './identity-fixture.ts';
import { makeDevice } from './raw-client.ts';

const tailnet = '100.64.0.7';
const asAda = { from: tailnet, headers: { 'tailscale-user-login': 'ada@example.com' } };

/** A tailnet that answers when the test says so. */
function heldTailnet() {
  const asked: string[] = [];
  let release = () => {};
  const answer = new Promise<void>((resolve) => {
    release = resolve;
  });
  return {
    asked,
    release,
    whois: async (address: string) => {
      asked.push(address);
      await answer;
      return { login: 'ada@example.com' };
    },
  };
}

describe('a connect whose sender has to be asked for elsewhere', () => {
  test('is let in when the answer comes, for what its kind allows', async () => {
    const gateway = await Identities.open({ tailscale: { whois: async () => ({ login: 'ada@example.com' }) } });
    const { hello } = await gateway.join({ ...asAda, changes: { auth: {} } });
    expect(hello.auth.scopes).toEqual(['operator.read', 'operator.write', 'operator.approvals']);
    const device = makeDevice();
    const { error } = await gateway.refused({ ...asAda, device, changes: { auth: {} } });
    expect(error.details).toMatchObject({ code: 'PAIRING_REQUIRED', requestedScopes: hello.auth.scopes });
  });

  test('is closed when its time is over, and nothing of it stays', async () => {
    const { whois, asked, release } = heldTailnet();
    const gateway = await Identities.open({ tailscale: { whois } });
    const owner = await gateway.join();
    const knocking = gateway.dial({ ...asAda, device: makeDevice(), changes: { auth: {} } });
    const client = await knocking;
    while (asked.length === 0) await settle();
    await gateway.clock.advance(16_000);
    expect(await client.closed).toEqual({ code: 1000, reason: '' });
    release();
    await settle();
    const later = await gateway.join();
    expect((await later.ask('device.pair.list')).payload).toEqual({ pending: [], paired: [] });
    expect(owner.hello.type).toBe('hello-ok');
  });

  test('is held to little before its hello', async () => {
    const { whois, asked } = heldTailnet();
    const gateway = await Identities.open({ tailscale: { whois } });
    const client = await gateway.dial({ ...asAda, changes: { auth: {} } });
    while (asked.length === 0) await settle();
    for (let n = 0; n < 3; n++) client.send({ type: 'req', id: `${n}`, method: 'x', params: 'x'.repeat(30_000) });
    expect(await client.closed).toEqual({ code: 1008, reason: 'too much before hello' });
  });

  test('is judged by the settings of the moment when the answer comes', async () => {
    const { whois, asked, release } = heldTailnet();
    const gateway = await Identities.open({ tailscale: { whois } });
    const client = await gateway.dial({ ...asAda, changes: { auth: {} } });
    while (asked.length === 0) await settle();
    gateway.gateway.reconfigure({
      auth: { mode: 'token', token: sharedToken },
      trustedProxies: ['127.0.0.1'],
      tailscale: { whois, allowLogins: ['bob@example.com'] },
    });
    release();
    expect((await client.next()).ok).toBe(false);
  });

  test('may have asked for what it says after it, and is answered in order', async () => {
    const { whois, asked, release } = heldTailnet();
    const gateway = await Identities.open({ tailscale: { whois } });
    const client = await gateway.dial({ ...asAda, changes: { auth: {} } });
    while (asked.length === 0) await settle();
    client.send({ type: 'req', id: 'early', method: 'health' });
    release();
    expect((await client.next()).payload.type).toBe('hello-ok');
    const answers = [await client.next()];
    while (answers.at(-1)?.type !== 'res') answers.push(await client.next());
    expect(answers.at(-1)).toMatchObject({ id: 'early', ok: true });
  });
});
