import { createHmac } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Child } from './process/child.ts';
import { Canaries, type Sight } from './secrets/canaries.ts';
import { EchoingServers } from './secrets/echoing-servers.ts';
import { RecordedSocket } from './secrets/recorded-socket.ts';
import { makeDevice } from './security/device.ts';

// One life of the real program with a canary in every place for a secret, at the most talkative log level; then everything that
// anybody was told is searched for the canaries, in several writings.

const directory = mkdtempSync(join(tmpdir(), 'secrets-test-'));
const stateDirectory = join(directory, 'state');
const configPath = join(directory, 'config.json5');
const servers = new EchoingServers();
const canaries = new Canaries();
/** Everything that clients were told. */
const sights: Sight[] = [];
/** Answers of `audit.entries` and `/metrics`. */
const audited: Sight[] = [];
const scraped: Sight[] = [];
let program: Child;
let config: string;
let url: string;

const shared = canaries.makePlain('the shared token');
const password = canaries.make('the password');
const named = canaries.makePlain('a named token');
const apiKey = canaries.makePlain('the key of the model');
const mcpHeader = canaries.makePlain('a header of an MCP server');
const mcpVariable = canaries.make('a variable of an MCP server');
const mcpArgument = canaries.make('an argument of an MCP server');
const hooksToken = canaries.makePlain('the token of the hooks');
const hooksSecret = canaries.make('the secret of the hooks');
const mappingSecret = canaries.make('the secret of one hook');
const mistyped = canaries.makePlain('what was typed in the wrong place');
const message = canaries.make('the text of a message');

beforeAll(async () => {
  const upstream = await servers.listen();
  // An MCP server that ends at once and cries out what it was given.
  const crying = join(directory, 'crying.mjs');
  writeFileSync(crying, 'console.error(process.env.CRY, process.argv[2]); process.exit(1);');
  config = JSON.stringify({
    auth: { mode: 'token', token: '${CANARY_SHARED}', password: { env: 'CANARY_PASSWORD' } },
    tokens: { ci: { token: named, scopes: ['operator.read'] } },
    hooks: {
      token: hooksToken,
      secret: hooksSecret,
      mappings: { build: { message: 'Build {{name}}', secret: mappingSecret, signature: 'github' } },
    },
    openAi: { chatCompletions: true, responses: true },
    log: { level: 'trace' },
    agent: {
      baseUrl: `${upstream}/v1`,
      model: 'm',
      apiKey: { env: 'CANARY_API_KEY' },
      maxRetries: 0,
      mcpServers: {
        web: { url: `${upstream}/mcp`, headers: { 'x-api-key': mcpHeader } },
        local: { command: process.execPath, args: [crying, mcpArgument], env: { CRY: mcpVariable } },
      },
    },
  });
  writeFileSync(configPath, config, { mode: 0o600 });
  program = new Child(
    'apps/gateway/src/main.ts',
    ['--port', '0', '--state-dir', stateDirectory, '--config', configPath],
    {
      CANARY_SHARED: shared,
      CANARY_PASSWORD: password,
      CANARY_API_KEY: apiKey,
    },
  );
  url = (await program.printed(/at (http:\/\/\S+),/))[1] as string;
  await live();
  program.signal('SIGTERM');
  await program.exited;
});

afterAll(async () => {
  if (!program.hasExited) await program.kill();
  await servers.close();
  rmSync(directory, { recursive: true, force: true });
});

function dial(): RecordedSocket {
  return new RecordedSocket(url.replace('http', 'ws'), sights);
}

async function get(path: string, headers: Record<string, string> = {}, body?: string): Promise<string> {
  const answer = await fetch(`${url}${path}`, { headers, ...(body === undefined ? {} : { method: 'POST', body }) });
  const text = `${JSON.stringify([...answer.headers])}\n${await answer.text()}`;
  sights.push({ where: `${body === undefined ? 'GET' : 'POST'} ${path.split('?')[0]}`, text });
  return text;
}

/** All that the program has to go through, good and bad. */
async function live(): Promise<void> {
  const operator = dial();
  expect((await operator.connect({ token: shared })).ok).toBe(true);
  await operator.request('streams.subscribe', {
    streams: ['system', 'approvals', 'pairing', 'audit', 'session:main'].map((stream) => ({ stream })),
  });
  await issue(operator);
  await refuse();
  await failRun(operator);
  await callHooks(operator);
  await editBadly(operator);
  await lookAround(operator);
  operator.close();
}

/** Credentials that the gateway makes. */
async function issue(operator: RecordedSocket): Promise<void> {
  const made = await operator.request('tokens.create', { role: 'operator', id: 'made' }, { tells: ['token'] });
  canaries.know('a made token', made.payload.token);
  const tells = ['setupCode', 'qrDataUrl', 'qrText'];
  const setup = await operator.request(
    'device.pair.setupCode',
    { includeQr: true, publicUrl: 'ws://10.0.0.1' },
    { tells },
  );
  const { bootstrapToken } = JSON.parse(Buffer.from(setup.payload.setupCode, 'base64url').toString());
  canaries.know('a setup code', bootstrapToken);
  const device = makeDevice();
  const paired = dial();
  const hello = await paired.connect({ token: shared }, device);
  const deviceToken = canaries.know('the token of a device', hello.payload.auth.deviceToken);
  await paired.request('device.token.rotate', { deviceId: device.id, role: 'operator' }, { tells: ['token'] });
  paired.close();
  const phone = dial();
  const phoneHello = await phone.connect({ bootstrapToken }, makeDevice(), { scopes: ['operator.read'] });
  canaries.know('the token of a phone', phoneHello.payload.auth.deviceToken);
  phone.close();
  // Used up, replaced and revoked ones are secrets all the same.
  await dial().connect({ bootstrapToken });
  await dial().connect({ deviceToken }, device);
  await operator.request('tokens.revoke', { tokenId: made.payload.tokenId });
  await dial().connect({ token: made.payload.token });
}

/** Credentials that are wrong, or in a wrong place. */
async function refuse(): Promise<void> {
  const device = makeDevice();
  const attempts: [Parameters<RecordedSocket['connect']>[0], boolean?][] = [
    [{ token: mistyped }],
    [{ password: mistyped }],
    [{ password: mistyped }, true],
    [{ deviceToken: mistyped }, true],
    [{ bootstrapToken: mistyped }],
    [mistyped],
    [{ token: [mistyped] } as never],
    [{ token: { text: mistyped } } as never],
  ];
  for (const [auth, isSigned] of attempts) {
    const socket = dial();
    expect((await socket.connect(auth, isSigned ? device : undefined)).ok).toBe(false);
  }
  for (const text of [mistyped, `{"type":"req","auth":"${mistyped}"`, `{"type":"${mistyped}"}`, `["${mistyped}"]`]) {
    const socket = dial();
    await socket.event('connect.challenge', () => true);
    socket.send(text);
    await socket.closed;
  }
  const narrow = dial();
  await narrow.connect({ token: named });
  for (const method of ['tokens.create', 'config.set', 'audit.entries', 'device.pair.list']) {
    await narrow.request(method, { role: 'operator', id: 'x', raw: mistyped });
  }
  narrow.send(`{"type":"req","id":"1","method":"health","params":"${mistyped}"`);
  await narrow.request('chat.send', { sessionKey: mistyped.repeat(30), message: 5, idempotencyKey: 'k' });
  narrow.close();
  for (const path of ['/v1/models', '/metrics', '/hooks/wake', '/media/x', '/ready', '/nothing-here']) {
    await get(path, { authorization: `Bearer ${mistyped}` });
    await get(path, { authorization: `Basic ${mistyped}` });
    await get(`${path}?token=${mistyped}&access_token=${mistyped}`);
    await get(path, { authorization: `Bearer ${mistyped}`, 'content-type': 'application/json' }, `{"a":"${mistyped}"`);
    await get(path, { authorization: `Bearer ${shared}`, 'content-type': 'application/json' }, `{"a":"${mistyped}"`);
  }
}

/** A run whose model and MCP servers fail, and tell in their errors what they were given. */
async function failRun(operator: RecordedSocket): Promise<void> {
  const isOver = (payload: { stream: string; data: { phase?: string } }) =>
    payload.stream === 'lifecycle' && (payload.data.phase === 'error' || payload.data.phase === 'end');
  const over = operator.event('agent', isOver);
  await operator.request('chat.send', { sessionKey: 'main', message, idempotencyKey: 'run-1' });
  await over;
}

/** Webhooks, let in and refused. */
async function callHooks(operator: RecordedSocket): Promise<void> {
  const body = JSON.stringify({ message: 'hello', name: 'hook' });
  const json = { 'content-type': 'application/json' };
  const over = operator.event('sessions.changed', ({ hasActiveRun }) => hasActiveRun === false);
  expect(await get('/hooks/agent', { ...json, authorization: `Bearer ${hooksToken}` }, body)).toContain('runId');
  await over;
  for (const token of [hooksSecret, mappingSecret, mistyped].map(encodeURIComponent)) {
    await get('/hooks/wake', { ...json, authorization: `Bearer ${token}` }, body);
    await get('/hooks/build', { ...json, authorization: `Bearer ${token}` }, body);
  }
  const signature = `sha256=${createHmac('sha256', mappingSecret).update(body).digest('hex')}`;
  expect(await get('/hooks/build', { ...json, 'x-hub-signature-256': signature }, body)).toContain('runId');
  await get('/hooks/build', { ...json, 'x-hub-signature-256': mistyped }, body);
  await get(
    '/v1/chat/completions',
    { ...json, authorization: `Bearer ${shared}` },
    '{"model":"openclaw","messages":[]}',
  );
}

/** Configurations that are not valid, from a client and in the file. */
async function editBadly(operator: RecordedSocket): Promise<void> {
  const { payload } = await operator.request('config.get');
  const baseHash = payload.hash;
  const raws = [
    `{ auth: { mode: "password", password: "${mistyped}`,
    `{ auth: { token: ["${mistyped}"] } }`,
    `{ auth: { tokn: "${mistyped}" } }`,
    `{ auth: { mode: "${mistyped}" } }`,
    `{ bind: "${mistyped}", auth: { mode: "none" } }`,
    `{ tokens: { ci: { token: "short" } } }`,
    `{ agent: { apiKey: { env: "NOT_SET_${'X'.repeat(4)}" } } }`,
  ];
  for (const raw of raws) {
    const answer = await operator.request('config.patch', { raw, baseHash });
    expect(answer.ok, raw.slice(0, 30)).toBe(false);
  }
  await operator.request('config.set', { raw: `{ auth: "${mistyped}" }`, baseHash });
  await operator.request('config.patch', { raw: '{ limits: { maxConnections: 500 } }', baseHash: 'another' });
  const refused = operator.event('config.changed', ({ problem }: { problem?: string }) => problem !== undefined);
  writeFileSync(configPath, `{ auth: { mode: "password", password: ${mistyped} } }`);
  await refused;
  await operator.request('config.get');
  const mended = operator.event('config.changed', ({ problem }: { problem?: string }) => problem === undefined);
  writeFileSync(configPath, config.replace('"log"', '"limits":{"maxConnections":600},"log"'));
  await mended;
  const { payload: now } = await operator.request('config.get');
  const changed = await operator.request('config.patch', {
    raw: '{ limits: { maxConnections: 700 } }',
    baseHash: now.hash,
  });
  expect(changed.ok).toBe(true);
}

/** Everything that tells how the gateway is. */
async function lookAround(operator: RecordedSocket): Promise<void> {
  for (const method of [
    'status',
    'health',
    'config.get',
    'config.schema',
    'system-presence',
    'agents.list',
    'models.list',
  ])
    await operator.request(method);
  for (const method of ['device.pair.list', 'tokens.list', 'sessions.list', 'approvals.list'])
    await operator.request(method);
  const { payload } = await operator.request('audit.entries', { limit: 500 });
  expect(payload.entries.length).toBeGreaterThan(10);
  audited.push({ where: 'audit.entries', text: JSON.stringify(payload) });
  scraped.push({ where: '/metrics', text: await get('/metrics') });
}

const told = () => [...sights, { where: 'stdout and stderr', text: program.output }];
/** A run's own stream and its transcript are where a message belongs. */
const secrets = () => canaries.names.filter((name) => name !== 'the text of a message');

describe('no secret', () => {
  test('was kept from being used: each came to where it belongs', () => {
    const used = servers.headers.join('\n');
    for (const secret of [apiKey, mcpHeader]) expect(used).toContain(secret);
    expect(sights.length).toBeGreaterThan(100);
    expect(program.output).toContain('"event":"request"');
    expect(scraped[0]?.text).toContain('openclaw_gateway_refusals_total');
  });

  test('is in what the program prints and logs', () => {
    const page = /#code=([\w-]+)/.exec(program.output)?.[1];
    if (page) canaries.know('the code of the link', page);
    const output = program.output.replaceAll(/#code=[\w-]+/g, '');
    expect(canaries.found(canaries.names, [{ where: 'stdout and stderr', text: output }])).toEqual([]);
  });

  test('is in any answer, event, error, page or close reason that is not there to tell it', () => {
    expect(canaries.found(secrets(), told().slice(0, -1))).toEqual([]);
  });

  test('and no word of a message is in the audit trail or the metrics', () => {
    expect(canaries.found(canaries.names, [...audited, ...scraped])).toEqual([]);
  });

  test('is in the files of the gateway', () => {
    const files = readdirSync(stateDirectory, { recursive: true, withFileTypes: true }).filter((entry) =>
      entry.isFile(),
    );
    expect(files.length).toBeGreaterThan(0);
    const found = files.flatMap(({ parentPath, name }) =>
      canaries.foundInBytes(secrets(), name, readFileSync(join(parentPath, name))),
    );
    expect(found).toEqual([]);
  });
});
