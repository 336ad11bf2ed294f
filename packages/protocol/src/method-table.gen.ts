// Made by scripts/generate.ts from the declarations; a test fails when it is stale.
import type { Replay } from './contract.ts';

const safe =
  'connect health ping status system-presence config.get config.schema audit.entries device.pair.approve device.pair.list device.pair.reject device.pair.remove device.pair.rename device.token.revoke tokens.list tokens.revoke streams.subscribe streams.unsubscribe agent.wait agents.list chat.history chat.startup media.read models.list sessions.describe sessions.list sessions.messages.subscribe sessions.messages.unsubscribe sessions.subscribe sessions.unsubscribe agent.attach approvals.list run.emit run.journal run.messages run.start';
const keyed =
  'agent chat.abort chat.send sessions.create sessions.delete sessions.patch sessions.reset approvals.resolve';

/** Method name → whether it may be sent again; those that are in neither list are `never`. Small: it is part of every browser's bundle. */
export const methodReplay: ReadonlyMap<string, Replay> = new Map([
  ...safe.split(' ').map((name): [string, Replay] => [name, 'safe']),
  ...keyed.split(' ').map((name): [string, Replay] => [name, 'keyed']),
]);
