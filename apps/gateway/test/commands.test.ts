import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { connect, type Gateway, parseSetupCode } from '@openclaw/client';
import { deviceIdentity, memoryDeviceStore } from '@openclaw/client/device';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { hashPasswordCommand } from '../src/commands/hash-password.ts';
import { Workshop } from './gateway-process.ts';

let workshop: Workshop;
let gateways: Gateway[];

beforeEach(() => {
  workshop = new Workshop();
  gateways = [];
});
afterEach(async () => {
  for (const gateway of gateways) gateway.close();
  await workshop.dispose();
});

const config = (text: string) => {
  const path = join(workshop.directory, 'c.json5');
  writeFileSync(path, text);
  return path;
};

const ran = async (...args: string[]) => {
  const program = workshop.run(args, { HUSH: 'hush-hush-hush-hush' });
  const { code } = await program.exited;
  return { code, output: program.output };
};

describe('hash-password', () => {
  const hashOf = async (text: string) => {
    const input = new PassThrough();
    input.end(text);
    const printed: string[] = [];
    await hashPasswordCommand({ input, print: (line) => printed.push(line), prompt: () => {} });
    return printed.join('\n');
  };

  test('prints what lets the password in, and nobody who reads it', async () => {
    const hash = await hashOf('correct horse battery\n');
    expect(hash).toMatch(/^scrypt\$/);
    expect(hash).not.toContain('horse');
    const path = config(`{ auth: { mode: 'password', password: '${hash}' } }`);
    const url = (await workshop.start(['--config', path]).url()).replace('http', 'ws');
    const letIn = connect({ url, password: 'correct horse battery' });
    const refused = connect({ url, password: hash });
    gateways.push(letIn, refused);
    await expect(letIn.request('health')).resolves.toMatchObject({ ok: true });
    await expect(refused.request('health')).rejects.toMatchObject({ details: { code: 'AUTH_PASSWORD_MISMATCH' } });
  });

  test.each(['', '\n', '\nsecond line'])('refuses %j', async (text) => {
    await expect(hashOf(text)).rejects.toMatchObject({ exitCode: 64 });
  });
});

describe('check-config', () => {
  test('names every problem with its place, and ends with 78', async () => {
    const path = config("{ prot: 1, http: { alowedHosts: [] }, agent: { apiKey: '${NOWHERE}' } }");
    const { code, output } = await ran('check-config', '--config', path);
    expect(code).toBe(78);
    expect(output).toContain('agent.apiKey: uses ${NOWHERE}, which is not set');
    config('{ prot: 1, http: { alowedHosts: [] } }');
    const lines = (await ran('check-config', '--config', path)).output.trim().split('\n').sort();
    expect(lines).toEqual([
      `${path} is not valid.`,
      'http.alowedHosts: is not a setting; did you mean "http.allowedHosts"?',
      'prot: is not a setting; did you mean "port"?',
    ]);
  });

  test('finds what only the gateway itself refuses', async () => {
    const path = config("{ hooks: { token: 'short' } }");
    expect(await ran('check-config', '--config', path)).toEqual({
      code: 78,
      output: expect.stringContaining('hooks.token has fewer than 16 characters'),
    });
  });

  test('passes a good one, makes nothing, and shows no secret', async () => {
    const path = config("{ tls: 'self-signed', tokens: { ci: { token: { env: 'HUSH' }, scopes: [] } }, bind: 'lan' }");
    const state = join(workshop.directory, 'nowhere');
    expect(await ran('check-config', '--config', path, '--state-dir', state)).toEqual({
      code: 0,
      output: `${path} is valid.\n`,
    });
    expect(readdirSync(workshop.directory)).toEqual(['c.json5']);
  });
});

describe('devices', () => {
  test('lists who waits, lets one in, and removes it again', async () => {
    const path = config("{ http: { trustedProxies: ['127.0.0.1'] } }");
    const program = workshop.start(['--config', path]);
    const [, port = ''] = await program.printed(/http:\/\/127\.0\.0\.1:(\d+)/);
    const args = ['--config', path, '--state-dir', workshop.stateDirectory, '--port', port];
    expect((await ran('devices', ...args)).output).toBe('No device waits and none was let in.\n');
    const phone = connect({
      url: `ws://127.0.0.1:${port}`,
      token: readFileSync(join(workshop.stateDirectory, 'token'), 'utf8').trim(),
      headers: { 'x-forwarded-for': '203.0.113.9' },
      device: deviceIdentity({ store: memoryDeviceStore() }),
      client: { displayName: 'Ada’s phone' },
      scopes: ['operator.read'],
    });
    gateways.push(phone);
    await new Promise<void>((resolve) =>
      phone.on('state', ({ error }) => error?.details?.code === 'PAIRING_REQUIRED' && resolve()),
    );
    const waiting = (await ran('devices', ...args)).output;
    expect(waiting).toMatch(
      /^waits {3}\S+ {2}[0-9a-f]{12} {2}Ada’s phone, .*from 203\.0\.113\.9, asks for operator\.read$/m,
    );
    const [, request = ''] = /^waits +(\S+)/m.exec(waiting) ?? [];
    expect(await ran('devices', 'approve', 'no-such-request', ...args)).toMatchObject({ code: 69 });
    expect(await ran('devices', 'approve', request.slice(0, 8), ...args)).toMatchObject({ code: 0 });
    await expect(phone.request('health', {}, { timeoutMs: 15_000 })).resolves.toMatchObject({ ok: true });
    const [, device = ''] = /^paired +(\S+) .*connected/m.exec((await ran('devices', ...args)).output) ?? [];
    const gone = new Promise<void>((resolve) => phone.on('state', ({ closeCode }) => closeCode === 4001 && resolve()));
    expect(await ran('devices', 'remove', device, ...args)).toMatchObject({ code: 0 });
    await gone;
  }, 60_000);
});

describe('setup-code', () => {
  test('lets a phone in once, with the pin of the certificate', async () => {
    const path = config("{ tls: 'self-signed' }");
    const program = workshop.start(['--config', path]);
    const [, port = ''] = await program.printed(/https:\/\/127\.0\.0\.1:(\d+)/);
    const args = ['--config', path, '--state-dir', workshop.stateDirectory, '--port', port];
    const { code, output } = await ran('setup-code', ...args, '--url', `wss://127.0.0.1:${port}`);
    expect(code).toBe(0);
    expect(output).toContain('█');
    const text = /^[\w-]{60,}$/m.exec(output)?.[0] as string;
    const { url, pin, bootstrapToken } = parseSetupCode(text);
    expect({ url, pin }).toEqual({ url: `wss://127.0.0.1:${port}`, pin: expect.stringMatching(/^sha256\//) });
    const phone = connect({ url, pin: String(pin), bootstrapToken });
    gateways.push(phone);
    await expect(phone.request('health')).resolves.toMatchObject({ ok: true });
    const second = connect({ url, pin: String(pin), bootstrapToken });
    gateways.push(second);
    await expect(second.request('health')).rejects.toThrow();
  });

  test('says so when no gateway runs', async () => {
    const { code, output } = await ran('setup-code', '--state-dir', join(workshop.directory, 'nowhere'));
    expect({ code, output }).toEqual({ code: 78, output: expect.stringContaining('There is no state directory') });
    const started = workshop.start();
    const { port } = new URL(await started.url());
    started.kill('SIGTERM');
    await started.exited;
    const asked = await ran('setup-code', '--state-dir', workshop.stateDirectory, '--port', port);
    expect(asked).toEqual({
      code: 69,
      output: expect.stringContaining(`The gateway at ws://127.0.0.1:${port} made no`),
    });
  });
});
