import type { PairingRequest } from './events/access.ts';
import type { Effects } from './events/run.ts';
import type { Approval, SessionEntry } from './events/session.ts';
import { type ApprovalsState, emptySession, reduceSession, type SessionState } from './session-state.ts';
import { parseStreamName } from './stream-names.ts';

/** A run that its agent has not settled (the state of `agent:<id>`). */
export interface RunWork {
  runId: string;
  sessionKey: string;
  sessionId: string;
  agentId: string;
  requestedAt: number;
  attempt: number;
  /** What it may do by tools that are not safe; absent: everything. */
  effects?: Effects;
  /** The trace that it belongs to (W3C). */
  traceparent?: string;
  /** The last emit that was committed when this attempt was requested. */
  n?: number;
  /** Attempts in a row that committed nothing. */
  stalled?: number;
  /** Absent until an instance claimed this attempt. */
  instance?: string;
  /** True when that instance lives and dies with the gateway process. */
  local?: boolean;
  steers: { inputId: string; text: string }[];
  approvals: { approvalId: string; decision: 'allow' | 'deny'; toolCallId?: string }[];
}

export interface AgentWorkState {
  kind: 'agent';
  runs: RunWork[];
}

/** An entry of the session index. */
export interface SessionIndexEntry {
  entry: SessionEntry;
  hasActiveRun: boolean;
}

/** The state of `system`: the newest sessions; older ones come from `sessions.list`. */
export interface SystemState {
  kind: 'system';
  sessions: SessionIndexEntry[];
}

/** The state of `pairing`: the devices that wait, oldest first. */
export interface PairingState {
  kind: 'pairing';
  pending: PairingRequest[];
}

/** A stream whose kind has no state of its own yet. */
export interface PlainState {
  kind: 'plain';
}

/** The state of any stream; `kind` tells which. */
export type StreamState = SessionState | AgentWorkState | SystemState | ApprovalsState | PairingState | PlainState;

/** What {@link reduce} reads of an event frame. */
export interface ReducibleEvent {
  event: string;
  payload: unknown;
}

const keptSessions = 200;

/** The state of a stream before its first event. */
export function emptyState(stream: string): StreamState {
  switch (parseStreamName(stream)?.kind) {
    case 'session':
      return emptySession;
    case 'agent':
      return { kind: 'agent', runs: [] };
    case 'system':
      return { kind: 'system', sessions: [] };
    case 'approvals':
      return { kind: 'approvals', open: [] };
    case 'pairing':
      return { kind: 'pairing', pending: [] };
    default:
      return { kind: 'plain' };
  }
}

/**
 * The one reducer of stream state (S11): server, client and tests use it. Pure; `reduce` over all events of a stream gives
 * the state that a `stream.reset` carries. Merged deltas and deltas that overlap what the state has are cut by the part's
 * own length. Throws `DeltaMismatchError` when a delta begins beyond it.
 */
export function reduce<S extends StreamState>(state: S, event: ReducibleEvent): S {
  switch (state.kind) {
    case 'session':
      return reduceSession(state, event) as S;
    case 'agent':
      return reduceWork(state, event) as S;
    case 'system':
      return reduceIndex(state, event) as S;
    case 'approvals':
      return reduceApprovals(state, event) as S;
    case 'pairing':
      return reducePairing(state, event) as S;
    case 'plain':
      return state;
  }
}

function reduceWork(state: AgentWorkState, { event, payload }: ReducibleEvent): AgentWorkState {
  const { runId } = payload as { runId: string };
  const update = (change: (run: RunWork) => RunWork): AgentWorkState => ({
    ...state,
    runs: state.runs.map((run) => (run.runId === runId ? change(run) : run)),
  });
  switch (event) {
    case 'run.requested': {
      const requested = payload as Omit<RunWork, 'steers' | 'approvals'>;
      const known = state.runs.find((run) => run.runId === runId);
      if (!known) return { ...state, runs: [...state.runs, { ...requested, steers: [], approvals: [] }] };
      return update(({ instance, local, ...run }) => ({ ...run, ...requested }));
    }
    case 'run.started': {
      const { instance, local } = payload as { instance: string; local: boolean };
      return update((run) => ({ ...run, instance, local }));
    }
    case 'run.steer': {
      const { inputId, text } = payload as { inputId: string; text: string };
      return update((run) => ({ ...run, steers: [...run.steers, { inputId, text }] }));
    }
    case 'run.approval': {
      const { approvalId, decision, toolCallId } = payload as RunWork['approvals'][number];
      const answer = { approvalId, decision, ...(toolCallId === undefined ? {} : { toolCallId }) };
      return update((run) => ({ ...run, approvals: [...run.approvals, answer] }));
    }
    case 'run.abort':
    case 'run.finished':
      return { ...state, runs: state.runs.filter((run) => run.runId !== runId) };
    default:
      return state;
  }
}

function reduceIndex(state: SystemState, { event, payload }: ReducibleEvent): SystemState {
  if (event !== 'sessions.changed') return state;
  const changed = payload as { sessionKey: string; entry?: SessionEntry; hasActiveRun?: boolean };
  const others = state.sessions.filter(({ entry }) => entry.key !== changed.sessionKey);
  if (!changed.entry) return { ...state, sessions: others };
  const sessions = [{ entry: changed.entry, hasActiveRun: changed.hasActiveRun === true }, ...others];
  return { ...state, sessions: sessions.slice(0, keptSessions) };
}

function reduceApprovals(state: ApprovalsState, { event, payload }: ReducibleEvent): ApprovalsState {
  if (event === 'approval.requested') return { ...state, open: [...state.open, payload as Approval] };
  if (event !== 'approval.resolved') return state;
  const { approvalId } = payload as { approvalId: string };
  return { ...state, open: state.open.filter((approval) => approval.approvalId !== approvalId) };
}

function reducePairing(state: PairingState, { event, payload }: ReducibleEvent): PairingState {
  if (event !== 'device.pair.requested' && event !== 'device.pair.resolved') return state;
  const { requestId, deviceId } = payload as PairingRequest;
  const others = state.pending.filter((known) => known.requestId !== requestId && known.deviceId !== deviceId);
  return { ...state, pending: event === 'device.pair.requested' ? [...others, payload as PairingRequest] : others };
}
