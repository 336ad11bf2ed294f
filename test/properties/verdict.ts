import type { AgentPayload, Message, Payload } from '@openclaw/protocol';
import type { Deeds } from './chaos.ts';
import { isSame } from './replica.ts';
import { isWholeAnswer } from './scripted-agent.ts';
import type { Life } from './truth.ts';
import type { World } from './world.ts';

type Report = (invariant: string, problem: string) => void;

/** Judges a world that has become quiet: what was committed, what clients were told, what agents did. */
export function judge(world: World, deeds: Deeds): void {
  const { truth, findings, simulation } = world;
  const report: Report = (invariant, problem) => findings.report(invariant, problem);
  for (const problem of truth.problems) report('I2', problem);
  for (const error of simulation.thrown)
    report('fault', error instanceof Error ? (error.stack ?? error.message) : String(error));
  const sessions = truth.lives.filter(({ stream }) => stream.startsWith('session:'));
  for (const life of sessions) judgeRuns(world, life, report);
  judgeKeys(world, deeds, sessions, report);
  judgeTold(world, deeds, sessions, report);
  for (const { name, readings } of world.operators) {
    for (const { replica } of readings) {
      const difference = replica.differs();
      if (difference) report('I2', `${name}: ${replica.stream}: ${difference}`);
    }
  }
  for (const [id, { answer }] of truth.ledger)
    if (answer === undefined) report('I4', `ledger: ${id} was never answered`);
  const renewed = truth.lives.find(({ epochs }) => epochs.size > 1);
  if (renewed && !deeds.hasForgedAhead)
    report('I5', `${renewed.stream} got a new epoch, and nobody forged a place ahead of it`);
}

/** One execution and one end for each run (I15), its events numbered without a hole (I2). */
function judgeRuns({ book, plan }: World, life: Life, report: Report): void {
  const runs = new Map<string, { seq: number; n: number; ends: number; starts: number; lifecycle?: AgentPayload }>();
  const messages = new Map<string, Message>();
  for (const { event, payload } of life.events) {
    if (event === 'session.message') {
      const { message } = payload as Payload<'session.message'>;
      if (message.role === 'assistant' && message.runId) messages.set(message.runId, message);
    }
    if (event !== 'agent') continue;
    const told = payload as AgentPayload;
    const run = runs.get(told.runId) ?? { seq: 0, n: 0, ends: 0, starts: 0 };
    runs.set(told.runId, run);
    if (run.ends > 0) report('I15', `${told.runId}: ${told.stream} came after its end`);
    if (told.seq !== run.seq + 1) report('I2', `${told.runId}: seq ${told.seq} after ${run.seq}`);
    if (told.n !== undefined && told.n !== run.n + 1) report('I3', `${told.runId}: emit ${told.n} after ${run.n}`);
    run.seq = told.seq;
    run.n = told.n ?? run.n;
    if (told.stream !== 'lifecycle') continue;
    const { phase } = told.data;
    if (phase === 'start') run.starts = Math.max(run.starts, told.data.attempt ?? 1);
    if (phase === 'end' || phase === 'error') {
      run.ends++;
      run.lifecycle = told;
    }
  }
  for (const [runId, run] of runs) {
    if (run.ends > 1) report('I15', `${runId} has ${run.ends} ends`);
    if (run.ends === 0 && !life.isDeleted) report('I15', `${runId} has no end`);
    const attempts = book.attempts.get(runId) ?? 0;
    if (attempts > run.starts && !life.isDeleted)
      report('I15', `${runId} was worked on ${attempts} times in ${run.starts} attempts`);
    if (!plan.isResumable && attempts > 1)
      report('I15', `${runId} was worked on ${attempts} times by an agent that can't continue`);
    if (run.lifecycle?.stream === 'lifecycle' && run.lifecycle.data.phase === 'end') {
      const text = textOf(messages.get(runId));
      if (!isWholeAnswer(runId, text, Math.max(1, run.starts)))
        report('I2', `${runId} ended, but its answer is not what the agent said: ${text}`);
    }
  }
  for (const [call, count] of book.unsafeExecutions)
    if (count > 1) report('I15', `the unsafe tool of ${call} was executed ${count} times`);
}

/** Every keyed request was executed once (I3). */
function judgeKeys(world: World, deeds: Deeds, sessions: Life[], report: Report): void {
  const { truth, operators } = world;
  const events = sessions.flatMap(({ events: all }) => all);
  const messages = events
    .filter(({ event }) => event === 'session.message')
    .map(({ payload }) => (payload as Payload<'session.message'>).message);
  const inputs = events
    .filter(({ event }) => event === 'session.input')
    .map(({ payload }) => payload as Payload<'session.input'>);
  for (const { key, message, sessionKey } of deeds.sends) {
    const count = messages.filter(({ role, id }) => role === 'user' && id === key).length;
    const queued = inputs.filter(({ runId, phase }) => runId === key && phase === 'queued').length;
    const dropped = inputs.filter(({ runId, phase }) => runId === key && phase === 'dropped').length;
    if (count > 1 || queued > 1 || count + dropped > 1)
      report('I3', `${key} was taken ${count} times, queued ${queued}, dropped ${dropped}`);
    const wasDeleted = truth.deleted.has(`session:agent:main:${sessionKey}`);
    const wasTaken = [...truth.ledger.values()].some((row) => row.key === key);
    if (isStolen(world, deeds, key, message)) continue;
    if (wasTaken && count + dropped === 0 && !wasDeleted) report('I3', `${key} was taken, but its message is nowhere`);
    if (!wasTaken && count + queued > 0) report('I3', `${key} has a message, but was not claimed`);
    for (const { answer, message: sent } of operators
      .flatMap((operator) => operator.sends)
      .filter((send) => send.key === key)) {
      if (/^(started|in_flight|ok|error|timeout)$/.test(answer) && !wasTaken)
        report('I3', `${key} was answered ${answer}, but not taken`);
      if (answer === 'INVALID_REQUEST' && sent === message) report('I3', `${key} sent again was refused`);
    }
  }
  const patched = events
    .filter(({ event }) => event === 'session.updated')
    .map(({ payload }) => (payload as Payload<'session.updated'>).entry.label);
  const done = operators.flatMap((operator) => operator.done);
  const hasDeleted = truth.deleted.size > 0;
  for (const label of deeds.patchLabels) {
    const count = patched.filter((other) => other === label).length;
    if (count > 1) report('I3', `the patch ${label} was executed ${count} times`);
    if (count === 0 && !hasDeleted && done.some(({ key }) => key === label))
      report('I3', `the patch ${label} was answered, but not executed`);
  }
  const resets = events.filter(({ event }) => event === 'session.reset').length;
  const resetRows = [...truth.ledger.values()].filter(
    ({ method, answer }) => method === 'sessions.reset' && answer?.includes('payload'),
  ).length;
  if (resets > resetRows || (resets < resetRows && !hasDeleted))
    report('I3', `${resetRows} resets were claimed, ${resets} executed`);
  judgeApprovals(world, report);
}

function judgeApprovals({ truth }: World, report: Report): void {
  const counts = new Map<string, number>();
  for (const { event, payload } of truth.current('approvals')?.events ?? []) {
    const { approvalId } = payload as { approvalId: string };
    const id = `${event} ${approvalId}`;
    counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  for (const [id, count] of counts) if (count > 1) report('I3', `${id} happened ${count} times`);
}

/** Whether a key was first used for another message than its owner's: whoever comes first has it. */
function isStolen({ truth }: World, deeds: Deeds, key: string, message: string): boolean {
  for (const { events } of truth.lives) {
    for (const { event, payload } of events) {
      if (event !== 'session.message' && event !== 'session.input') continue;
      const row = (payload as { message?: Message }).message;
      if (row?.id === key) return textOf(row) !== message;
    }
  }
  // Its message is in no log: it was erased in the tick in which it was taken.
  return deeds.conflicts.has(key);
}

/** What clients were told of their runs is what happened. */
function judgeTold(world: World, deeds: Deeds, sessions: Life[], report: Report): void {
  const { findings } = world;
  const stolen = new Set(
    deeds.sends.filter(({ key, message }) => isStolen(world, deeds, key, message)).map(({ key }) => key),
  );
  /** `isDeleted`: with its session, or by a reset of it: what is told of it then is what a client had seen. */
  const answers = new Map<string, { message?: Message; isDeleted: boolean; phase?: string }>();
  for (const { events, isDeleted } of sessions) {
    const runsOf = new Set<string>();
    for (const { event, payload } of events) {
      if (event === 'session.message') {
        const { message } = payload as Payload<'session.message'>;
        if (message.role === 'assistant' && message.runId)
          answers.set(message.runId, { ...answers.get(message.runId), message, isDeleted });
      } else if (event === 'session.reset') {
        for (const runId of runsOf) answers.set(runId, { ...answers.get(runId), isDeleted: true });
      } else if (event === 'agent') {
        const told = payload as AgentPayload;
        runsOf.add(told.runId);
        if (told.stream === 'lifecycle')
          answers.set(told.runId, { ...answers.get(told.runId), isDeleted, phase: told.data.phase });
      }
    }
  }
  for (const [key, told] of findings.answers) {
    if (stolen.has(key)) continue;
    for (const message of told) {
      const answer = answers.get(message.runId ?? key);
      if (answer?.isDeleted) continue;
      if (answer?.phase !== 'end') report('I2', `${key} was told to have ended well, but stands at ${answer?.phase}`);
      else if (message.content.length > 0 || answer.message) {
        if (!isSame(message, answer.message)) report('I2', `the answer that was told of ${key} is another one`);
      }
    }
  }
  for (const [key, texts] of findings.heardTexts) {
    const runId = findings.answers.get(key)?.[0]?.runId ?? key;
    const answer = answers.get(runId);
    if (!answer || answer.isDeleted || stolen.has(key)) continue;
    // A message that was taken into another run is told of that from there on.
    const isTold = (text: string) =>
      runId === key ? text === textOf(answer.message) : textOf(answer.message).endsWith(text);
    for (const text of texts)
      if (!isTold(text)) report('I2', `the parts that were told of ${key} add up to another text: ${text}`);
  }
  for (const [key, errors] of findings.errors) {
    const answer = answers.get(key);
    if (!answer || answer.isDeleted || stolen.has(key)) continue;
    for (const error of errors) {
      // One's own request may be taken back while a twin's with the same key goes through.
      if (error.code === 'ABORTED' && error.message.includes('taken back')) continue;
      const isUnknown = error.code === 'UNKNOWN_OUTCOME' || error.code === 'INTERNAL';
      if (isUnknown || answer.phase === 'end')
        report('I4', `${key} stands at ${answer.phase}, but was told as ${error.code}: ${error.message}`);
    }
  }
}

function textOf(message: Message | undefined): string {
  return message?.content.map((block) => (block.type === 'text' ? block.text : '')).join('') ?? '';
}
