import type { ConnectParams } from '@openclaw/protocol';
import { WebSocket } from 'ws';
import { signed, type TestDevice } from '../security/device.ts';
import type { Sight } from './canaries.ts';

/** An answer as a test looks at it. */
export interface Answer {
  ok: boolean;
  // biome-ignore lint/suspicious/noExplicitAny: a test reads whatever came
  payload?: any;
  error?: { code: string; message: string };
}

/** A client that writes down everything it gets. */
export class RecordedSocket {
  readonly closed: Promise<void>;
  readonly #socket: WebSocket;
  readonly #sights: Sight[];
  readonly #answers = new Map<string, (answer: Answer, text: string) => void>();
  readonly #waiting: { event: string; fits: (payload: Answer['payload']) => boolean; resolve: () => void }[] = [];
  #challenge: (nonce: string) => void = () => {};
  readonly #challenged: Promise<string>;
  #lastId = 0;

  constructor(url: string, sights: Sight[]) {
    this.#sights = sights;
    this.#challenged = new Promise((resolve) => {
      this.#challenge = resolve;
    });
    this.#socket = new WebSocket(url);
    this.#socket.on('message', (data) => this.#received(String(data)));
    this.#socket.on('error', () => undefined);
    this.closed = new Promise((resolve) =>
      this.#socket.on('close', (code, reason) => {
        sights.push({ where: `close ${code}`, text: reason.toString() });
        for (const answer of this.#answers.values()) answer({ ok: false }, '');
        resolve();
      }),
    );
  }

  /** Says hello. What the answer is there to tell, as the token of a device, is not written down. */
  async connect(auth: ConnectParams['auth'] | string, device?: TestDevice, more: object = {}): Promise<Answer> {
    const nonce = await this.#challenged;
    const params = {
      minProtocol: 4,
      maxProtocol: 4,
      client: { id: 'secrets-test', version: '1', platform: 'linux', mode: 'backend' },
      scopes: ['operator.read', 'operator.write', 'operator.admin', 'operator.approvals', 'operator.pairing'],
      caps: ['streams'],
      auth,
      ...more,
    } as ConnectParams;
    const withDevice = device ? signed(params, device, { nonce, signedAt: Date.now() }) : params;
    return this.request('connect', withDevice, { tells: ['auth'] });
  }

  /** The answer; `tells` names the fields whose purpose it is to tell a secret, and that are not written down. */
  request(method: string, params: object = {}, { tells = [] as string[] } = {}): Promise<Answer> {
    const id = `r${++this.#lastId}`;
    return new Promise((resolve) => {
      this.#answers.set(id, (answer, text) => {
        this.#answers.delete(id);
        this.#sights.push({
          where: `the answer to ${method}`,
          text: tells.length === 0 ? text : without(answer, tells),
        });
        resolve(answer);
      });
      this.send(JSON.stringify({ type: 'req', id, method, params }));
    });
  }

  send(text: string): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(text);
  }

  /** The next event of a name that fits. */
  event(event: string, fits: (payload: Answer['payload']) => boolean): Promise<void> {
    return new Promise((resolve) => this.#waiting.push({ event, fits, resolve }));
  }

  close(): void {
    this.#socket.terminate();
  }

  #received(text: string): void {
    const frame = JSON.parse(text) as Answer & { type: string; id?: string; event?: string };
    const answer = frame.type === 'res' ? this.#answers.get(frame.id ?? '') : undefined;
    if (answer) {
      answer(frame, text);
      return;
    }
    this.#sights.push({ where: `the event ${frame.event}`, text });
    if (frame.event === 'connect.challenge') this.#challenge(frame.payload.nonce);
    for (const [index, { event, fits, resolve }] of [...this.#waiting.entries()].reverse()) {
      if (event !== frame.event || !fits(frame.payload)) continue;
      this.#waiting.splice(index, 1);
      resolve();
    }
  }
}

function without(answer: Answer, fields: readonly string[]): string {
  const payload = Object.fromEntries(Object.entries(answer.payload ?? {}).filter(([name]) => !fields.includes(name)));
  return JSON.stringify({ ...answer, payload });
}
