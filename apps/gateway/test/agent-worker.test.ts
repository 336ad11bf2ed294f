import { VirtualClock } from '@openclaw/protocol/testing';
import type { Transport } from '@openclaw/protocol/wire';
import { afterEach, describe, expect, test } from 'vitest';
import { AgentWorker } from '../src/agent-worker.ts';

const script = (source: string) => new URL(`data:text/javascript,${encodeURIComponent(source)}`);

/** A worker under a clock that the test moves, with what it said and the transports that it gave. */
class Fixture {
  readonly clock = new VirtualClock();
  readonly lines: string[] = [];
  readonly transports: Transport[] = [];
  readonly worker: AgentWorker;
  #waiting: (() => void) | undefined;

  constructor(source: string) {
    this.worker = new AgentWorker({
      choice: { kind: 'demo' },
      accept: (transport) => this.transports.push(transport),
      log: (line) => {
        this.lines.push(line);
        this.#waiting?.();
      },
      clock: this.clock,
      script: script(source),
    });
  }

  /** Resolves when the worker has said `count` lines. */
  async said(count: number): Promise<void> {
    while (this.lines.length < count) await new Promise<void>((resolve) => (this.#waiting = resolve));
  }
}

let fixture: Fixture;
afterEach(() => fixture.worker.stop());

describe('the agent worker', () => {
  test('starts again after it died, later each time, and says why', async () => {
    fixture = new Fixture('throw new Error("no such model")');
    fixture.worker.start();
    for (const [index, delayMs] of [250, 500, 1_000].entries()) {
      await fixture.said(index + 1);
      expect(fixture.lines[index]).toContain('no such model');
      expect(fixture.lines[index]).toContain(`in ${delayMs / 1_000} s`);
      expect(fixture.transports).toHaveLength(index + 1);
      await fixture.clock.advance(delayMs - 1);
      expect(fixture.transports).toHaveLength(index + 1);
      await fixture.clock.advance(1);
      expect(fixture.transports).toHaveLength(index + 2);
    }
  });

  test('is quick again after it was well for 30 s', async () => {
    fixture = new Fixture(`
      import { workerData } from 'node:worker_threads';
      workerData.port.on('message', (reason) => { throw new Error(reason); });
    `);
    fixture.worker.start();
    fixture.transports[0]?.send('at once');
    await fixture.said(1);
    await fixture.clock.advance(250);
    fixture.transports[1]?.send('at once again');
    await fixture.said(2);
    expect(fixture.lines[1]).toContain('(at once again); it starts again in 0.5 s');
    await fixture.clock.advance(500);
    await fixture.clock.advance(30_000);
    fixture.transports[2]?.send('after a while');
    await fixture.said(3);
    expect(fixture.lines[2]).toContain('(after a while); it starts again in 0.25 s');
  });

  test('that never yields is ended when the gateway closes its transport', async () => {
    fixture = new Fixture('for (;;);');
    fixture.worker.start();
    fixture.transports[0]?.close(4101, 'too many emits without waiting');
    await fixture.said(1);
    expect(fixture.lines[0]).toContain('too many emits without waiting');
  });

  test('that was stopped stays so', async () => {
    fixture = new Fixture('setInterval(() => {}, 1000)');
    fixture.worker.start();
    await fixture.worker.stop();
    await fixture.clock.advance(60_000);
    expect(fixture.lines).toEqual([]);
    expect(fixture.transports).toHaveLength(1);
    expect(fixture.clock.timerCount).toBe(0);
  });
});
