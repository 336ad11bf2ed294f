import { memoryTransportPair, type Role, type Transport } from '@openclaw/protocol';
import type { Gateway } from '@openclaw/server';

/** The answer to a request, as a test looks at it. */
export interface Answer {
  ok: boolean;
  payload?: unknown;
  error?: { code: string; message: string; details?: Record<string, unknown> };
}

export interface PeerIdentity {
  role: Role;
  id?: string;
  scopes?: readonly string[];
}

/** A peer of this process with an identity that the test names, and every text that it got. No client library is in between. */
export class LocalPeer {
  readonly received: string[] = [];
  closed: { code: number; reason: string } | undefined;
  readonly #transport: Transport;
  readonly #waiting = new Map<string, (answer: Answer) => void>();
  #nextId = 0;

  private constructor(transport: Transport) {
    this.#transport = transport;
    transport.open({
      message: (text) => this.#received(text),
      drained: () => undefined,
      closed: (code, reason) => {
        this.closed = { code, reason };
      },
    });
  }

  /** A peer that has had its hello-ok. */
  static async join(
    gateway: Gateway,
    { role, id, scopes }: PeerIdentity,
    { hasStreams = true, caps = [] }: { hasStreams?: boolean; caps?: readonly string[] } = {},
  ): Promise<LocalPeer> {
    const [inside, outside] = memoryTransportPair();
    gateway.accept(inside, { role, ...(id === undefined ? {} : { id }), ...(scopes ? { scopes } : {}) });
    const peer = new LocalPeer(outside);
    const { ok, error } = await peer.request('connect', {
      minProtocol: 4,
      maxProtocol: 4,
      client: { id: 'security-test', version: '1', platform: 'test', mode: 'backend' },
      role,
      caps: [...(hasStreams ? ['streams'] : []), ...caps],
    });
    if (!ok) throw new Error(`The peer was refused: ${error?.message}`);
    return peer;
  }

  /** Sends a request and resolves with its answer, whatever that is. */
  request(method: string, params: unknown): Promise<Answer> {
    const id = `p${++this.#nextId}`;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      this.#transport.send(JSON.stringify({ type: 'req', id, method, params }));
    });
  }

  /** Whether anything that it got holds `text`. */
  hasSeen(text: string): boolean {
    return this.received.some((message) => message.includes(text));
  }

  close(): void {
    this.#transport.close(1000, '');
  }

  #received(text: string): void {
    this.received.push(text);
    const frame = JSON.parse(text) as { type: string; id?: string } & Answer;
    if (frame.type !== 'res' || frame.id === undefined) return;
    const resolve = this.#waiting.get(frame.id);
    this.#waiting.delete(frame.id);
    resolve?.(frame);
  }
}
