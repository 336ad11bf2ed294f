import { step } from '@openclaw/plugin-sdk';
import { VirtualClock } from '@openclaw/protocol/testing';
import { scriptedAgent, startGateway, type TestGateway } from '../gateway.ts';
import { LocalPeer } from '../security/local-peer.ts';
import type { Findings } from './findings.ts';

/** What only some may see: in messages, answers, tool calls, files and labels; in a question to a person; in a pairing. */
export const canaries = { session: 'canary-of-a-session', approval: 'canary-of-an-approval' } as const;

/** Nobody is ever told these, not even an admin. */
export const secrets = {
  shared: 'secret-shared-token-0123456789',
  full: 'secret-full-token-0123456789',
  reader: 'secret-reader-token-0123456789',
  blind: 'secret-blind-token-0123456789',
  hook: 'secret-hook-token-0123456789',
} as const;

/** A gateway in virtual time with words of operator A in it, at which the fuzzer throws what it has. */
export class Target {
  readonly running: TestGateway;
  readonly clock: VirtualClock;
  /** Names of what exists: sessions, runs, files. Knowing a name must not be enough. */
  readonly words: string[];
  /** Those of the words that are ids of files: an agent may read any file whose id it knows. */
  readonly mediaIds = new Set<string>();
  readonly owner: LocalPeer;
  #rounds = 0;

  private constructor(running: TestGateway, clock: VirtualClock, owner: LocalPeer, words: string[]) {
    this.running = running;
    this.clock = clock;
    this.owner = owner;
    this.words = words;
  }

  static async start(findings: Findings, siteDirectory: string): Promise<Target> {
    const clock = new VirtualClock();
    const running = await startGateway({
      clock,
      agent: talkingAgent,
      agents: [{ id: 'main' }, { id: 'other' }, { id: 'fuzzed' }],
      auth: { mode: 'token', token: secrets.shared },
      tokens: [
        { name: 'full', token: secrets.full, scopes: ['operator.admin'] },
        { name: 'reader', token: secrets.reader, scopes: ['operator.read'] },
        { name: 'blind', token: secrets.blind, scopes: ['operator.pairing'] },
      ],
      openAi: { chatCompletions: true, responses: true },
      hooks: { token: secrets.hook, mappings: { mine: { message: 'It says {{text}}.', sessionKey: '{{message}}' } } },
      // Forwarded headers are read; whom they name is never confirmed.
      trustedProxies: ['127.0.0.1'],
      tailscale: { whois: async () => undefined },
      limits: unhurried,
      siteDirectory,
      onWarning: (warning, cause) =>
        findings.add(`a warning: ${warning}`, cause instanceof Error ? String(cause.stack) : String(cause)),
      onError: (error) =>
        findings.add(`an error at the edge: ${String(error)}`, error instanceof Error ? String(error.stack) : ''),
    });
    const owner = await LocalPeer.join(running.gateway, { role: 'operator', scopes: ['operator.admin'] });
    const target = new Target(running, clock, owner, ['main', 'agent:fuzzed:main', 'run-1', 'run-2']);
    await target.seed();
    return target;
  }

  /** Puts the words of operator A in place; again after an admin's fuzz may have deleted them. */
  async seed(): Promise<void> {
    const { owner } = this;
    const round = this.#rounds++;
    const runId = `run-of-a-${round}`;
    // Each in a session of its own: the run waits for a person, and would hold the next one up.
    const key = `notes-${round}`;
    await owner.request('sessions.patch', { key, label: canaries.session, idempotencyKey: `label-${round}` });
    await owner.request('chat.send', {
      sessionKey: key,
      message: `ask ${canaries.session}`,
      idempotencyKey: runId,
      attachments: [
        {
          type: 'file',
          mimeType: 'text/plain',
          fileName: `${canaries.session}.txt`,
          content: Buffer.from(canaries.session).toString('base64'),
        },
      ],
    });
    await owner.request('streams.subscribe', { streams: [{ stream: `session:${key}` }] });
    for (let turn = 0; turn < 500 && !owner.hasSeen(canaries.approval); turn++)
      await new Promise((resolve) => setImmediate(resolve));
    if (round === 0 && !owner.hasSeen(canaries.approval))
      throw new Error('The agent never asked; nothing would be hidden.');
    const { payload } = await owner.request('chat.history', { sessionKey: key });
    const [mediaId] = /\b[0-9a-f]{64}\b/.exec(JSON.stringify(payload)) ?? [];
    if (mediaId === undefined) throw new Error('The file of operator A has no id; nothing would be hidden.');
    this.mediaIds.add(mediaId);
    this.words.push(mediaId, key, `agent:main:${key}`, `session:agent:main:${key}`, runId);
    owner.received.length = 0;
  }

  async close(): Promise<void> {
    this.owner.close();
    await this.running.close();
  }
}

/** Rates and counts out of the way: what is fuzzed is what stands behind them. */
const unhurried = {
  maxHandshaking: 10_000,
  failedAuthPerMinute: 1_000_000,
  handshakesPerSecond: 1_000_000,
  handshakeBurst: 1_000_000,
  pairingPerMinute: 1_000_000,
};

/** Says what it was told, and where it was told `ask`, asks a person with the other canary first. */
const talkingAgent = scriptedAgent(async function* ({ text, call }) {
  yield `You said ${text.slice(0, 200)}`;
  yield step();
  if (!text.startsWith('ask ')) return;
  const approval = { title: canaries.approval, description: canaries.approval };
  yield* call({ name: 'write', args: { of: canaries.approval }, approval }, () => ({ done: true }));
});
