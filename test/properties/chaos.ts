import type { Bookmark } from '@openclaw/client';
import type { ApprovalsState, QueueMode, SessionState } from '@openclaw/protocol';
import type { Operator } from './operator.ts';
import type { World } from './world.ts';

interface Sent {
  key: string;
  sessionKey: string;
  message: string;
  principal: string;
}

/** What people asked for, to be held against what happened. */
export class Deeds {
  readonly sends: Sent[] = [];
  readonly patchLabels: string[] = [];
  readonly resetKeys: string[] = [];
  /** Keys under which another message was sent as well. */
  readonly conflicts = new Set<string>();
  /** Whether a place ahead of a stream was forged: the one thing that may give it a new epoch (S15). */
  hasForgedAhead = false;
}

/** What people do in one world before they slow down. */
const maxActions = 36;

const queueModes: readonly (QueueMode | undefined)[] = [
  undefined,
  undefined,
  'followup',
  'collect',
  'steer',
  'interrupt',
];

/** People who act at random, and faults that happen at random, until the world is healed. */
export class Chaos {
  readonly deeds = new Deeds();
  readonly #world: World;
  #count = 0;
  #actionCount = 0;
  #gatewayLosses = 0;

  constructor(world: World) {
    this.#world = world;
    const { simulation } = world;
    for (const operator of world.operators) {
      for (const key of world.plan.sessionKeys) {
        if (simulation.chance(0.9)) operator.follow(`session:${key}`);
      }
      if (simulation.chance(0.5)) operator.follow('system');
      if (simulation.chance(0.4)) operator.follow('approvals');
      simulation.schedule(
        () => this.#send(operator, simulation.pick(world.plan.sessionKeys)),
        simulation.random() * 2_000,
      );
      this.#actLater(operator);
    }
  }

  #actLater(operator: Operator): void {
    const { simulation, findings, plan } = this.#world;
    const pauseMs = simulation.random() * plan.paceMs;
    // A long world is long for what time does, not for being busy.
    const isTired = ++this.#actionCount > maxActions;
    simulation.schedule(
      () => {
        if (findings.isHealed) return;
        this.#act(operator);
        this.#actLater(operator);
      },
      isTired ? 15_000 + pauseMs : simulation.chance(0.2) ? 0 : pauseMs,
    );
  }

  #act(operator: Operator): void {
    const { simulation, plan } = this.#world;
    const sessionKey = simulation.pick(plan.sessionKeys);
    const dice = simulation.random();
    if (dice < 0.42) {
      if (this.deeds.sends.length < 9) this.#send(operator, sessionKey);
    } else if (dice < 0.5) this.#repeat(operator);
    else if (dice < 0.54) this.#steal(operator);
    else if (dice < 0.62) this.#abort(operator);
    else if (dice < 0.7) this.#patch(operator, sessionKey);
    else if (dice < 0.73) this.#reset(operator, sessionKey);
    else if (dice < 0.76) {
      if (sessionKey !== 'main')
        operator.request('sessions.delete', { key: sessionKey }, { idempotencyKey: this.#key('delete') });
    } else if (dice < 0.88) this.#read(operator, sessionKey);
    else if (dice < 0.94) this.answerApprovals(operator);
    else if (operator.readings.length < 8) this.#followFrom(operator, sessionKey);
  }

  #key(kind: string): string {
    return `${kind}-${this.#world.seed}-${++this.#count}`;
  }

  #send(operator: Operator, sessionKey: string): void {
    const { simulation, operators } = this.#world;
    const key = this.#key('run');
    const sent: Sent = { key, sessionKey, message: `message ${key}`, principal: operator.id };
    this.deeds.sends.push(sent);
    operator.send(sessionKey, sent.message, key, simulation.pick(queueModes));
    const twin = operators.find((other) => other !== operator && other.id === operator.id);
    if (twin && simulation.chance(0.4)) {
      simulation.schedule(() => twin.sendAgain(sessionKey, sent.message, key), simulation.random() * 500);
    }
  }

  /** The same message under the same key, by any of that principal's connections. */
  #repeat(operator: Operator): void {
    const sent = this.#world.simulation.pick(this.deeds.sends.filter(({ principal }) => principal === operator.id));
    if (sent) operator.sendAgain(sent.sessionKey, sent.message, sent.key);
  }

  /** A key that is another's, or stands for another message. */
  #steal(operator: Operator): void {
    const sent = this.#world.simulation.pick(this.deeds.sends);
    if (!sent) return;
    const message = `stolen ${this.#key('steal')}`;
    this.deeds.conflicts.add(sent.key);
    operator.request('chat.send', { sessionKey: sent.sessionKey, message }, { idempotencyKey: sent.key });
  }

  #abort(operator: Operator): void {
    const sent = this.#world.simulation.pick(this.deeds.sends);
    if (sent) operator.abort(sent.sessionKey, sent.key);
  }

  #patch(operator: Operator, key: string): void {
    const { simulation } = this.#world;
    const label = this.#key('label');
    this.deeds.patchLabels.push(label);
    const queueMode = simulation.chance(0.3) ? { queueMode: simulation.pick(['collect', 'steer', 'followup']) } : {};
    operator.request('sessions.patch', { key, label, ...queueMode }, { idempotencyKey: label });
    if (simulation.chance(0.3))
      operator.request('sessions.patch', { key, label, ...queueMode }, { idempotencyKey: label });
  }

  #reset(operator: Operator, key: string): void {
    const idempotencyKey = this.#key('reset');
    this.deeds.resetKeys.push(idempotencyKey);
    operator.request('sessions.reset', { key }, { idempotencyKey });
  }

  #read(operator: Operator, sessionKey: string): void {
    const { simulation } = this.#world;
    const sent = simulation.pick(this.deeds.sends);
    const dice = simulation.random();
    if (dice < 0.3) operator.request('chat.history', { sessionKey, limit: simulation.integer(1, 20) });
    else if (dice < 0.5) operator.request('sessions.list', {});
    else if (dice < 0.6 && sent)
      operator.request('agent.wait', { runId: sent.key, timeoutMs: simulation.integer(0, 5_000) });
    else if (dice < 0.7) operator.request('status', {}, { timeoutMs: simulation.integer(1, 2_000) });
    else if (dice < 0.8) {
      const abort = new AbortController();
      simulation.schedule(() => abort.abort(), simulation.random() * 200);
      operator.request('sessions.describe', { key: sessionKey }, { signal: abort.signal });
    } else operator.request('approvals.list', {});
  }

  /** Answers what waits for a person, one way or the other. */
  answerApprovals(operator: Operator): void {
    const { simulation, truth } = this.#world;
    const approvals = truth.current('approvals');
    if (!approvals) return;
    for (const { approvalId } of (approvals.stateAt(approvals.head) as ApprovalsState).open) {
      const decision = simulation.chance(0.7) ? 'allow' : 'deny';
      operator.request('approvals.resolve', { id: approvalId, decision }, { idempotencyKey: this.#key('resolve') });
    }
  }

  /** Subscribes from a place of any kind: one that was, one that is gone, one that never was. */
  #followFrom(operator: Operator, sessionKey: string): void {
    const { simulation, truth } = this.#world;
    const name = simulation.pick([`session:${sessionKey}`, `session:agent:main:${sessionKey}`, 'system']);
    const stream = name === 'system' ? name : `session:agent:main:${sessionKey}`;
    const life = simulation.pick(truth.lives.filter((other) => other.stream === stream));
    const dice = simulation.random();
    if (!life || dice < 0.3) {
      operator.follow(name);
      return;
    }
    const epoch = simulation.pick([...life.epochs]);
    let after: Bookmark = { stream, epoch, offset: simulation.integer(0, life.head), open: {} };
    if (dice > 0.94) {
      this.deeds.hasForgedAhead = true;
      after = { ...after, offset: life.head + simulation.integer(1, 50) };
    } else if (dice > 0.86) after = { ...after, epoch: 'beef' };
    operator.follow(name, after);
  }

  /** Called after every event: perhaps something breaks. */
  readonly strike = (): void => {
    const { simulation, plan, links, store, findings } = this.#world;
    if (findings.isHealed || !simulation.chance(plan.faultRate)) return;
    store.failureRate = simulation.chance(0.5) ? plan.failureRate : 0;
    const dice = simulation.random();
    const link = simulation.pick([...links].filter(({ isOver }) => !isOver));
    if (dice < 0.4) link?.cut();
    // A way out that is dead for good is found by pings, which an in-memory transport has not: the way in dies with it.
    else if (dice < 0.5) link?.block(simulation.pick(['server', 'both']), Number.POSITIVE_INFINITY);
    else if (dice < 0.58) link?.block(simulation.pick(['client', 'server', 'both']), simulation.integer(10, 6_000));
    else if (dice < 0.7) {
      if (!link) return;
      link.weight = simulation.pick([300, 1_000, 3_000]);
      link.perMessageMs = simulation.integer(1, 100);
      simulation.schedule(() => Object.assign(link, { weight: 1, perMessageMs: 0 }), simulation.integer(500, 8_000));
    } else if (dice < 0.8) {
      if (this.#gatewayLosses++ < 6) this.#world.crashGateway();
    } else if (dice < 0.83) {
      if (this.#gatewayLosses++ < 6) this.#world.stopGateway();
    } else if (dice < 0.91) this.#world.crashAgent();
    else simulation.pick(this.#world.operators)?.restart();
  };

  /** What is still under way, by invariant; empty when the world is quiet. */
  unquiet(): { invariant: string; problem: string }[] {
    const { host, truth, operators } = this.#world;
    const open: { invariant: string; problem: string }[] = [];
    if (!host.gateway) open.push({ invariant: 'fault', problem: 'the gateway is not up' });
    for (const stream of truth.streams) {
      const life = truth.current(stream);
      if (!life) continue;
      const state = life.stateAt(life.head);
      const runs = state.kind === 'session' || state.kind === 'agent' ? state.runs : [];
      for (const { runId } of runs) open.push({ invariant: 'I15', problem: `${stream}: the run ${runId} has no end` });
      for (const { runId } of (state as Partial<SessionState>).inputs ?? [])
        open.push({ invariant: 'I15', problem: `${stream}: ${runId} waits` });
    }
    for (const { name, waiting, stored, readings } of operators) {
      for (const { what } of waiting) open.push({ invariant: 'I4', problem: `${name}: ${what} is not settled` });
      for (const { method, idempotencyKey } of stored.values())
        open.push({ invariant: 'I4', problem: `${name}: ${method} ${idempotencyKey} is still in the queue` });
      for (const { replica } of readings) {
        const behind = replica.behind();
        if (behind) open.push({ invariant: 'I1', problem: `${name}: ${replica.stream} ${behind}` });
      }
    }
    return open;
  }
}
