import { type Effects, GatewayError, type MessageSource, type RunPart, type RunWork } from '@openclaw/protocol';
import type { RunJournal } from './run-journal.ts';

/**
 * What runs may do to the world by tools that are not `safe`, by where their message came from. Messages of operators'
 * apps are not asked about: their runs may do what the agent's own settings allow.
 */
export interface EffectsOptions {
  /** Runs that a webhook started. Default `ask`: an operator is asked before each such call. */
  hook?: Effects;
  /** Runs that a caller of the HTTP API started. Default `ask`. */
  http?: Effects;
  /** Runs that a chat platform's message started. Default `ask`. */
  channel?: Effects;
  /** For one source by its kind and id, before the above: `hook:github`, `http:token:ci`, `channel:telegram/main`. */
  sources?: Readonly<Record<string, Effects>>;
}

const strictness: readonly Effects[] = ['allow', 'ask', 'deny'];

/** What a message's run may do. What is not granted is asked for. */
export function effectsOf(source: MessageSource | undefined, { sources = {}, ...kinds }: EffectsOptions): Effects {
  if (!source) return 'allow';
  const name = `${source.kind}:${source.id}`;
  return (Object.hasOwn(sources, name) ? sources[name] : undefined) ?? kinds[source.kind] ?? 'ask';
}

/** What a run may do that is made of these messages: what the least trusted of them may. */
export function strictestEffects(messages: readonly { source?: MessageSource }[], options: EffectsOptions): Effects {
  const all = messages.map(({ source }) => effectsOf(source, options));
  return all.reduce((strictest, effects) => (isStricter(effects, strictest) ? effects : strictest), 'allow');
}

/** Whether `one` allows less than `other`. */
export function isStricter(one: Effects, other: Effects): boolean {
  return strictness.indexOf(one) > strictness.indexOf(other);
}

/**
 * Refuses the start of a tool call that the run may not make: one that is not `safe`, and that nobody allowed. An answer is
 * for one call: what `journal` has under its id already was it. An agent begins such a call only when its start is committed,
 * so what is refused here is not done.
 */
export function assertEffectAllowed(work: RunWork, part: RunPart, journal: RunJournal): void {
  if (part.stream !== 'tool' || part.data.phase !== 'start' || part.data.safe === true) return;
  const { effects = 'allow' } = work;
  if (effects === 'allow') return;
  const { toolCallId, name } = part.data;
  const isAllowed = work.approvals.some(
    (answer) => answer.toolCallId === toolCallId && answer.decision === 'allow' && effects === 'ask',
  );
  const wasMade = journal.some(
    ({ stream, data }) =>
      stream === 'tool' && data.phase === 'start' && data.toolCallId === toolCallId && data.safe !== true,
  );
  if (isAllowed && !wasMade) return;
  const asking = isAllowed
    ? 'was allowed once, and made; a further call needs an id and an approval of its own'
    : 'needs the approval of an operator';
  const why = effects === 'ask' ? asking : 'is not allowed';
  throw new GatewayError(
    'FORBIDDEN',
    `the tool ${name} ${why} in run ${work.runId}, whose message came from outside; see the setting \`effects\`.`,
    { details: { code: 'EFFECT_NOT_ALLOWED', effects, toolCallId } },
  );
}
