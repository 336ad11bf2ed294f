import { VirtualClock } from '@openclaw/protocol/testing';
import { onTestFinished } from 'vitest';
import { createGateway, type EventStore, type Gateway, type GatewayOptions, memoryStore } from '../src/index.ts';
import { type AnyFrame, connectFrame, RawClient } from './raw-client.ts';

export const ownerToken = 'the-token-of-the-owner';

/** A whole gateway that listens on loopback, in virtual time; closed with the test. */
export interface Door {
  gateway: Gateway;
  clock: VirtualClock;
  origin: string;
  /** A connection with streams; `token` is the owner's unless another is given. */
  dial(token?: string): Promise<Caller>;
  /** An HTTP request with the owner's token unless `token` says otherwise. */
  fetch(path: string, init?: RequestInit & { token?: string; duplex?: 'half' }): Promise<Response>;
}

/** A connection that asks and keeps what else it hears. */
export interface Caller {
  ask(method: string, params: object): Promise<AnyFrame>;
  events: AnyFrame[];
}

export async function openDoor(
  options: Partial<GatewayOptions> = {},
  { store = memoryStore(), clock = new VirtualClock() }: { store?: EventStore; clock?: VirtualClock } = {},
): Promise<Door> {
  const gateway = await createGateway({ auth: { mode: 'token', token: ownerToken }, store, clock, ...options });
  const { port } = await gateway.listen({ port: 0 });
  const clients: RawClient[] = [];
  onTestFinished(async () => {
    for (const { socket } of clients) socket.terminate();
    await gateway.close();
  });
  const origin = `http://127.0.0.1:${port}`;
  return {
    gateway,
    clock,
    origin,
    async dial(token = ownerToken) {
      const client = new RawClient(`ws://127.0.0.1:${port}/`);
      clients.push(client);
      await client.next();
      client.send(
        connectFrame({
          auth: { token },
          caps: ['streams'],
          scopes: ['operator.read', 'operator.write', 'operator.admin'],
        }),
      );
      const hello = await client.next();
      if (!hello.ok) throw new Error(JSON.stringify(hello));
      return callerOf(client);
    },
    fetch: (path, { token = ownerToken, headers, ...init } = {}) =>
      fetch(`${origin}${path}`, {
        ...init,
        headers: { ...(token === '' ? {} : { authorization: `Bearer ${token}` }), ...headers },
      }),
  };
}

function callerOf(client: RawClient): Caller {
  const events: AnyFrame[] = [];
  const asked = new Map<string, (answer: AnyFrame) => void>();
  const listen = async () => {
    for (;;) {
      const frame = await client.next();
      const settle = frame.type === 'res' ? asked.get(frame.id) : undefined;
      if (settle) settle(frame);
      else events.push(frame);
    }
  };
  void listen();
  let count = 0;
  return {
    events,
    ask(method, params) {
      const id = `q${++count}`;
      client.send({ type: 'req', id, method, params });
      return new Promise((resolve) => asked.set(id, resolve));
    },
  };
}

/** The messages of a session, oldest first. */
export async function messagesOf(caller: Caller, sessionKey: string): Promise<AnyFrame[]> {
  return (await caller.ask('chat.history', { sessionKey })).payload.messages as AnyFrame[];
}
