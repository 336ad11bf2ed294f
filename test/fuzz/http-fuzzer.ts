import { connect } from 'node:net';
import { Dice, seedOf } from './dice.ts';
import type { Findings } from './findings.ts';
import { httpBytes } from './http-requests.ts';
import { canaries, secrets, type Target } from './target.ts';

/** A request that is neither answered nor cut off by then hangs. */
const patienceMs = 30_000;
/** Nothing more comes: an answer is complete, or the server waits for more of the request. */
const quietMs = 40;

/** Sends bytes that may be HTTP to the port of a gateway, and judges what comes back. */
export class HttpFuzzer {
  readonly #target: Target;
  readonly #findings: Findings;
  readonly #seed: number;
  /** Answers by status. */
  readonly statuses = new Map<string, number>();

  constructor(target: Target, findings: Findings, seed: number) {
    this.#target = target;
    this.#findings = findings;
    this.#seed = seed;
  }

  batch(first: number, count: number): Promise<unknown> {
    return Promise.all(Array.from({ length: count }, (_, index) => this.#one(first + index)));
  }

  async #one(input: number): Promise<void> {
    const dice = new Dice(seedOf(this.#seed, input));
    const bytes = httpBytes(dice, {
      credentials: [secrets.blind, secrets.hook, secrets.full],
      words: this.#target.words,
    });
    const answer = await this.#exchange(bytes);
    const sent = bytes.toString('latin1');
    for (const [line, status] of answer.matchAll(/HTTP\/1\.1 (\d{3}) /g)) {
      this.statuses.set(status as string, (this.statuses.get(status as string) ?? 0) + 1);
      if (Number(status) >= 500 && status !== '503') this.#findings.add(`an answer with ${line.trim()}`, sent);
    }
    for (const word of [
      ...Object.values(canaries),
      ...Object.values(secrets).filter((secret) => !sent.includes(secret)),
    ])
      if (answer.includes(word)) this.#findings.add(`an HTTP answer holds ${word}`, sent);
    if (/\bat (?:file|node):|\.ts:\d+:\d+|root:x:0/.test(answer))
      this.#findings.add('an HTTP answer tells of the inside', sent);
    if (answer.includes('outside-the-site')) this.#findings.add('a file outside the site was served', sent);
  }

  /** What came back for these bytes until the socket was closed. */
  #exchange(bytes: Buffer): Promise<string> {
    return new Promise((resolve) => {
      const chunks: Buffer[] = [];
      const socket = connect({ port: this.#target.running.port, host: '127.0.0.1', noDelay: true });
      let quiet: NodeJS.Timeout | undefined;
      const rest = () => {
        clearTimeout(quiet);
        quiet = setTimeout(() => socket.end(), quietMs);
      };
      const guard = setTimeout(() => {
        this.#findings.add('a socket was neither answered nor closed', bytes.toString('latin1'));
        socket.destroy();
      }, patienceMs);
      socket.on('connect', () => {
        socket.write(bytes);
        rest();
      });
      socket.on('data', (chunk) => {
        chunks.push(chunk);
        rest();
      });
      socket.on('error', () => undefined);
      socket.on('close', () => {
        clearTimeout(quiet);
        clearTimeout(guard);
        resolve(Buffer.concat(chunks).toString('latin1'));
      });
    });
  }
}
