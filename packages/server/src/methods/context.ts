import type { Clock } from '@openclaw/protocol';
import type { Pairing } from '../connection/pairing.ts';
import type { Ledger } from '../dispatch/ledger.ts';
import type { Uploads } from '../http/media/uploads.ts';
import type { SafeObserver } from '../observer.ts';
import type { V4Projection } from '../projection/v4-projection.ts';
import type { AgentCalls } from '../runs/agent-calls.ts';
import type { Agents } from '../runs/agents.ts';
import type { Approvals } from '../runs/approvals.ts';
import type { Intake } from '../runs/intake.ts';
import type { OpenRuns } from '../runs/open-runs.ts';
import type { Recovery } from '../runs/recovery.ts';
import type { RunReader } from '../runs/run-reader.ts';
import type { Sessions } from '../sessions/sessions.ts';
import type { WakeNotes } from '../sessions/wake-notes.ts';
import type { AuditTrail } from '../streams/audit-trail.ts';
import type { Committer } from '../streams/committer.ts';
import type { Documents } from '../streams/documents.ts';
import type { EventStore } from '../streams/event-store.ts';
import type { StreamLog } from '../streams/stream-log.ts';
import type { Subscriptions } from '../streams/subscriptions.ts';

/** The parts of the gateway that methods are made of. */
export interface GatewayParts {
  clock: Clock;
  store: EventStore;
  committer: Committer;
  documents: Documents;
  log: StreamLog;
  subscriptions: Subscriptions;
  ledger: Ledger;
  sessions: Sessions;
  agents: Agents;
  approvals: Approvals;
  openRuns: OpenRuns;
  intake: Intake;
  agentCalls: AgentCalls;
  recovery: Recovery;
  runReader: RunReader;
  projection: V4Projection;
  audit: AuditTrail;
  uploads: Uploads;
  wakeNotes: WakeNotes;
  pairing: Pairing;
  observer: SafeObserver;
  /** The agent that answers where none is named. */
  defaultAgentId: string;
  phase(): 'starting' | 'ready' | 'draining';
}
