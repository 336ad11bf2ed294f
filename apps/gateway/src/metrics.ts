import type { GatewayFigures, GatewayObserver, HttpRoute } from '@openclaw/server';

/** Upper bounds of the buckets, in seconds. */
const requestBounds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];
const commitBounds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5];
const runBounds = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1_800];

/** Label values of one family are counted apart up to this many; the rest as `other`. No label grows with its users. */
const maxCells = 1_000;

/** Something that is counted. */
export interface Count {
  value: number;
}

/** How often a value fell into each bucket; one more than there are bounds. */
export class Buckets {
  readonly bounds: readonly number[];
  readonly counts: number[];
  sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Array<number>(bounds.length + 1).fill(0);
  }

  observe(value: number): void {
    let index = 0;
    while (index < this.bounds.length && value > (this.bounds[index] as number)) index++;
    this.counts[index] = (this.counts[index] as number) + 1;
    this.sum += value;
  }
}

/** One metric with its labels: a cell for each set of their values. */
export class Family<Cell> {
  readonly labels: string[];
  readonly #make: () => Cell;
  readonly #cells = new Map<string, { values: readonly string[]; cell: Cell }>();

  constructor(labels: string[], make: () => Cell) {
    this.labels = labels;
    this.#make = make;
    // Without labels it is there from the start, as 0.
    if (labels.length === 0) this.at();
  }

  /** The cell of these values, in the order of the labels. */
  at(...values: string[]): Cell {
    const key = values.join('\n');
    const known = this.#cells.get(key);
    if (known) return known.cell;
    if (this.#cells.size >= maxCells && values.some((value) => value !== 'other')) {
      return this.at(...values.map(() => 'other'));
    }
    const cell = this.#make();
    this.#cells.set(key, { values, cell });
    return cell;
  }

  /** Every cell with its labels. */
  *cells(): Generator<[Record<string, string>, Cell]> {
    for (const { values, cell } of this.#cells.values()) {
      yield [Object.fromEntries(this.labels.map((label, index) => [label, values[index] as string])), cell];
    }
  }
}

const counts = (...labels: string[]): Family<Count> => new Family(labels, () => ({ value: 0 }));
const times = (bounds: readonly number[], ...labels: string[]): Family<Buckets> =>
  new Family(labels, () => new Buckets(bounds));

/**
 * Counts what the gateway tells, in plain numbers: nothing is loaded, and hardly anything spent, before somebody asks for
 * {@link metricsRoute}. No label names a session, run, device, person or address.
 */
export class Metrics implements GatewayObserver {
  readonly opened = counts('role');
  readonly ended = counts('role', 'code');
  readonly refusals = counts('where', 'code');
  readonly frames = counts('direction', 'type');
  readonly frameBytes = counts('direction', 'type');
  readonly requests = times(requestBounds, 'method', 'outcome');
  readonly resumes = counts('outcome');
  readonly resets = counts('reason');
  readonly slowConsumers = counts('measure');
  readonly replays = counts('method');
  readonly runsStarted = counts();
  readonly runs = times(runBounds, 'outcome');
  readonly firstTokens = times(runBounds);
  readonly tokens = counts('kind');
  readonly commits = times(commitBounds);
  readonly events = counts();
  readonly eventBytes = counts();
  readonly audit = counts('action');
  readonly warnings = counts();
  readonly #traffic = {
    in: this.#trafficOf('in'),
    out: this.#trafficOf('out'),
  };
  /** The cells of good answers, by method: nearly every request is one. */
  readonly #answered = new Map<string, Buckets>();
  #figures: () => GatewayFigures = () => ({
    connections: {},
    handshaking: 0,
    queuedBytes: 0,
    openRuns: 0,
    uncommittedBytes: 0,
  });

  /** What there is at this moment; nothing before the gateway is ready. */
  get figures(): GatewayFigures {
    return this.#figures();
  }

  started(figures: () => GatewayFigures): void {
    this.#figures = figures;
  }

  connectionOpened({ role }: Parameters<NonNullable<GatewayObserver['connectionOpened']>>[0]): void {
    this.opened.at(role).value++;
  }

  connectionClosed({ role, code }: Parameters<NonNullable<GatewayObserver['connectionClosed']>>[0]): void {
    this.ended.at(role, String(code)).value++;
  }

  refused({ where, code }: Parameters<NonNullable<GatewayObserver['refused']>>[0]): void {
    this.refusals.at(where, code).value++;
  }

  frame(direction: 'in' | 'out', type: 'req' | 'res' | 'event', bytes: number): void {
    const cells = this.#traffic[direction][type];
    cells.frames.value++;
    cells.bytes.value += bytes;
  }

  requestAnswered(request: Parameters<NonNullable<GatewayObserver['requestAnswered']>>[0]): void {
    const { method, outcome, durationMs } = request;
    const answered = outcome === 'ok' ? this.#answered.get(method) : undefined;
    if (answered) {
      answered.observe(durationMs / 1_000);
      return;
    }
    const cell = this.requests.at(method, outcome);
    if (outcome === 'ok') this.#answered.set(method, cell);
    cell.observe(durationMs / 1_000);
  }

  resumed(outcome: string): void {
    this.resumes.at(outcome).value++;
  }

  reset(reason: string): void {
    this.resets.at(reason).value++;
  }

  slowConsumer(measure: string): void {
    this.slowConsumers.at(measure).value++;
  }

  replayed(method: string): void {
    this.replays.at(method).value++;
  }

  runStarted(): void {
    this.runsStarted.at().value++;
  }

  runEnded(run: Parameters<NonNullable<GatewayObserver['runEnded']>>[0]): void {
    const { outcome, durationMs, firstTokenMs, inputTokens, outputTokens } = run;
    if (durationMs !== undefined) this.runs.at(outcome).observe(durationMs / 1_000);
    if (firstTokenMs !== undefined) this.firstTokens.at().observe(firstTokenMs / 1_000);
    if (inputTokens !== undefined) this.tokens.at('input').value += inputTokens;
    if (outputTokens !== undefined) this.tokens.at('output').value += outputTokens;
  }

  committed(events: number, bytes: number, durationMs: number): void {
    this.commits.at().observe(durationMs / 1_000);
    this.events.at().value += events;
    this.eventBytes.at().value += bytes;
  }

  audited({ action, count = 1 }: Parameters<NonNullable<GatewayObserver['audited']>>[0]): void {
    this.audit.at(action).value += count;
  }

  warning(): void {
    this.warnings.at().value++;
  }

  #trafficOf(direction: string) {
    const cells = (type: string) => ({
      frames: this.frames.at(direction, type),
      bytes: this.frameBytes.at(direction, type),
    });
    return { req: cells('req'), res: cells('res'), event: cells('event') };
  }
}

/**
 * `GET /metrics` for Prometheus: to callers on this machine, and to whoever brings a token with `operator.read`. 404 while
 * `isEnabled` says no.
 */
export function metricsRoute(
  metrics: Metrics,
  { version, isEnabled }: { version: string; isEnabled: () => boolean },
): HttpRoute {
  let exposition: Promise<{ contentType: string; text(): Promise<string> }> | undefined;
  return {
    path: '/metrics',
    methods: ['GET'],
    async handle({ response, remote, authorize }) {
      if (!remote.isLoopback) await authorize('operator.read');
      if (!isEnabled()) {
        const { HttpProblem } = await import('@openclaw/server');
        throw new HttpProblem(404, 'not_found', 'The metrics are turned off: the setting `metrics` is false.');
      }
      exposition ??= import('./metrics-exposition.ts').then(({ expose }) => expose(metrics, version));
      const { contentType, text } = await exposition;
      const body = await text();
      response.writeHead(200, { 'content-type': contentType });
      response.end(body);
    },
  };
}
