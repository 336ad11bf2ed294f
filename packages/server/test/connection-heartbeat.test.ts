import { VirtualClock } from '@openclaw/protocol/testing';
import { describe, expect, test } from 'vitest';
import { type Beating, Heartbeat } from '../src/connection/heartbeat.ts';
import { listening } from './edge-fixture.ts';
import { connectFrame } from './raw-client.ts';

/** A connection that answers pings or doesn't, and drains or doesn't. */
class FakeConnection implements Beating {
  isPingable = true;
  queuedBytes = 0;
  drains = false;
  answers = true;
  beatsAtMs: number[] = [];
  end: { at: number; why: 'handshake' | 'lost' | 'stalled' } | undefined;
  readonly #clock: VirtualClock;
  readonly #heartbeat: Heartbeat;

  constructor(clock: VirtualClock, heartbeat: Heartbeat) {
    this.#clock = clock;
    this.#heartbeat = heartbeat;
  }

  hasDrained(): boolean {
    return this.drains;
  }

  beat(): void {
    this.beatsAtMs.push(this.#clock.elapsed());
    if (this.answers) queueMicrotask(() => this.#heartbeat.noteAlive(this));
  }

  handshakeExpired(): void {
    this.#ended('handshake');
  }

  heartbeatLost(): void {
    this.#ended('lost');
  }

  drainStalled(): void {
    this.#ended('stalled');
  }

  #ended(why: 'handshake' | 'lost' | 'stalled'): void {
    this.end = { at: this.#clock.elapsed(), why };
    this.#heartbeat.remove(this);
  }
}

function watched(count: number) {
  const clock = new VirtualClock();
  const heartbeat = new Heartbeat({ clock, handshakeMs: 15_000 });
  const connections = Array.from({ length: count }, () => new FakeConnection(clock, heartbeat));
  for (const connection of connections) heartbeat.add(connection);
  return { clock, heartbeat, connections };
}

describe('the heartbeat', () => {
  test('has one timer for a thousand idle connections, and none without any', async () => {
    const { clock, heartbeat, connections } = watched(1_000);
    expect(clock.timerCount).toBe(1);
    await clock.advance(10_000);
    expect(clock.timerCount).toBe(1);
    for (const connection of connections) heartbeat.remove(connection);
    expect(clock.timerCount).toBe(0);
  });

  test('visits each connection every 5 s and spreads them over that time', async () => {
    const { clock, connections } = watched(40);
    await clock.advance(20_000);
    const perMoment = new Map<number, number>();
    for (const { beatsAtMs } of connections) {
      expect(beatsAtMs.length).toBe(4);
      for (let n = 1; n < 4; n++) expect(beatsAtMs[n]! - beatsAtMs[n - 1]!).toBe(5_000);
      perMoment.set(beatsAtMs[0]!, (perMoment.get(beatsAtMs[0]!) ?? 0) + 1);
    }
    expect(perMoment.size).toBe(20);
    expect(Math.max(...perMoment.values())).toBe(2);
  });

  test('sees within 10 s that a connection went silent, whenever that was, and keeps those that answer', async () => {
    for (let silentAfterMs = 0; silentAfterMs < 5_000; silentAfterMs += 130) {
      const { clock, connections } = watched(25);
      const [gone, ...others] = connections;
      await clock.advance(20_000 + silentAfterMs);
      gone!.answers = false;
      const sinceMs = clock.elapsed();
      await clock.advance(10_000);
      expect(gone!.end?.why).toBe('lost');
      expect(gone!.end!.at - sinceMs).toBeLessThanOrEqual(10_000);
      expect(others.filter(({ end }) => end)).toEqual([]);
    }
  });

  test('blames nobody while every turn of a busy loop comes 6 s late and answers are read only after it', async () => {
    const clock = new VirtualClock();
    const late = {
      now: () => clock.now(),
      elapsed: () => clock.elapsed(),
      schedule: (task: () => void, delayMs: number) => clock.schedule(task, delayMs + 6_000),
    };
    let unread: (() => void)[] = [];
    const heartbeat = new Heartbeat({
      clock: late,
      handshakeMs: 15_000,
      defer: (task) => {
        for (const read of unread) read();
        unread = [];
        task();
      },
    });
    class LateConnection extends FakeConnection {
      override beat(): void {
        this.beatsAtMs.push(clock.elapsed());
        unread.push(() => heartbeat.noteAlive(this));
      }
    }
    const connections = Array.from({ length: 30 }, () => new LateConnection(clock, heartbeat));
    for (const connection of connections) heartbeat.add(connection);
    await clock.advance(600_000);
    expect(connections.every(({ beatsAtMs }) => beatsAtMs.length >= 4)).toBe(true);
    expect(connections.filter(({ end }) => end)).toEqual([]);
  });

  test('counts a loop that stood still for 30 s as one turn, also for those that are silent', async () => {
    const clock = new VirtualClock();
    let stallMs = 0;
    const stalling = {
      now: () => clock.now(),
      elapsed: () => clock.elapsed(),
      schedule: (task: () => void, delayMs: number) => clock.schedule(task, delayMs + stallMs),
    };
    const heartbeat = new Heartbeat({ clock: stalling, handshakeMs: 15_000 });
    const connection = new FakeConnection(clock, heartbeat);
    heartbeat.add(connection);
    await clock.advance(12_000);
    connection.answers = false;
    stallMs = 30_000;
    await clock.advance(250);
    stallMs = 0;
    await clock.advance(30_000);
    expect(connection.end).toBeUndefined();
    await clock.advance(10_000);
    expect(connection.end?.why).toBe('lost');
  });

  test('leaves a connection with queued bytes to its draining: none for 15 s ends it, some keep it', async () => {
    const { clock, connections } = watched(2);
    const [stalled, slow] = connections as [FakeConnection, FakeConnection];
    for (const connection of connections) {
      connection.queuedBytes = 1_000;
      connection.answers = false;
    }
    slow.drains = true;
    await clock.advance(15_000);
    expect(stalled.end).toBeUndefined();
    await clock.advance(6_000);
    expect(stalled.end?.why).toBe('stalled');
    await clock.advance(60_000);
    expect(slow.end).toBeUndefined();
  });

  test('does not judge the silence of a connection that it does not read from', async () => {
    const { clock, connections } = watched(1);
    const [paused] = connections as [FakeConnection];
    paused.answers = false;
    await clock.advance(6_000);
    expect(paused.beatsAtMs.length).toBe(1);
    paused.isPingable = false;
    await clock.advance(60_000);
    expect(paused.end).toBeUndefined();
  });

  test('gives a handshake its time and no more', async () => {
    const { clock, heartbeat } = watched(0);
    const [late, early] = [new FakeConnection(clock, heartbeat), new FakeConnection(clock, heartbeat)];
    heartbeat.awaitHandshake(late);
    await clock.advance(3_100);
    heartbeat.awaitHandshake(early);
    heartbeat.add(early);
    await clock.advance(30_000);
    expect(late.end).toMatchObject({ why: 'handshake' });
    expect(late.end!.at).toBeGreaterThanOrEqual(15_000);
    expect(late.end!.at).toBeLessThanOrEqual(15_500);
    expect(early.end).toBeUndefined();
  });
});

describe('over sockets', () => {
  test('an idle connection costs no timer, and gets ticks and pings', async () => {
    const edge = await listening();
    const clients = Array.from({ length: 10 }, () => edge.dial());
    for (const client of clients) {
      await client.next();
      client.send(connectFrame());
      await client.next();
    }
    expect(edge.host.clock.timerCount).toBe(1);
    await edge.host.clock.advance(5_000);
    for (const client of clients) {
      expect(await client.next()).toMatchObject({ event: 'tick', payload: { ts: expect.any(Number) }, seq: 1 });
      expect(client.pingCount).toBe(1);
    }
  });

  test.each([
    [['streams'], 4103],
    [[], 1001],
  ])('one that answers nothing is closed (caps %j: %i)', async (caps, code) => {
    const edge = await listening();
    const client = edge.dial({ autoPong: false } as object);
    await client.next();
    client.send(connectFrame({ caps }));
    await client.next();
    await edge.host.clock.advance(10_000);
    expect(await client.closed).toMatchObject({ code });
    expect(edge.host.departed.length).toBe(1);
  });
});
