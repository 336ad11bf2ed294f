import { request } from 'node:http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Station } from '../process/station.ts';
import { covers, type Scope, scopes } from './authorisation-table.ts';

/** What a route asks of a caller from afar: nothing, a scope, or a credential that is no operator's. */
type RouteRule = { verb: string; path: string; body?: string } & (
  | { needs: 'nothing' | 'own secret' }
  | { needs: Scope }
);

const json = JSON.stringify({ model: 'main', messages: [], input: '' });

/** Written by hand, like the table of methods. A body is wrong on purpose: who may call learns so, who may not learns that first. */
const routeRules: readonly RouteRule[] = [
  { verb: 'GET', path: '/', needs: 'nothing' },
  { verb: 'GET', path: '/health', needs: 'nothing' },
  { verb: 'GET', path: '/healthz', needs: 'nothing' },
  { verb: 'GET', path: '/ready', needs: 'nothing' },
  { verb: 'GET', path: '/readyz', needs: 'nothing' },
  { verb: 'GET', path: '/protocol.schema.json', needs: 'nothing' },
  { verb: 'GET', path: '/asyncapi.json', needs: 'nothing' },
  { verb: 'GET', path: '/metrics', needs: 'operator.read' },
  { verb: 'GET', path: '/v1/models', needs: 'operator.read' },
  { verb: 'GET', path: '/v1/models/main', needs: 'operator.read' },
  { verb: 'POST', path: '/v1/chat/completions', body: json, needs: 'operator.write' },
  { verb: 'POST', path: '/v1/responses', body: json, needs: 'operator.write' },
  { verb: 'GET', path: '/v1/responses/resp_none', needs: 'operator.read' },
  { verb: 'POST', path: '/v1/responses/resp_none/cancel', needs: 'operator.write' },
  { verb: 'POST', path: '/media', body: '', needs: 'operator.write' },
  { verb: 'GET', path: `/media/${'0'.repeat(64)}`, needs: 'operator.read' },
  { verb: 'POST', path: '/hooks/wake', body: '{}', needs: 'own secret' },
  { verb: 'POST', path: '/hooks/agent', body: '{}', needs: 'own secret' },
  { verb: 'POST', path: '/hooks/build', body: '{}', needs: 'own secret' },
];

const tokenOf = (scope: string) => `a-token-for-${scope}-0123456789`;

/** Who calls, and which scopes that is. */
const callers: readonly { who: string; authorization?: string; held?: readonly Scope[] }[] = [
  { who: 'nobody' },
  { who: 'a wrong token', authorization: 'Bearer wrong' },
  { who: 'an empty token', authorization: 'Bearer ' },
  {
    who: 'another scheme',
    authorization: `Basic ${Buffer.from(`operator:${tokenOf('operator.admin')}`).toString('base64')}`,
  },
  { who: 'two tokens', authorization: `Bearer wrong ${tokenOf('operator.admin')}` },
  ...scopes.map((scope) => ({
    who: `a token with ${scope}`,
    authorization: `Bearer ${tokenOf(scope)}`,
    held: [scope],
  })),
];

let station: Station;

beforeAll(async () => {
  station = await Station.open({
    config: {
      http: { trustedProxies: ['127.0.0.1'] },
      openAi: { chatCompletions: true, responses: true },
      hooks: { token: 'the-secret-of-hooks-0123456789', mappings: { build: { message: 'built' } } },
      // Every call here is one that may fail.
      limits: { failedAuthPerMinute: 100_000 },
      tokens: Object.fromEntries(
        scopes.map((scope) => [scope.replace('operator.', ''), { token: tokenOf(scope), scopes: [scope] }]),
      ),
    },
  });
});

afterAll(() => station.dispose());

test('every HTTP route × credential is answered or refused as the table says, from afar', {
  timeout: 60_000,
}, async () => {
  const wrong: string[] = [];
  for (const rule of routeRules)
    for (const { who, authorization, held } of callers) {
      const { status } = await call(rule, {
        'x-forwarded-for': '203.0.113.7',
        ...(authorization ? { authorization } : {}),
      });
      const isAllowed = rule.needs === 'nothing' || (rule.needs !== 'own secret' && held && covers(held, rule.needs));
      const isRefused = rule.needs === 'own secret' ? status === 401 || status === 403 : status === (held ? 403 : 401);
      const isAnswered = rule.needs === 'nothing' ? status === 200 : status < 500 && status !== 401 && status !== 403;
      if (isAllowed ? !isAnswered : !isRefused) wrong.push(`${rule.verb} ${rule.path} by ${who}: ${status}`);
    }
  console.log(`authorisation of HTTP: ${routeRules.length * callers.length} decisions`);
  expect(wrong).toEqual([]);
});

test('a credential in the address is refused, whatever it would open', async () => {
  for (const field of ['token', 'access_token', 'password']) {
    const { status, body } = await call({ verb: 'GET', path: `/v1/models?${field}=${tokenOf('operator.admin')}` });
    expect(status).toBe(400);
    expect(body).not.toContain(tokenOf('operator.admin'));
  }
});

test('details of the inside are for this machine alone', async () => {
  const near = JSON.parse((await call({ verb: 'GET', path: '/ready' })).body);
  const far = JSON.parse((await call({ verb: 'GET', path: '/ready' }, { 'x-forwarded-for': '203.0.113.7' })).body);
  expect(Object.keys(near)).toContain('eventLoop');
  expect(far).toEqual({ ready: true, failing: [] });
});

test('two lengths for one body, and a length beside a transfer encoding, are refused: no request hides in another', async () => {
  const smuggled = 'GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n';
  const doubtful: Record<string, string>[] = [
    { 'content-length': String(smuggled.length), 'transfer-encoding': 'chunked' },
    { 'content-length': '0, 5' },
    { 'transfer-encoding': 'identity, chunked, identity' },
  ];
  for (const headers of doubtful) {
    const { status, body } = await call({ verb: 'POST', path: '/media', body: smuggled }, headers);
    expect(status, JSON.stringify(headers)).toBe(400);
    expect(body).not.toContain('process_');
  }
});

function call(
  { verb, path, body }: { verb: string; path: string; body?: string },
  headers: Readonly<Record<string, string>> = {},
): Promise<{ status: number; body: string }> {
  const { hostname, port } = new URL(station.url);
  return new Promise((resolve, reject) => {
    const outgoing = request({ hostname, port, path, method: verb, headers, setDefaultHeaders: true }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() }));
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}
