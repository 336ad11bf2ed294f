import { GatewayClient, type GatewayClientOptions } from '@openclaw/gateway-client';

type ClientEvent = Parameters<NonNullable<GatewayClientOptions['onEvent']>>[0];
type Hello = Parameters<NonNullable<GatewayClientOptions['onHelloOk']>>[0];

/** What is waited for did not come in time: the message says what did. */
const patienceMs = 10_000;

/** The published client, unchanged, with what it told its host kept for a test to wait for. */
export class PublishedClient {
  readonly client: GatewayClient;
  readonly events: ClientEvent[] = [];
  readonly hellos: Hello[] = [];
  readonly closes: { code: number; reason: string }[] = [];
  readonly connectErrors: Error[] = [];
  readonly gaps: { expected: number; received: number }[] = [];
  readonly pauses: { code: number; reason: string; detailCode: string | null }[] = [];
  readonly #waiters = new Set<() => void>();

  constructor(options: GatewayClientOptions) {
    this.client = new GatewayClient({
      clientName: 'gateway-client',
      mode: 'backend',
      clientVersion: '2026.9.1',
      platform: 'node',
      scopes: ['operator.read', 'operator.write', 'operator.admin'],
      deviceIdentity: null,
      ...options,
      onEvent: (event) => this.#keep(this.events, event),
      onHelloOk: (hello) => this.#keep(this.hellos, hello),
      onClose: (code, reason) => this.#keep(this.closes, { code, reason }),
      onConnectError: (error) => this.#keep(this.connectErrors, error),
      onGap: (gap) => this.#keep(this.gaps, gap),
      onReconnectPaused: (info) => this.#keep(this.pauses, info),
    });
  }

  /** Starts it and resolves with its first hello-ok. */
  async start(): Promise<Hello> {
    this.client.start();
    return this.until('hello-ok', () => this.hellos[0]);
  }

  request<T = Record<string, unknown>>(...args: Parameters<GatewayClient['request']>): Promise<T> {
    return this.client.request<T>(...args);
  }

  /** Payloads of events so far. */
  payloads<T = Record<string, unknown>>(name: string): T[] {
    return this.events.filter(({ event }) => event === name).map(({ payload }) => payload as T);
  }

  /** Resolves with what `find` gives as soon as it gives something; asked again at everything that happens. */
  until<T>(what: string, find: () => T | undefined): Promise<T> {
    const found = find();
    if (found !== undefined) return Promise.resolve(found);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiters.delete(look);
        const seen = this.events.map(({ event, payload }) =>
          `${event} ${(payload as { state?: string }).state ?? ''}`.trim(),
        );
        const facts = { seen: seen.slice(-20), closes: this.closes, errors: this.connectErrors.map(String) };
        reject(new Error(`no ${what} within ${patienceMs} ms; ${JSON.stringify(facts)}`));
      }, patienceMs);
      const look = () => {
        const value = find();
        if (value === undefined) return;
        clearTimeout(timer);
        this.#waiters.delete(look);
        resolve(value);
      };
      this.#waiters.add(look);
    });
  }

  /** Resolves with the chat event of this state of a run. */
  untilChat(runId: string, state: string): Promise<ChatPayload> {
    return this.until(`chat ${state} of ${runId}`, () =>
      this.payloads<ChatPayload>('chat').find((payload) => payload.runId === runId && payload.state === state),
    );
  }

  stop(): Promise<void> {
    return this.client.stopAndWait();
  }

  #keep<T>(list: T[], item: T): void {
    list.push(item);
    for (const look of [...this.#waiters]) look();
  }
}

/** The payload of a chat event, as far as tests read it. */
export interface ChatPayload {
  runId: string;
  sessionKey: string;
  seq: number;
  state: string;
  deltaText?: string;
  replace?: boolean;
  stopReason?: string;
  errorMessage?: string;
  errorKind?: string;
  message?: { role: string; content: { type: string; text: string }[] };
}

/** The text of a chat event. */
export function chatText({ message }: ChatPayload): string {
  return message?.content.map(({ text }) => text).join('') ?? '';
}
