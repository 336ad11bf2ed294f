import { type ConnectParams, operatorScopes } from '@openclaw/protocol';
import { VirtualClock } from '@openclaw/protocol/testing';
import { onTestFinished } from 'vitest';
import { createGateway, type EventStore, type Gateway, type GatewayOptions, memoryStore } from '../src/index.ts';
import { type AnyFrame, connectFrame, connectParams, RawClient, signed, type TestDevice } from './raw-client.ts';

export const sharedToken = 'the-token-that-all-share';

/** How a client comes in. */
export interface Arrival {
  changes?: Partial<ConnectParams>;
  device?: TestDevice;
  /** The client's address, told by a proxy that is trusted; without it the client is on this machine. */
  from?: string;
  headers?: Record<string, string>;
}

/** A connection that was let in. */
export interface Member {
  hello: AnyFrame;
  /** Everything but answers, in the order in which it came. */
  events: AnyFrame[];
  /** Every answer, in the order in which it came. */
  answers: AnyFrame[];
  closed: Promise<{ code: number; reason: string }>;
  ask(method: string, params?: object): Promise<AnyFrame>;
  /** The next event of this name that was not taken yet. */
  event(name: string): Promise<AnyFrame>;
}

/** A connect that was refused. */
export interface Refused {
  error: AnyFrame;
  close: { code: number; reason: string };
}

/** A whole gateway in virtual time, behind a trusted proxy and on loopback at once; closed with the test. */
export class Identities {
  readonly gateway: Gateway;
  readonly clock: VirtualClock;
  readonly origin: string;
  readonly #clients: RawClient[] = [];

  private constructor(gateway: Gateway, clock: VirtualClock, port: number) {
    this.gateway = gateway;
    this.clock = clock;
    this.origin = `http://127.0.0.1:${port}`;
    onTestFinished(async () => {
      for (const { socket } of this.#clients) socket.terminate();
      await gateway.close();
    });
  }

  static async open(
    options: Partial<GatewayOptions> = {},
    { store = memoryStore(), clock = new VirtualClock() }: { store?: EventStore; clock?: VirtualClock } = {},
  ): Promise<Identities> {
    const gateway = await createGateway({
      auth: { mode: 'token', token: sharedToken },
      trustedProxies: ['127.0.0.1'],
      store,
      clock,
      ...options,
    });
    const { port } = await gateway.listen({ port: 0 });
    return new Identities(gateway, clock, port);
  }

  /** Sends a `connect` and gives the client with the answer to it. */
  async knock(arrival: Arrival = {}): Promise<{ client: RawClient; answer: AnyFrame }> {
    const client = await this.dial(arrival);
    return { client, answer: await client.next() };
  }

  /** Sends a `connect` and is gone before the answer; resolves when the socket is closed. */
  async leave(arrival: Arrival): Promise<void> {
    const client = await this.dial(arrival);
    client.socket.terminate();
    await client.closed;
  }

  /** Sends a `connect`. */
  async dial({ changes, device, from, headers }: Arrival): Promise<RawClient> {
    const forwarded = { ...(from !== undefined && { 'x-forwarded-for': from }) };
    const client = new RawClient(`${this.origin.replace('http', 'ws')}/`, { headers: { ...forwarded, ...headers } });
    this.#clients.push(client);
    const { nonce, ts } = (await client.next()).payload;
    const plain = connectParams({ auth: { token: sharedToken }, scopes: [...operatorScopes], ...changes });
    const params = device ? signed(plain, device, { nonce, signedAt: ts }) : plain;
    client.send({ ...connectFrame(), params });
    return client;
  }

  async join(arrival?: Arrival): Promise<Member> {
    const { client, answer } = await this.knock(arrival);
    if (!answer.ok) throw new Error(JSON.stringify(answer.error));
    return memberOf(client, answer.payload);
  }

  async refused(arrival?: Arrival): Promise<Refused> {
    const { client, answer } = await this.knock(arrival);
    if (answer.ok) throw new Error(`let in: ${JSON.stringify(answer.payload.auth)}`);
    return { error: answer.error, close: await client.closed };
  }
}

function memberOf(client: RawClient, hello: AnyFrame): Member {
  const events: AnyFrame[] = [];
  const answers: AnyFrame[] = [];
  const waiting: (() => void)[] = [];
  const asked = new Map<string, (answer: AnyFrame) => void>();
  const taken = new Set<AnyFrame>();
  let count = 0;
  const listen = async () => {
    for (;;) {
      const frame = await client.next();
      if (frame.type === 'res') {
        answers.push(frame);
        asked.get(frame.id)?.(frame);
      } else events.push(frame);
      for (const wake of waiting.splice(0)) wake();
    }
  };
  void listen();
  return {
    hello,
    events,
    answers,
    closed: client.closed,
    ask(method, params = {}) {
      const id = `q${++count}`;
      const answer = new Promise<AnyFrame>((resolve) => asked.set(id, resolve));
      client.send({ type: 'req', id, method, params });
      return answer;
    },
    async event(name) {
      for (;;) {
        const found = events.find((frame) => frame.event === name && !taken.has(frame));
        if (found) {
          taken.add(found);
          return found;
        }
        await new Promise<void>((resolve) => waiting.push(resolve));
      }
    },
  };
}
