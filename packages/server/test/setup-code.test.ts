import { inflateSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { networkHosts } from '../src/connection/network-hosts.ts';
import { isServedHere, setupAddress } from '../src/connection/setup-code.ts';
import { Identities } from './identity-fixture.ts';
import { makeDevice } from './raw-client.ts';

const away = '203.0.113.9';
const limited = ['operator.read', 'operator.write', 'operator.approvals'];
const publicUrl = 'https://gateway.example/';

const read = (setupCode: string) => JSON.parse(Buffer.from(setupCode, 'base64url').toString());

describe('a setup code', () => {
  test('pins the gateway’s own certificate only where that is what answers', () => {
    expect(isServedHere('wss://192.0.2.7:18789', 18_789)).toBe(true);
    expect(isServedHere('wss://gateway.example', 18_789)).toBe(false);
    expect(isServedHere('wss://gateway.example', 443)).toBe(true);
    expect(isServedHere('ws://192.0.2.7:18789', 18_789)).toBe(false);
  });

  test('holds all that a phone needs, and lets it in once, from anywhere', async () => {
    const gateway = await Identities.open();
    const owner = await gateway.join();
    const { payload } = await owner.ask('device.pair.setupCode', { publicUrl });
    expect(payload).toMatchObject({
      gatewayUrl: 'wss://gateway.example',
      urlSource: 'request',
      auth: 'token',
      access: 'limited',
      expiresAtMs: gateway.clock.now() + 600_000,
    });
    const facts = read(payload.setupCode);
    expect(facts).toEqual({ url: 'wss://gateway.example', bootstrapToken: expect.stringMatching(/^[\w-]{43}$/) });
    const { bootstrapToken } = facts;
    const device = makeDevice();
    const phone = { device, from: away, changes: { auth: { bootstrapToken } } };
    const { auth } = (await gateway.join(phone)).hello;
    expect(auth.scopes).toEqual(limited.toSorted((a, b) => order(a) - order(b)));
    expect((await gateway.refused(phone)).error.details.code).toBe('AUTH_BOOTSTRAP_TOKEN_INVALID');
    const later = { device, from: away, changes: { auth: { deviceToken: auth.deviceToken }, scopes: limited } };
    await gateway.join(later);
    const { paired } = (await owner.ask('device.pair.list')).payload;
    expect(paired).toMatchObject([{ deviceId: device.id, approvedVia: 'code', scopes: auth.scopes }]);
  });

  test('that two redeem at the same time lets in one', async () => {
    const gateway = await Identities.open();
    const bootstrapToken = await gateway.gateway.createBootstrapCode({ scopes: ['operator.read'] });
    const redeem = () => gateway.knock({ device: makeDevice(), from: away, changes: { auth: { bootstrapToken } } });
    const answers = (await Promise.all([redeem(), redeem(), redeem(), redeem()])).map(({ answer }) => answer);
    expect(answers.filter(({ ok }) => ok).length).toBe(1);
    for (const { ok, error } of answers) if (!ok) expect(error.details.code).toBe('AUTH_BOOTSTRAP_TOKEN_INVALID');
    expect(answers.find(({ ok }) => ok)?.payload.auth.scopes).toEqual(['operator.read']);
  });

  test('is not used up by a connect that is refused for another reason', async () => {
    const gateway = await Identities.open();
    const auth = { bootstrapToken: await gateway.gateway.createBootstrapCode() };
    await gateway.refused({ changes: { auth, role: 'agent' } });
    await gateway.refused({ changes: { auth, minProtocol: 5, maxProtocol: 6 } });
    await gateway.refused({ changes: { auth }, headers: { origin: 'https://evil.example' } });
    const device = makeDevice();
    await gateway.refused({ device: { ...device, publicKey: makeDevice().publicKey }, changes: { auth } });
    await gateway.join({ device, from: away, changes: { auth } });
  });

  test('is too old after ten minutes', async () => {
    const gateway = await Identities.open();
    const bootstrapToken = await gateway.gateway.createBootstrapCode();
    await gateway.clock.advance(600_000);
    const { error } = await gateway.refused({
      from: away,
      device: makeDevice(),
      changes: { auth: { bootstrapToken } },
    });
    expect(error.details.code).toBe('AUTH_BOOTSTRAP_TOKEN_INVALID');
  });

  test('grants what was asked for as far as its maker has it', async () => {
    const gateway = await Identities.open();
    const helper = await gateway.join({ changes: { scopes: ['operator.pairing', 'operator.read'] } });
    const { payload } = await helper.ask('device.pair.setupCode', { publicUrl });
    const auth = { bootstrapToken: read(payload.setupCode).bootstrapToken };
    expect((await gateway.join({ from: away, device: makeDevice(), changes: { auth } })).hello.auth.scopes).toEqual([
      'operator.read',
    ]);
    const more = await helper.ask('device.pair.setupCode', { publicUrl, scopes: ['operator.admin'] });
    expect(more.error.details).toMatchObject({ code: 'MISSING_SCOPE', missingScope: 'operator.admin' });
    const nobody = await gateway.join({ changes: { scopes: ['operator.pairing'] } });
    expect((await nobody.ask('device.pair.setupCode', { publicUrl })).error.code).toBe('FORBIDDEN');
    const node = await helper.ask('device.pair.setupCode', { publicUrl, bootstrapProfile: 'node' });
    expect(node.error.details.code).toBe('ROLE_UNSUPPORTED');
  });

  test('comes as a picture, too, and its secret is in no list and no trail', async () => {
    const gateway = await Identities.open({ publicUrl: 'wss://from-the-options.example:8443' });
    const owner = await gateway.join({ changes: { caps: ['streams'] } });
    const { payload } = await owner.ask('device.pair.setupCode', { includeQr: true });
    expect(payload.qrDataUrl.length).toBeLessThan(16_384);
    expect(payload).toMatchObject({ gatewayUrl: 'wss://from-the-options.example:8443', urlSource: 'config' });
    const png = Buffer.from(payload.qrDataUrl.replace('data:image/png;base64,', ''), 'base64');
    expect(png.subarray(0, 8).toString('hex')).toBe('89504e470d0a1a0a');
    const [width, height] = [png.readUInt32BE(16), png.readUInt32BE(20)];
    expect(width).toBe(height);
    const idatAt = png.indexOf('IDAT') + 4;
    const pixels = inflateSync(png.subarray(idatAt, idatAt + png.readUInt32BE(idatAt - 8)));
    expect(pixels.length).toBe((1 + Math.ceil(width / 8)) * height);
    // The quiet zone is white, the corner of the first finder black.
    expect([pixels[1], (pixels[24 * (1 + Math.ceil(width / 8)) + 1 + 3] ?? 255) & 0x80]).toEqual([255, 0]);
    expect(payload.qrText).toMatch(/[█▀▄]/);
    const plain = (await (await gateway.join()).ask('device.pair.setupCode', { includeQr: true })).payload;
    expect(Object.keys(plain)).not.toContain('qrText');
    expect(plain.qrDataUrl).toMatch(/^data:image\/png;base64,/);
    const { bootstrapToken } = read(payload.setupCode);
    const told = JSON.stringify([
      (await owner.ask('audit.entries')).payload,
      (await owner.ask('device.pair.list')).payload,
    ]);
    expect(told).toContain(payload.setupId);
    expect(told).not.toContain(bootstrapToken);
  });
});

describe('the address in it', () => {
  const localHosts = ['192.168.1.7:18789', '10.0.0.7:18789'];

  test.each([
    ['what the caller says', { asked: 'http://box.local:1', configured: 'wss://x', localHosts }, 'ws://box.local:1'],
    ['what the options say', { configured: 'wss://x', connection: 'ws://y', localHosts }, 'wss://x'],
    ['where the caller came to', { connection: 'wss://gateway.ts.net', localHosts }, 'wss://gateway.ts.net'],
    [
      'one of the network, for who came locally',
      { connection: 'wss://127.0.0.1:18789', localHosts },
      'wss://192.168.1.7:18789',
    ],
    [
      'one of the network, for who came by IPv6',
      { connection: 'ws://[::1]:18789', localHosts },
      'ws://192.168.1.7:18789',
    ],
  ])('is %s', (_, facts, url) => {
    expect(setupAddress(facts).url).toBe(url);
  });

  test('has the others of the network beside it', () => {
    expect(setupAddress({ connection: 'ws://localhost:1', localHosts }).urls).toEqual([
      'ws://192.168.1.7:18789',
      'ws://10.0.0.7:18789',
    ]);
  });

  test.each(['ftp://x', 'nothing', 'wss://name:secret@x'])('is not %s', (asked) => {
    expect(() => setupAddress({ asked, localHosts })).toThrow(/publicUrl/);
  });

  test('is asked for where the gateway listens on this machine only', async () => {
    const owner = await (await Identities.open()).join();
    expect((await owner.ask('device.pair.setupCode')).error.message).toContain('Give publicUrl');
  });

  test('of the network is none that means another machine elsewhere', () => {
    const own = { netmask: '', mac: '', cidr: null };
    const interfaces = () => ({
      lo: [{ ...own, address: '127.0.0.1', family: 'IPv4' as const, internal: true }],
      eth0: [
        { ...own, address: '192.168.1.7', family: 'IPv4' as const, internal: false },
        { ...own, address: '169.254.3.4', family: 'IPv4' as const, internal: false },
        { ...own, address: 'fe80::1', family: 'IPv6' as const, internal: false, scopeid: 2 },
      ],
    });
    const at = (address: string) => networkHosts({ address, port: 1, family: 'IPv4' }, interfaces);
    expect(at('0.0.0.0')).toEqual(['192.168.1.7:1']);
    expect(at('::')).toEqual(['192.168.1.7:1']);
    expect(at('127.0.0.1')).toEqual([]);
    expect(at('10.1.2.3')).toEqual(['10.1.2.3:1']);
    expect(at('fd00::7')).toEqual(['[fd00::7]:1']);
    expect(networkHosts(undefined, interfaces)).toEqual([]);
  });
});

const order = (scope: string) =>
  ['operator.read', 'operator.write', 'operator.admin', 'operator.approvals'].indexOf(scope);
