import { createHash, X509Certificate } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { connect, type Gateway } from '@openclaw/client';
import { operatorScopes } from '@openclaw/protocol/wire';
import JSON5 from 'json5';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { selfSignedCertificate } from '../src/self-signed.ts';
import { type GatewayProcess, Workshop } from './gateway-process.ts';

let workshop: Workshop;
let gateways: Gateway[];
let path: string;

beforeEach(() => {
  workshop = new Workshop();
  gateways = [];
  path = join(workshop.directory, 'c.json5');
});
afterEach(async () => {
  for (const gateway of gateways) gateway.close();
  await workshop.dispose();
});

const write = (config: object | string) =>
  writeFileSync(path, typeof config === 'string' ? config : JSON5.stringify(config));

const start = (config: object | string, env?: Record<string, string>): GatewayProcess => {
  write(config);
  return workshop.start(['--config', path], env);
};

const client = (url: string, token = workshop.token) => {
  const gateway = connect({ url: url.replace('http', 'ws'), token, scopes: [...operatorScopes] });
  gateways.push(gateway);
  return gateway;
};

/** The `config.changed` events of a gateway, one by one. */
const changesOf = async (gateway: Gateway) => {
  const items = gateway.stream('system').events()[Symbol.asyncIterator]();
  await items.next();
  return async () => {
    for (;;) {
      const { value, done } = await items.next();
      if (done) throw new Error('the stream ended');
      const { event, payload } = value as { event?: string; payload?: unknown };
      if (event === 'config.changed') return payload as { changed: string[]; needsRestart: string[]; problem?: string };
    }
  };
};

/** Resolves when the gateway closes the connection for its credential. */
const cutOff = (gateway: Gateway) =>
  new Promise<void>((resolve) => gateway.on('state', ({ closeCode }) => closeCode === 4001 && resolve()));

const mismatch = { details: expect.objectContaining({ code: 'AUTH_TOKEN_MISMATCH' }) };

/** Whether a page of this origin gets in. */
const isLetIn = (url: string, from: string, token = workshop.token): Promise<boolean> =>
  new Promise((resolve, reject) => {
    const socket = Reflect.construct(WebSocket, [
      url.replace('http', 'ws'),
      { headers: { origin: from } },
    ]) as WebSocket;
    const page = { id: 'webchat-ui', version: '1', platform: 'web', mode: 'webchat' };
    const params = { minProtocol: 4, maxProtocol: 4, client: page, auth: { token } };
    socket.addEventListener('open', () =>
      socket.send(JSON.stringify({ type: 'req', id: '1', method: 'connect', params })),
    );
    socket.addEventListener('message', ({ data }) => {
      const { type, ok, error } = JSON.parse(String(data));
      if (type !== 'res') return;
      socket.close();
      if (ok || error.details.code === 'CONTROL_UI_ORIGIN_NOT_ALLOWED') resolve(ok);
      else reject(new Error(error.message));
    });
    socket.addEventListener('error', () => reject(new Error('no connection')));
  });

const origin = 'https://panel.example';

describe('an edit of the configuration', () => {
  test('is in use at once and drops nobody; a bad one changes nothing and says why', async () => {
    const program = start({ http: { allowedOrigins: [] } });
    const url = await program.url();
    const gateway = client(url);
    const states: string[] = [];
    gateway.on('state', ({ state }) => states.push(state));
    const next = await changesOf(gateway);
    await gateway.request('health');
    const run = gateway.session('main').send('count to 120');
    for await (const part of run) if (part.type === 'text') break;
    expect(await isLetIn(url, origin)).toBe(false);
    const statesBefore = [...states];

    write({ http: { allowedOrigins: [origin] }, limits: { maxConnections: 50 }, effects: { hook: 'deny' } });
    expect(await next()).toMatchObject({
      changed: expect.arrayContaining(['http.allowedOrigins', 'limits.maxConnections', 'effects.hook']),
      needsRestart: [],
    });
    expect(await isLetIn(url, origin)).toBe(true);

    write('{ http: { alowedOrigins: [] } }');
    const refused = await next();
    expect(refused).toMatchObject({ changed: [], problem: expect.stringContaining('http.allowedOrigins') });
    expect(await gateway.request('config.get')).toMatchObject({
      valid: false,
      problem: refused.problem,
      config: { http: { allowedOrigins: [origin] } },
    });
    expect(program.output).toMatch(/config.refused.*http.alowedOrigins/);
    expect(await isLetIn(url, origin)).toBe(true);

    // The next mistake is in the log, too, though the audit trail joins those of a minute.
    write('{ http: { alowedHosts: [] } }');
    await next();
    await program.printed(/config.refused.*http.alowedHosts/);

    write({ http: { allowedOrigins: [] }, port: 1 });
    expect(await next()).toMatchObject({ needsRestart: ['port'] });
    expect(await gateway.request('config.get')).toMatchObject({ valid: true, config: { port: 1 } });
    expect(await isLetIn(url, origin)).toBe(false);
    expect(program.output).toMatch(/config.changed.*in use after a restart: port/);

    expect(states).toEqual(statesBefore);
    await run.final;
    const { entries } = await gateway.request('audit.entries', { actions: ['config.changed', 'config.refused'] });
    expect(entries.map(({ action, actor }) => `${action} by ${actor}`)).toEqual([
      'config.changed by config',
      'config.refused by config',
      'config.changed by config',
    ]);
  });

  test('narrows a named token, and takes it away, with its connections', async () => {
    const tokens = (scopes: string[]) => ({ tokens: { ci: { token: 'a-token-for-the-ci-jobs', scopes } } });
    const url = await start(tokens(['operator.read', 'operator.write'])).url();
    const owner = client(url);
    const next = await changesOf(owner);
    const ci = client(url, 'a-token-for-the-ci-jobs');
    await ci.session('main').send('count to 3').final;

    write(tokens(['operator.read']));
    expect(await next()).toMatchObject({ changed: ['tokens.ci.scopes'], needsRestart: [] });
    await expect(ci.session('main').send('again').final).rejects.toMatchObject({
      details: expect.objectContaining({ code: 'MISSING_SCOPE' }),
    });
    expect(await ci.request('sessions.list', {})).toBeDefined();

    const cut = cutOff(ci);
    write({});
    await next();
    await cut;
    await expect(client(url, 'a-token-for-the-ci-jobs').request('health')).rejects.toMatchObject(mismatch);
  });

  test('is seen when the file is mounted as Kubernetes does it, and when a secret’s own file changes', async () => {
    const mount = join(workshop.directory, 'mount');
    const revision = (name: string, config: object, secret: string) => {
      mkdirSync(join(mount, name), { recursive: true });
      writeFileSync(join(mount, name, 'c.json5'), JSON5.stringify(config));
      writeFileSync(join(mount, name, 'token'), secret, { mode: 0o600 });
      symlinkSync(name, join(mount, '..data.new'));
      renameSync(join(mount, '..data.new'), join(mount, '..data'));
    };
    const auth = { mode: 'token', token: { file: './token' } };
    revision('..one', { auth }, 'the-first-token-of-the-mount\n');
    for (const name of ['c.json5', 'token']) symlinkSync(`..data/${name}`, join(mount, name));
    const url = await workshop.start(['--config', join(mount, 'c.json5')]).url();
    const first = client(url, 'the-first-token-of-the-mount');
    await first.request('health');
    const cut = cutOff(first);

    revision('..two', { auth, http: { allowedOrigins: [origin] } }, 'the-second-token-of-the-mount\n');
    rmSync(join(mount, '..one'), { recursive: true });
    await cut;
    await expect(client(url, 'the-first-token-of-the-mount').request('health')).rejects.toMatchObject(mismatch);
    const second = client(url, 'the-second-token-of-the-mount');
    expect(await second.request('config.get')).toMatchObject({ config: { http: { allowedOrigins: [origin] } } });
    const next = await changesOf(second);
    await second.request('health');

    revision('..three', { auth, http: { allowedOrigins: [] } }, 'the-second-token-of-the-mount\n');
    expect(await next()).toMatchObject({ changed: ['http.allowedOrigins'] });
  });

  test('of the agent is in use when its runs have ended', async () => {
    const program = start({});
    const gateway = client(await program.url());
    const next = await changesOf(gateway);
    const run = gateway.session('main').send('count to 40');
    for await (const part of run) if (part.type === 'text') break;
    write({ agent: { baseUrl: 'http://127.0.0.1:9/v1', model: 'm', maxRetries: 0 } });
    expect(await next()).toMatchObject({ needsRestart: [] });
    expect(JSON.stringify((await run.final).content)).toContain(' 40');
    await expect(gateway.session('main').send('hello').final).rejects.toThrow('No model answers at http://127.0.0.1:9');
  });
});

describe('a certificate', () => {
  const own = (name: string) => {
    const dates = { notBefore: new Date(Date.now() - 1_000), notAfter: new Date(Date.now() + 86_400_000) };
    const pair = selfSignedCertificate({ names: [name], ...dates });
    writeFileSync(join(workshop.directory, 'key.pem'), pair.key);
    writeFileSync(join(workshop.directory, 'cert.pem'), pair.cert);
    return pair.cert;
  };
  /** Whom a new connection meets. */
  const nameAt = (port: number) =>
    new Promise<string>((resolve, reject) => {
      const socket = connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false }, () => {
        resolve(String(socket.getPeerCertificate().subject.CN));
        socket.destroy();
      });
      socket.on('error', reject);
    });

  test('that is renewed in its file is in use at once, for new connections; without TLS it takes a restart', async () => {
    const ca = own('the-first');
    write({ tls: { key: './key.pem', cert: './cert.pem' } });
    const program = workshop.start(['--config', path]);
    const [, port = ''] = await program.printed(/https:\/\/127\.0\.0\.1:(\d+)/);
    const pin = `sha256/${createHash('sha256').update(new X509Certificate(ca).raw).digest('base64')}`;
    const gateway = connect({
      url: `wss://127.0.0.1:${port}`,
      pin,
      token: workshop.token,
      scopes: [...operatorScopes],
    });
    gateways.push(gateway);
    const next = await changesOf(gateway);
    expect(await nameAt(Number(port))).toBe('the-first');

    own('the-second');
    expect(await next()).toMatchObject({ changed: ['tls'], needsRestart: [] });
    expect(await nameAt(Number(port))).toBe('the-second');

    write({});
    expect(await next()).toMatchObject({ changed: ['tls'], needsRestart: ['tls'] });
    expect(await nameAt(Number(port))).toBe('the-second');
    expect(gateway.state).toBe('live');
  });
});

describe('a change by a client', () => {
  test('is written, in use and told; one that rests on an old state or would not be valid is not', async () => {
    const url = await start("{ auth: { mode: 'token', token: '${HUSH}' } /* mine */ }", {
      HUSH: 'hush-hush-hush',
    }).url();
    const gateway = client(url, 'hush-hush-hush');
    const next = await changesOf(gateway);
    const { hash: baseHash } = await gateway.request('config.get');
    const raw = `{ http: { allowedOrigins: ['${origin}'] }, auth: { token: '__OPENCLAW_REDACTED__' }, bind: 'lan' }`;

    await expect(gateway.request('config.patch', { raw })).rejects.toMatchObject({
      code: 'INVALID_REQUEST',
      details: { code: 'CONFIG_CONFLICT', hash: baseHash },
    });
    const done = await gateway.request('config.patch', { raw, baseHash });
    expect(done).toMatchObject({ ok: true, path, changed: ['bind', 'http.allowedOrigins'], needsRestart: ['bind'] });
    expect(await next()).toMatchObject({ hash: done.hash, changed: done.changed });
    expect(await isLetIn(url, origin, 'hush-hush-hush')).toBe(true);
    expect(JSON5.parse(readFileSync(path, 'utf8'))).toEqual({
      auth: { mode: 'token', token: '${HUSH}' },
      http: { allowedOrigins: [origin] },
      bind: 'lan',
    });
    expect(readFileSync(`${path}.bak`, 'utf8')).toContain('/* mine */');

    await expect(gateway.request('config.set', { raw: '{}', baseHash })).rejects.toMatchObject({
      details: { code: 'CONFIG_CONFLICT', hash: done.hash },
    });
    const text = readFileSync(path, 'utf8');
    await expect(
      gateway.request('config.patch', { raw: '{ limits: { maxConections: 5 } }', baseHash: done.hash }),
    ).rejects.toMatchObject({
      message: expect.stringContaining('did you mean "limits.maxConnections"?'),
      details: { code: 'CONFIG_INVALID', path: 'limits.maxConections' },
    });
    expect(readFileSync(path, 'utf8')).toBe(text);
    expect(JSON.stringify(await gateway.request('config.get'))).not.toContain('hush-hush');
  });

  test('that can’t be written is not in use either', async () => {
    const program = start({});
    const url = await program.url();
    const gateway = client(url);
    const before = await gateway.request('config.get');
    mkdirSync(`${path}.bak`);
    const raw = `{ http: { allowedOrigins: ['${origin}'] } }`;
    await expect(gateway.request('config.patch', { raw, baseHash: before.hash })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining("can't be written"),
    });
    expect(await gateway.request('config.get')).toEqual(before);
    expect(await isLetIn(url, origin)).toBe(false);
    expect(readFileSync(path, 'utf8')).toBe('{}');
  });

  test('makes the file where there was none', async () => {
    const url = await workshop.start().url();
    const gateway = client(url);
    expect(await gateway.request('config.get')).toMatchObject({ path: '', exists: false, valid: true });
    const raw = '{\n  // by the panel\n  http: { allowedHosts: ["gateway.example"] },\n}\n';
    const { path: written } = await gateway.request('config.set', { raw });
    expect(written).toBe(join(workshop.stateDirectory, 'config.json5'));
    expect(readFileSync(written, 'utf8')).toBe(raw);
    expect(await gateway.request('config.get')).toMatchObject({ path: written, exists: true });
  });

  test('is for operator.admin alone, while the schema is there for every reader', async () => {
    const reader = { token: 'a-token-that-only-reads', scopes: ['operator.read'] };
    const url = await start({ tokens: { reader } }).url();
    const gateway = client(url, reader.token);
    const { schema, uiHints } = await gateway.request('config.schema', {});
    expect(schema).toMatchObject({ type: 'object', properties: { http: expect.anything() } });
    expect(uiHints['tokens.*.token']).toMatchObject({ sensitive: true, label: 'Token' });
    const { hash: baseHash } = await gateway.request('config.get');
    for (const method of ['config.patch', 'config.set'] as const) {
      await expect(gateway.request(method, { raw: '{}', baseHash })).rejects.toMatchObject({ code: 'FORBIDDEN' });
    }
  });
});
