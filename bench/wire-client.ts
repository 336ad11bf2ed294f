import { WebSocket } from 'ws';

/** A frame as far as this client looks into it. */
interface Frame {
  event?: string;
  id?: string;
  ok?: boolean;
  payload?: unknown;
  error?: { message: string };
}

/** The thinnest client that speaks the protocol: what it costs is nearly nothing, so that servers are compared and not clients. */
export class WireClient {
  readonly #socket: WebSocket;
  readonly #pending = new Map<string, { resolve: (payload: unknown) => void; reject: (error: Error) => void }>();
  #lastId = 0;
  #challenged: (() => void) | undefined;

  /** Dials `url` and resolves when the WebSocket is open. */
  static async open(url: string): Promise<WireClient> {
    const client = new WireClient(url);
    await client.#opened();
    return client;
  }

  /** Dials a gateway and resolves with its hello-ok received. */
  static async hello(url: string, token: string): Promise<WireClient> {
    const client = new WireClient(url);
    await new Promise<void>((resolve, reject) => {
      client.#challenged = resolve;
      client.#socket.once('error', reject);
    });
    await client.request('connect', {
      minProtocol: 4,
      maxProtocol: 4,
      client: { id: 'figures', version: '1', platform: process.platform, mode: 'backend' },
      role: 'operator',
      scopes: ['operator.read', 'operator.write'],
      caps: ['streams'],
      auth: { token },
    });
    return client;
  }

  private constructor(url: string) {
    this.#socket = new WebSocket(url, { perMessageDeflate: false });
    this.#socket.on('message', (data: Buffer) => this.#received(JSON.parse(data.toString()) as Frame));
    this.#socket.on('close', () => this.#fail(new Error(`The connection to ${url} ended.`)));
  }

  /** Rejects with what the server answered when that is a refusal. */
  request(method: string, params: unknown = {}): Promise<unknown> {
    const id = String(++this.#lastId);
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      this.#socket.send(JSON.stringify({ type: 'req', id, method, params }));
    });
  }

  close(): void {
    this.#socket.terminate();
  }

  #opened(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket.once('open', resolve);
      this.#socket.once('error', reject);
    });
  }

  #received({ event, id, ok, payload, error }: Frame): void {
    if (event === 'connect.challenge') this.#challenged?.();
    if (id === undefined) return;
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    if (ok) pending?.resolve(payload);
    else pending?.reject(new Error(error?.message ?? 'refused without a reason'));
  }

  #fail(error: Error): void {
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
  }
}
