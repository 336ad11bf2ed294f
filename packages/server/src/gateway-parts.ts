import { type Clock, defaultAgentId } from '@openclaw/protocol';
import { Pairing, tellV4 } from './connection/pairing.ts';
import type { PresenceList } from './connection/presence-list.ts';
import { Ledger } from './dispatch/ledger.ts';
import type { GatewayOptions, LiveOptions } from './gateway-options.ts';
import { Uploads } from './http/media/uploads.ts';
import type { GatewayParts } from './methods/context.ts';
import type { SafeObserver } from './observer.ts';
import { V4Projection } from './projection/v4-projection.ts';
import { AgentCalls } from './runs/agent-calls.ts';
import { Agents } from './runs/agents.ts';
import { Approvals } from './runs/approvals.ts';
import { Intake } from './runs/intake.ts';
import { OpenRuns } from './runs/open-runs.ts';
import { QueuedMessages } from './runs/queued-messages.ts';
import { Recovery } from './runs/recovery.ts';
import { RunReader } from './runs/run-reader.ts';
import { Sessions } from './sessions/sessions.ts';
import { WakeNotes } from './sessions/wake-notes.ts';
import { agingNow } from './streams/aging.ts';
import { AuditTrail } from './streams/audit-trail.ts';
import { Committer } from './streams/committer.ts';
import { Documents } from './streams/documents.ts';
import { Erasure } from './streams/erasure.ts';
import type { EventStore } from './streams/event-store.ts';
import { Retention } from './streams/retention.ts';
import { StreamLog } from './streams/stream-log.ts';
import { Subscriptions } from './streams/subscriptions.ts';
import { Upkeep } from './streams/upkeep.ts';

/** What the parts are made with, beside the options. */
export interface PartsSurroundings {
  options: GatewayOptions;
  /** The settings in use now. */
  live: () => LiveOptions;
  clock: Clock;
  store: EventStore;
  observer: SafeObserver;
  onWarning: (message: string, cause?: unknown) => void;
  presence: PresenceList;
  phase: () => 'starting' | 'ready' | 'draining';
}

/** Makes the parts of a gateway and joins them: what is committed goes from the log to whoever follows it. */
export function makeParts({ options, live, clock, store, observer, onWarning, presence, phase }: PartsSurroundings): {
  parts: GatewayParts;
  upkeep: Upkeep;
} {
  const agentOptions = options.agents ?? [{ id: defaultAgentId }];
  const now = () => clock.now();
  const aging = agingNow(clock);
  const mainAgentId = agentOptions[0]?.id ?? defaultAgentId;
  const committer = new Committer({
    store,
    observer,
    elapsed: () => clock.elapsed(),
    onFault: (error) => onWarning('a task after a commit failed inside the gateway', error),
    ...(options.defer ? { defer: options.defer } : {}),
  });
  const documents = new Documents(committer);
  const log = new StreamLog({ store, committer, elapsed: () => clock.elapsed() });
  const audit = new AuditTrail({ log, clock, written: (entry) => observer.audited(entry) });
  const pairing = new Pairing({ log, now, elapsed: () => clock.elapsed() });
  const ledger = new Ledger({ committer, now, observer });
  const erasure = new Erasure({ log, store, documents });
  const sessions = new Sessions({
    log,
    documents,
    erasure,
    now,
    agentIds: agentOptions.map(({ id }) => id),
    defaultAgentId: mainAgentId,
  });
  const grace = options.agentGraceMs === undefined ? {} : { graceMs: options.agentGraceMs };
  const agents = new Agents({ log, clock, agents: agentOptions, ...grace });
  const approvals = new Approvals({ log, now, elapsed: () => clock.elapsed() });
  const openRuns = new OpenRuns({ log, committer, ledger, sessions, agents, approvals, clock, observer });
  const queued = new QueuedMessages({ log, committer });
  const wakeNotes = new WakeNotes({ documents, clock });
  const intake = new Intake({
    log,
    committer,
    sessions,
    agents,
    openRuns,
    clock,
    queued,
    wakeNotes,
    effects: () => live().effects ?? {},
  });
  const agentCalls = new AgentCalls({ log, committer, sessions, agents, approvals, openRuns, clock, queued });
  const silence = options.runSilenceMs === undefined ? {} : { silenceMs: options.runSilenceMs };
  const recovery = new Recovery({
    log,
    ledger,
    sessions,
    agents,
    approvals,
    agentCalls,
    openRuns,
    clock,
    queued,
    ...silence,
  });
  const subscriptions = new Subscriptions({ log, defaultAgentId: mainAgentId, observer });
  const projection = new V4Projection({ clock, journalOf: (runId) => openRuns.journalOf(runId) });
  const retention = new Retention({ log, store, documents, clock, options: options.retention, onWarning });
  const pinned = new Set(['system', 'approvals', 'pairing', 'audit', ...agents.ids.map((id) => `agent:${id}`)]);
  const upkeep = new Upkeep({
    clock,
    store,
    log,
    ledger,
    retention,
    erasure,
    agingNow: aging,
    busyStreams: () => {
      const busy = agents.work().flatMap(({ sessionKey, agentId }) => [`session:${sessionKey}`, `agent:${agentId}`]);
      if (approvals.open.length > 0) busy.push('approvals');
      if (pairing.pending.length > 0) busy.push('pairing');
      return new Set(busy);
    },
    isPinned: (stream) => pinned.has(stream.name) || subscriptions.hasReaders(stream),
    onWarning,
  });
  const runReader = new RunReader({ log, openRuns });
  const parts: GatewayParts = {
    clock,
    store,
    committer,
    documents,
    log,
    subscriptions,
    ledger,
    sessions,
    agents,
    approvals,
    openRuns,
    intake,
    agentCalls,
    recovery,
    runReader,
    projection,
    audit,
    wakeNotes,
    pairing,
    uploads: new Uploads({ store, committer, clock, options: () => live().uploads ?? {} }),
    observer,
    defaultAgentId: mainAgentId,
    phase,
  };
  log.listen({
    committed: (stream, committedEvents) => {
      let bytes = 0;
      for (const { frame } of committedEvents) bytes += frame.bytes.length;
      retention.committed(stream, bytes);
      subscriptions.committed(stream, committedEvents);
      projection.publish(committedEvents);
      if (stream.name === 'pairing') tellV4(presence.peers, committedEvents);
      runReader.changed(stream);
    },
    deleted: (stream) => {
      subscriptions.deleted(stream);
      runReader.changed(stream);
      retention.forget(stream.name);
      // The rest of the commit first: what it appended elsewhere is to go too.
      queueMicrotask(() => upkeep.erase());
    },
  });
  return { parts, upkeep };
}

/** Brings the parts to where the last gateway on this store stopped. */
export async function loadParts(parts: GatewayParts): Promise<void> {
  const { store, log, ledger, documents, sessions, agents, approvals, audit, pairing, recovery, committer } = parts;
  const contents = await store.open();
  log.load(contents.heads);
  ledger.load(contents.ledger);
  documents.load(contents.documents);
  await sessions.start();
  await agents.start();
  await approvals.start();
  await audit.start();
  await pairing.start();
  await recovery.recover();
  await committer.idle();
  if (committer.failure) throw committer.failure;
}
