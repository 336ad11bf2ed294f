import { type ConnectParams, contractSchema, operatorScopes } from '@openclaw/protocol';
import WebSocket from 'ws';
import { makeDevice, signed } from '../security/device.ts';
import { Dice, seedOf } from './dice.ts';
import type { Findings } from './findings.ts';
import { forwarded } from './http-requests.ts';
import { type JsonSchema, JsonValues } from './json-values.ts';
import { mutateText, mutateValue } from './mutations.ts';
import { canaries, secrets, type Target } from './target.ts';

/** What a credential is good for at most. */
const entitled: Readonly<Record<string, readonly string[]>> = {
  [secrets.shared]: operatorScopes,
  [secrets.full]: operatorScopes,
  [secrets.reader]: ['operator.read'],
  [secrets.blind]: ['operator.pairing'],
};

const schema = (contractSchema().methods as Record<string, { params: JsonSchema }>).connect?.params ?? {};
const device = makeDevice();
/** A handshake that is neither answered nor closed by then hangs. */
const patienceMs = 30_000;

/** Says `connect` over real sockets in every wrong way, and looks at who is let in. */
export class ConnectFuzzer {
  readonly #target: Target;
  readonly #findings: Findings;
  readonly #seed: number;
  /** How many were let in. */
  admitted = 0;

  constructor(target: Target, findings: Findings, seed: number) {
    this.#target = target;
    this.#findings = findings;
    this.#seed = seed;
  }

  batch(first: number, count: number): Promise<unknown> {
    return Promise.all(Array.from({ length: count }, (_, index) => this.#one(first + index)));
  }

  #one(input: number): Promise<void> {
    const dice = new Dice(seedOf(this.#seed, input));
    const socket = new WebSocket(this.#target.running.url, { perMessageDeflate: false, headers: claims(dice) });
    const sent: string[] = [];
    const send = (text: string | Buffer) => {
      sent.push(String(text));
      if (socket.readyState === WebSocket.OPEN) socket.send(text);
    };
    let scopes: readonly string[] | undefined;
    return new Promise((resolve) => {
      const guard = setTimeout(() => {
        this.#findings.add('a handshake was neither answered nor closed', sent);
        socket.terminate();
      }, patienceMs);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        clearTimeout(guard);
        resolve();
      });
      socket.on('message', (data) => {
        const text = String(data);
        this.#judge(text, scopes, sent);
        const frame = JSON.parse(text) as {
          type: string;
          event?: string;
          id?: string;
          ok?: boolean;
          payload?: { nonce?: string; auth?: { role: string; scopes: string[] } };
        };
        if (frame.event === 'connect.challenge') {
          const params = this.#params(dice, frame.payload?.nonce ?? '');
          const request = JSON.stringify({ type: 'req', id: 'c', method: 'connect', params });
          const early = dice.chance(0.1) ? askEverything(this.#target.words) : [];
          send(dice.chance(0.2) ? broken(dice, request) : request);
          for (const text of early) send(text);
        } else if (frame.type === 'res' && frame.payload?.auth && scopes === undefined) {
          this.admitted++;
          scopes = frame.payload.auth.scopes;
          this.#judgeAdmission(frame.payload.auth, sent[0] ?? '');
          for (const text of askEverything(this.#target.words)) send(text);
          send(JSON.stringify({ type: 'req', id: 'last', method: 'ping', params: {} }));
        } else if (frame.type === 'res' && (frame.id === 'last' || scopes === undefined)) {
          socket.close();
        }
      });
    });
  }

  #params(dice: Dice, nonce: string): unknown {
    const values = new JsonValues(dice, this.#target.words);
    const auth = dice.pick<ConnectParams['auth']>([
      { token: secrets.shared },
      { token: secrets.full },
      { token: secrets.reader },
      { token: secrets.blind },
      { password: secrets.shared },
      { token: secrets.blind, password: 'wrong' },
      { token: values.string() },
      { deviceToken: values.string() },
      { bootstrapToken: values.string() },
      undefined,
    ]);
    const good: ConnectParams = {
      minProtocol: 4,
      maxProtocol: 4,
      client: {
        id: dice.pick(['gateway-client', 'test', 'openclaw-control-ui', 'webchat']),
        version: '1',
        platform: 'linux',
        mode: dice.pick(['backend', 'ui', 'probe', 'webchat']),
      },
      scopes: dice.chance(0.7) ? [...operatorScopes] : ['operator.admin', values.string()],
      caps: dice.chance(0.5) ? ['streams'] : [values.string()],
      ...(dice.chance(0.3) ? { role: dice.pick(['operator', 'agent', 'channel', 'node', values.string()]) } : {}),
      ...(auth ? { auth } : {}),
    };
    const base = dice.chance(0.3)
      ? signed(good, device, { nonce: dice.chance(0.8) ? nonce : values.string(), signedAt: this.#target.clock.now() })
      : good;
    if (dice.chance(0.45)) return base;
    if (dice.chance(0.15)) return values.of(schema);
    return mutateValue(dice, values, base);
  }

  #judge(text: string, scopes: readonly string[] | undefined, sent: readonly string[]): void {
    const mayRead = scopes?.some((scope) => ['operator.read', 'operator.write', 'operator.admin'].includes(scope));
    const maySee = {
      [canaries.session]: mayRead,
      [canaries.approval]: mayRead || scopes?.includes('operator.approvals'),
    };
    for (const [canary, isAllowed] of Object.entries(maySee))
      if (!isAllowed && text.includes(canary))
        this.#findings.add(`a connection with [${scopes}] was sent the ${canary}`, sent);
    for (const secret of Object.values(secrets))
      if (text.includes(secret)) this.#findings.add('a connection was sent a secret', sent);
    if (text.includes('"INTERNAL"') || text.includes('The handshake failed'))
      this.#findings.add(`a fault in the handshake: ${text}`, sent);
  }

  /** Nobody gets in without a credential, or gets more than it is good for. */
  #judgeAdmission({ role, scopes }: { role: string; scopes: string[] }, connect: string): void {
    const params = paramsOf(connect);
    const auth = (params?.auth ?? {}) as Record<string, unknown>;
    const most = Object.values(auth).flatMap((value) => (typeof value === 'string' ? (entitled[value] ?? []) : []));
    if (most.length === 0) this.#findings.add('a connection was let in without a valid credential', connect);
    if (role !== 'operator') this.#findings.add(`a connection was let in as ${role}`, connect);
    for (const scope of scopes)
      if (!most.includes(scope))
        this.#findings.add(`a connection was granted ${scope}, which its credential is not good for`, connect);
  }
}

/** Headers in which a client may claim to be somebody, or somewhere else. */
function claims(dice: Dice): Record<string, string> {
  if (dice.chance(0.6)) return {};
  const names = ['X-Forwarded-For', 'Forwarded', 'X-Real-IP', 'X-Forwarded-Host', 'Tailscale-User-Login', 'Origin'];
  return Object.fromEntries(dice.times(1 + dice.below(2), () => [dice.pick(names), dice.pick(forwarded)]));
}

function broken(dice: Dice, text: string): string | Buffer {
  if (dice.chance(0.6)) return mutateText(dice, text);
  const bytes = Buffer.from(text);
  // As a binary message: what is no UTF-8 must not get through as something else.
  for (let flips = 1 + dice.below(5); flips > 0; flips--) bytes[dice.below(bytes.length)] = 0x80 + dice.below(128);
  return bytes;
}

function paramsOf(connect: string): Record<string, unknown> | undefined {
  try {
    return (JSON.parse(connect) as { params?: Record<string, unknown> }).params;
  } catch {
    return undefined;
  }
}

/** What someone would ask who wants to see the words of others. */
function askEverything(words: readonly string[]): string[] {
  const streams = ['session:notes-0', 'system', 'approvals', 'audit', 'pairing', 'agent:main'].map((stream) => ({
    stream,
  }));
  return Object.entries({
    'streams.subscribe': { streams },
    'chat.history': { sessionKey: 'notes-0' },
    'sessions.list': {},
    'sessions.messages.subscribe': { key: 'notes-0' },
    'approvals.list': {},
    'agent.wait': { runId: words.find((word) => word.startsWith('run-of-a')), timeoutMs: 0 },
    'config.get': {},
    'device.pair.list': {},
    'audit.entries': {},
  }).map(([method, params]) => JSON.stringify({ type: 'req', id: method, method, params }));
}
