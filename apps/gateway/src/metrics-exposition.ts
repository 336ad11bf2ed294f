import type { Role } from '@openclaw/protocol';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Buckets, Count, Family, Metrics } from './metrics.ts';

const prefix = 'openclaw_gateway_';
const roles: readonly Role[] = ['operator', 'agent', 'channel', 'node'];

/** Puts counted numbers and the process's own (memory, CPU, event loop, garbage collection) into Prometheus' text format. */
export function expose(metrics: Metrics, version: string): { contentType: string; text(): Promise<string> } {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];

  const counter = (name: string, help: string, family: Family<Count>) =>
    new Counter({
      name: prefix + name,
      help,
      labelNames: family.labels,
      registers,
      collect() {
        this.reset();
        for (const [labels, { value }] of family.cells()) this.inc(labels, value);
      },
    });
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name: prefix + name,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  const histogram = (name: string, help: string, family: Family<Buckets>) =>
    new CountedHistogram({ name: prefix + name, help, labelNames: family.labels, registers }, family);

  new Gauge({
    name: `${prefix}info`,
    help: 'Always 1; its label has the version.',
    labelNames: ['version'],
    registers,
  }).set({ version }, 1);
  new Gauge({
    name: `${prefix}connections`,
    help: 'Connections by role and state; a socket that has not shown who it is has the role unknown.',
    labelNames: ['role', 'state'],
    registers,
    collect() {
      const { connections, handshaking } = metrics.figures;
      for (const role of roles) this.set({ role, state: 'ready' }, connections[role] ?? 0);
      this.set({ role: 'unknown', state: 'handshaking' }, handshaking);
    },
  });
  counter(
    'connections_opened_total',
    'Connections that got their hello. A steep rise is a reconnect storm.',
    metrics.opened,
  );
  counter('connections_closed_total', 'Connections that ended, by close code.', metrics.ended);
  counter('refusals_total', 'Connects, upgrades and HTTP requests that were refused.', metrics.refusals);
  counter('frames_total', 'Frames from and to sockets.', metrics.frames);
  counter('frame_bytes_total', 'Their bytes, without WebSocket headers.', metrics.frameBytes);
  histogram('request_duration_seconds', 'From a request’s arrival to its answer, with its commit.', metrics.requests);
  gauge('send_queue_bytes', 'Bytes that wait to be taken by all peers.', () => metrics.figures.queuedBytes);
  counter('slow_consumers_total', 'Readers that did not keep up: merged for, or closed.', metrics.slowConsumers);
  counter('resumes_total', 'Subscriptions: full when they went on at their position, else why not.', metrics.resumes);
  counter('resets_total', 'Live readers that got a snapshot, since what they were to get is gone.', metrics.resets);
  counter('replays_total', 'Keyed requests that were sent again and got the first answer.', metrics.replays);
  gauge('runs_active', 'Runs without a terminal event.', () => metrics.figures.openRuns);
  counter('runs_started_total', 'Runs that were accepted.', metrics.runsStarted);
  histogram('run_duration_seconds', 'From a run’s acceptance to its end, by outcome.', metrics.runs);
  histogram('first_token_seconds', 'From a run’s acceptance to the first text of its answer.', metrics.firstTokens);
  counter('tokens_total', 'Tokens of runs that ended, as models told.', metrics.tokens);
  counter('events_total', 'Events that were committed.', metrics.events);
  counter('event_bytes_total', 'Their bytes.', metrics.eventBytes);
  histogram('commit_duration_seconds', 'How long the store took for a commit.', metrics.commits);
  gauge('uncommitted_bytes', 'Bytes that wait for their commit.', () => metrics.figures.uncommittedBytes);
  counter('audit_entries_total', 'What the audit trail was told, by action.', metrics.audit);
  counter('warnings_total', 'Warnings; the log has them.', metrics.warnings);

  return { contentType: registry.contentType, text: () => registry.metrics() };
}

/** A histogram whose buckets were filled elsewhere. */
class CountedHistogram extends Histogram {
  readonly #configuration: { name: string; help: string };
  readonly #family: Family<Buckets>;

  constructor(configuration: ConstructorParameters<typeof Histogram>[0], family: Family<Buckets>) {
    super(configuration);
    this.#configuration = configuration;
    this.#family = family;
  }

  /** What the registry asks, and what `get` rests on; not in the published types. */
  async getForPromString() {
    const { name, help } = this.#configuration;
    const values = [...this.#family.cells()].flatMap(([labels, { bounds, counts, sum }]) => {
      let total = 0;
      const buckets = counts.map((count, index) => {
        total += count;
        return { metricName: `${name}_bucket`, labels: { ...labels, le: bounds[index] ?? '+Inf' }, value: total };
      });
      const totals = [
        { metricName: `${name}_sum`, labels, value: sum },
        { metricName: `${name}_count`, labels, value: total },
      ];
      return [...buckets, ...totals].map((value) => ({ ...value, sharedLabels: {} }));
    });
    return { name, help, type: 'histogram', aggregator: 'sum', values };
  }
}
