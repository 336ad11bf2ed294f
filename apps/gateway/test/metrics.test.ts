import { readFileSync } from 'node:fs';
import { memoryTransportPair } from '@openclaw/protocol';
import { createGateway, type HttpExchange, HttpProblem } from '@openclaw/server';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Family, Metrics, metricsRoute } from '../src/metrics.ts';
import { expose } from '../src/metrics-exposition.ts';

/** What one of everything leaves behind. */
function exercised(): Metrics {
  const metrics = new Metrics();
  const connection = { connId: 'c', role: 'operator', clientId: 'cli', clientVersion: '1' } as const;
  metrics.started(() => ({
    connections: { operator: 2, agent: 1 },
    handshaking: 3,
    queuedBytes: 4_096,
    openRuns: 1,
    uncommittedBytes: 77,
  }));
  metrics.connectionOpened(connection);
  metrics.connectionClosed({ ...connection, code: 4101, durationMs: 5 });
  metrics.refused({ where: 'connect', code: 'AUTH_TOKEN_MISMATCH', reason: 'mismatch' });
  metrics.frame('in', 'req', 100);
  metrics.frame('in', 'req', 50);
  metrics.requestAnswered({ method: 'health', outcome: 'ok', durationMs: 3, connId: 'c' });
  metrics.requestAnswered({ method: 'health', outcome: 'ok', durationMs: 30_000, connId: 'c' });
  metrics.resumed('full');
  metrics.reset('offset_expired');
  metrics.slowConsumer('closed');
  metrics.replayed('chat.send');
  metrics.runStarted();
  metrics.runEnded({
    runId: 'r',
    agentId: 'main',
    outcome: 'ok',
    durationMs: 1_500,
    firstTokenMs: 400,
    inputTokens: 7,
    outputTokens: 8,
  });
  metrics.committed(3, 900, 2);
  metrics.audited({ action: 'connect.refused', ts: 1, actor: 'unknown', count: 40 });
  metrics.warning();
  return metrics;
}

const scrape = (metrics: Metrics) => expose(metrics, '1.2.3').text();

describe('the metrics', () => {
  test('tell in Prometheus’ words what was counted', async () => {
    const lines = (await scrape(exercised())).split('\n');
    expect(lines).toEqual(
      expect.arrayContaining([
        'openclaw_gateway_info{version="1.2.3"} 1',
        'openclaw_gateway_connections{role="operator",state="ready"} 2',
        'openclaw_gateway_connections{role="unknown",state="handshaking"} 3',
        'openclaw_gateway_connections_closed_total{role="operator",code="4101"} 1',
        'openclaw_gateway_refusals_total{where="connect",code="AUTH_TOKEN_MISMATCH"} 1',
        'openclaw_gateway_frames_total{direction="in",type="req"} 2',
        'openclaw_gateway_frame_bytes_total{direction="in",type="req"} 150',
        'openclaw_gateway_send_queue_bytes 4096',
        'openclaw_gateway_runs_active 1',
        'openclaw_gateway_tokens_total{kind="input"} 7',
        'openclaw_gateway_first_token_seconds_sum 0.4',
        'openclaw_gateway_commit_duration_seconds_count 1',
        'openclaw_gateway_audit_entries_total{action="connect.refused"} 40',
      ]),
    );
  });

  test('have histograms whose buckets add up', async () => {
    const lines = (await scrape(exercised())).split('\n').filter((line) => line.includes('request_duration_seconds'));
    const cumulative = lines.flatMap(
      (line) => /_bucket\{.*le="(.+?)"\} (\d+)$/.exec(line)?.slice(1, 3).join(' ') ?? [],
    );
    expect(cumulative.slice(0, 4)).toEqual(['0.0005 0', '0.001 0', '0.0025 0', '0.005 1']);
    expect(cumulative.slice(-2)).toEqual(['10 1', '+Inf 2']);
    expect(lines).toContain('openclaw_gateway_request_duration_seconds_count{method="health",outcome="ok"} 2');
    expect(lines).toContain('openclaw_gateway_request_duration_seconds_sum{method="health",outcome="ok"} 30.003');
  });

  test('grow from scrape to scrape and are not counted twice', async () => {
    const metrics = exercised();
    const { text } = expose(metrics, '1');
    await text();
    metrics.runStarted();
    expect(await text()).toContain('openclaw_gateway_runs_started_total 2\n');
  });

  test('tell of the process: memory, processor, event loop', async () => {
    const text = await scrape(new Metrics());
    for (const name of [
      'process_resident_memory_bytes',
      'nodejs_eventloop_lag_p99_seconds',
      'nodejs_heap_size_used_bytes',
    ])
      expect(text).toMatch(new RegExp(`^${name} \\d`, 'm'));
  });

  test('count no more kinds than they have room for', () => {
    const family = new Family(['code'], () => ({ value: 0 }));
    for (let index = 0; index < 5_000; index++) family.at(`code-${index}`).value++;
    const cells = [...family.cells()];
    expect(cells.length).toBeLessThanOrEqual(1_001);
    expect(cells.at(-1)).toEqual([{ code: 'other' }, { value: 4_000 }]);
  });

  test('have no label that grows with users', async () => {
    const names = new Set(
      [...(await scrape(exercised())).matchAll(/^openclaw_gateway_\w+\{(.*)\}/gm)].flatMap(([, labels = '']) =>
        [...labels.matchAll(/(\w+)=/g)].map(([, name]) => name),
      ),
    );
    const allowed = ['version', 'role', 'state', 'code', 'where', 'direction', 'type', 'method', 'outcome', 'le'];
    expect([...names].sort()).toEqual([...allowed, 'measure', 'reason', 'kind', 'action'].sort());
  });
});

describe('the Grafana dashboard', () => {
  test('asks for metrics that exist, and for every one of ours', async () => {
    const dashboard = readFileSync(new URL('../../../docs/deploy/grafana-dashboard.json', import.meta.url), 'utf8');
    const panels = (JSON.parse(dashboard) as { panels: { targets?: { expr: string }[] }[] }).panels;
    const asked = new Set(
      panels
        .flatMap(({ targets = [] }) => targets)
        .flatMap(({ expr }) => expr.match(/\b(openclaw_gateway|process|nodejs)_\w+/g) ?? []),
    );
    const text = await scrape(exercised());
    const existing = new Set([...text.matchAll(/^(\w+)(?:\{.*\})? /gm)].map(([, name = '']) => name));
    expect([...asked].filter((name) => !existing.has(name))).toEqual([]);
    const ours = [...text.matchAll(/^# TYPE (openclaw_gateway_\w+) /gm)].map(([, name = '']) => name);
    const isAsked = (name: string) => [...asked].some((one) => one === name || one.startsWith(`${name}_`));
    expect(ours.filter((name) => !isAsked(name))).toEqual([]);
  });
});

describe('GET /metrics', () => {
  let close: () => Promise<void>;
  let url: string;
  let isEnabled: boolean;

  beforeEach(async () => {
    isEnabled = true;
    const metrics = new Metrics();
    const gateway = await createGateway({
      auth: { mode: 'token', token: 'a-token-of-some-length' },
      trustedProxies: ['127.0.0.1'],
      observer: metrics,
      routes: [metricsRoute(metrics, { version: '1', isEnabled: () => isEnabled })],
    });
    const [inside, outside] = memoryTransportPair();
    gateway.accept(inside, { role: 'agent', id: 'main' });
    outside.open({ message() {}, drained() {}, closed() {} });
    const { port } = await gateway.listen({ port: 0 });
    url = `http://127.0.0.1:${port}/metrics`;
    close = () => gateway.close();
  });
  afterEach(() => close());

  const elsewhere = { 'x-forwarded-for': '192.0.2.7' };
  const bearer = (token: string) => ({ ...elsewhere, authorization: `Bearer ${token}` });

  test('is open to this machine', async () => {
    const answer = await fetch(url);
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
    expect(await answer.text()).toContain('openclaw_gateway_connections');
  });

  test('asks others for a token, and shows nothing without', async () => {
    const refused = await fetch(url, { headers: elsewhere });
    expect(refused.status).toBe(401);
    expect(await refused.text()).not.toContain('openclaw_gateway');
    expect((await fetch(url, { headers: bearer('wrong') })).status).toBe(401);
    expect((await fetch(url, { headers: bearer('a-token-of-some-length') })).status).toBe(200);
  });

  test('is gone while the setting is off', async () => {
    isEnabled = false;
    expect((await fetch(url)).status).toBe(404);
    isEnabled = true;
    expect((await fetch(url)).status).toBe(200);
  });

  test('takes no other method', async () => {
    expect((await fetch(url, { method: 'POST' })).status).toBe(405);
  });

  test('asks before it tells whether it is there', async () => {
    const route = metricsRoute(new Metrics(), { version: '1', isEnabled: () => false });
    const refusal = new HttpProblem(401, 'unauthorized', 'no');
    const exchange = { remote: { isLoopback: false }, authorize: () => Promise.reject(refusal) };
    await expect(route.handle(exchange as unknown as HttpExchange)).rejects.toBe(refusal);
  });
});
