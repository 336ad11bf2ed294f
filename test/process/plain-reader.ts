import WebSocket from 'ws';

/** A frame of the gateway, as it came. */
export interface PlainFrame {
  type: 'res' | 'event';
  id?: string;
  ok?: boolean;
  payload?: Record<string, unknown>;
  error?: { code: string; message: string; retryable?: boolean; retryAfterMs?: number; details?: unknown };
  event?: string;
  stream?: string;
  offset?: number;
  from?: number;
  seq?: number;
}

/** What a connection is opened with. */
export interface PlainOptions {
  /** Default `['streams']`; without it the gateway takes it for a v4 client. */
  caps?: readonly string[];
  /** Default `operator`, with every scope. */
  role?: 'operator' | 'agent';
  /** Ends the dialing, with an error. */
  signal?: AbortSignal;
}

type Waiter = { isIt: () => boolean; resolve: () => void; reject: (error: Error) => void };

/** The barest client: one WebSocket, no reconnects, no bookkeeping. What it shows does not rest on our client's own care. */
export class PlainReader {
  /** Every frame that came, in order. */
  readonly frames: PlainFrame[] = [];
  /** Set once the gateway, or the cable, ended the connection. */
  end: { code: number; reason: string } | undefined;
  readonly #socket: WebSocket;
  #nextId = 0;
  #waiters: Waiter[] = [];

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on('message', (bytes) => {
      this.frames.push(JSON.parse(String(bytes)));
      this.#look();
    });
    socket.on('error', () => undefined);
    socket.on('close', (code, reason) => {
      this.end = { code, reason: String(reason) };
      this.#look();
    });
  }

  /** Dials until it is let in. */
  static async connect(
    url: string,
    token: string,
    { caps = ['streams'], role = 'operator', signal }: PlainOptions = {},
  ): Promise<PlainReader> {
    for (;;) {
      signal?.throwIfAborted();
      const reader = new PlainReader(new WebSocket(url));
      try {
        await reader.until(({ event }) => event === 'connect.challenge');
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 25));
        continue;
      }
      await reader.request('connect', {
        minProtocol: 4,
        maxProtocol: 4,
        client: { id: 'plain-reader', version: '1', platform: 'test', mode: 'backend' },
        role,
        scopes: role === 'operator' ? ['operator.admin', 'operator.read', 'operator.write', 'operator.approvals'] : [],
        caps,
        auth: { token },
      });
      return reader;
    }
  }

  /** Resolves with the answer, good or bad. Rejects when the connection ends first. */
  request(method: string, params: object): Promise<PlainFrame> {
    const id = String(++this.#nextId);
    this.#socket.send(JSON.stringify({ type: 'req', id, method, params }));
    return this.until((frame) => frame.type === 'res' && frame.id === id);
  }

  /** The first frame, past or future, that `isIt`. Rejects when the connection ends without one. */
  async until(isIt: (frame: PlainFrame) => boolean): Promise<PlainFrame> {
    let seen = 0;
    let found: PlainFrame | undefined;
    await this.#wait(() => {
      while (!found && seen < this.frames.length) {
        const frame = this.frames[seen++] as PlainFrame;
        if (isIt(frame)) found = frame;
      }
      return found !== undefined;
    });
    return found as PlainFrame;
  }

  /** Resolves with how the connection ended. */
  async ended(): Promise<{ code: number; reason: string }> {
    await this.#wait(() => this.end !== undefined);
    return this.end as { code: number; reason: string };
  }

  /** Subscribes to one stream; resolves with its row of the answer. */
  async subscribe(stream: string, after?: { epoch: string; offset: number }): Promise<SubscribeRow> {
    const { payload } = await this.request('streams.subscribe', { streams: [after ? { stream, after } : { stream }] });
    return (payload as { streams: SubscribeRow[] }).streams[0] as SubscribeRow;
  }

  /** The events of streams, in order. */
  get events(): PlainFrame[] {
    return this.frames.filter(({ stream }) => stream !== undefined);
  }

  close(): void {
    this.#socket.terminate();
  }

  #wait(isIt: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiters.push({ isIt, resolve, reject });
      this.#look();
    });
  }

  #look(): void {
    for (const waiter of [...this.#waiters]) {
      const isIt = waiter.isIt();
      if (!isIt && !this.end) continue;
      this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
      if (isIt) waiter.resolve();
      else waiter.reject(new Error(`the connection ended with ${this.end?.code}: ${this.end?.reason}`));
    }
  }
}

export interface SubscribeRow {
  stream: string;
  epoch: string;
  head: number;
  result: string;
  reason?: string;
}
