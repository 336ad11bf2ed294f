import type { ConnectParams } from '@openclaw/protocol';
import WebSocket, { type ClientOptions } from 'ws';
import { signed, type TestDevice } from './device.ts';
import type { Answer } from './local-peer.ts';

/** A frame as a test looks at it. */
export interface SeenFrame {
  type: string;
  id?: string;
  event?: string;
  offset?: number;
  stream?: string;
  payload?: unknown;
}

/** A WebSocket with nothing of a client library around it, that keeps all that it got. */
export class RawSocket {
  readonly frames: SeenFrame[] = [];
  readonly texts: string[] = [];
  readonly closed: Promise<{ code: number; reason: string }>;
  isOpen = true;
  readonly #socket: WebSocket;
  readonly #answers = new Map<string, (answer: Answer) => void>();
  #waiters: { matches: (frame: SeenFrame) => boolean; resolve: (frame: SeenFrame) => void }[] = [];
  #nextId = 0;

  constructor(url: string, options: ClientOptions = {}) {
    this.#socket = new WebSocket(url, options);
    this.#socket.on('message', (data) => this.#received(String(data)));
    this.#socket.on('error', () => undefined);
    this.closed = new Promise((resolve) =>
      this.#socket.on('close', (code, reason) => {
        this.isOpen = false;
        resolve({ code, reason: reason.toString() });
      }),
    );
  }

  /** The nonce of the gateway's challenge. */
  async nonce(): Promise<string> {
    const { payload } = await this.until(({ event }) => event === 'connect.challenge');
    return (payload as { nonce: string }).nonce;
  }

  /** Says `connect`; the answer, whatever it is. */
  async connect(params: ConnectParams): Promise<Answer> {
    await this.nonce();
    return this.request('connect', params);
  }

  /** The same, signed by a device. */
  async connectSigned(device: TestDevice, params: ConnectParams): Promise<Answer> {
    const nonce = await this.nonce();
    return this.request('connect', signed(params, device, { nonce, signedAt: Date.now() }));
  }

  request(method: string, params: unknown): Promise<Answer> {
    const id = `r${++this.#nextId}`;
    return new Promise((resolve) => {
      this.#answers.set(id, resolve);
      this.send({ type: 'req', id, method, params });
    });
  }

  send(frame: unknown): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(frame));
  }

  /** The first frame that matches, of those that came and come. */
  until(matches: (frame: SeenFrame) => boolean): Promise<SeenFrame> {
    const found = this.frames.find(matches);
    if (found) return Promise.resolve(found);
    return new Promise((resolve) => this.#waiters.push({ matches, resolve }));
  }

  terminate(): void {
    this.#socket.terminate();
  }

  #received(text: string): void {
    this.texts.push(text);
    const frame = JSON.parse(text) as SeenFrame & Answer;
    this.frames.push(frame);
    if (frame.type === 'res' && frame.id !== undefined) {
      this.#answers.get(frame.id)?.(frame);
      this.#answers.delete(frame.id);
    }
    const waiting = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiting)
      if (waiter.matches(frame)) waiter.resolve(frame);
      else this.#waiters.push(waiter);
  }
}

/** The params of a program of an operator; `changes` go on top. */
export function operatorParams(changes: Partial<ConnectParams> = {}): ConnectParams {
  return {
    minProtocol: 4,
    maxProtocol: 4,
    client: { id: 'gateway-client', version: '1', platform: 'linux', mode: 'backend' },
    role: 'operator',
    scopes: ['operator.read', 'operator.write'],
    caps: ['streams'],
    ...changes,
  };
}
