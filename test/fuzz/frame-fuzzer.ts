import { contractSchema, memoryTransportPair, type Role, type Transport } from '@openclaw/protocol';
import type { Gateway } from '@openclaw/server';
import { Dice, seedOf } from './dice.ts';
import type { Findings } from './findings.ts';
import { type JsonSchema, JsonValues } from './json-values.ts';
import { mutateText, mutateValue } from './mutations.ts';
import { canaries, secrets, type Target } from './target.ts';

interface Persona {
  role: Role;
  id?: string;
  scopes?: readonly string[];
  caps: readonly string[];
  /** Canaries that it may see. */
  maySee: readonly string[];
}

const all = Object.values(canaries);

/** Who sends: some may see everything and are there for what they may break, most must see nothing of operator A. */
const personas: readonly Persona[] = [
  { role: 'operator', scopes: [], caps: ['streams'], maySee: [] },
  { role: 'operator', scopes: [], caps: ['tool-events'], maySee: [] },
  { role: 'operator', scopes: ['operator.pairing'], caps: ['streams'], maySee: [] },
  { role: 'operator', scopes: ['operator.pairing'], caps: [], maySee: [] },
  { role: 'operator', scopes: ['operator.approvals'], caps: ['streams'], maySee: [canaries.approval] },
  { role: 'operator', scopes: ['operator.approvals'], caps: ['tool-events'], maySee: [canaries.approval] },
  { role: 'operator', scopes: ['operator.write'], caps: ['streams'], maySee: all },
  { role: 'operator', scopes: ['operator.admin'], caps: [], maySee: all },
  { role: 'agent', id: 'other', caps: ['streams'], maySee: [] },
  { role: 'agent', id: 'fuzzed', caps: ['streams'], maySee: [] },
  { role: 'channel', id: 'telegram/main', caps: ['streams'], maySee: [] },
  { role: 'node', id: 'phone', caps: ['streams'], maySee: [] },
];

const schemas = Object.entries(contractSchema().methods as Record<string, { params: JsonSchema }>).map(
  ([name, { params }]) => ({ name, params }),
);

/** Sends frames to a gateway over transports of this process, and judges what comes back. */
export class FrameFuzzer {
  readonly #target: Target;
  readonly #findings: Findings;
  readonly #peers = new Map<Persona, FuzzPeer>();
  readonly #seed: number;
  /** How often a canary came to someone who may see it: without any, nothing would be proved. */
  sightings = 0;

  constructor(target: Target, findings: Findings, seed: number) {
    this.#target = target;
    this.#findings = findings;
    this.#seed = seed;
  }

  /** Sends `count` frames as one of the personas and waits until the gateway is through with them. */
  async batch(first: number, count: number): Promise<void> {
    const persona = personas[new Dice(seedOf(this.#seed, first)).below(personas.length)] as Persona;
    let peer = this.#peers.get(persona);
    if (!peer?.isOpen) {
      peer = new FuzzPeer(this.#target.running.gateway, persona, this.#findings, () => {
        this.sightings++;
      });
      this.#peers.set(persona, peer);
      await peer.hello();
    }
    const { words: known, mediaIds } = this.#target;
    const words = persona.role === 'agent' ? known.filter((word) => !mediaIds.has(word)) : known;
    for (let input = first; input < first + count; input++) {
      peer.send(frameOf(new Dice(seedOf(this.#seed, input)), words, input));
      if (!peer.isOpen) break;
    }
    await peer.barrier();
  }

  /** Lets every time-out fall due, and finds requests that were never answered. */
  async settle(): Promise<void> {
    await this.#target.clock.advance(60_000);
    for (const peer of this.#peers.values()) {
      if (peer.isOpen) await peer.barrier();
      peer.judgeUnanswered();
    }
  }

  close(): void {
    for (const peer of this.#peers.values()) peer.close();
    this.#peers.clear();
  }
}

/** One message: a request after the schema of its method, the same with something wrong in it, or something else. */
export function frameOf(dice: Dice, words: readonly string[], input: number): string {
  const values = new JsonValues(dice, words);
  if (dice.chance(0.06)) return JSON.stringify(values.any(5)) ?? '';
  const { name, params } = dice.pick(schemas);
  const frame = { type: 'req', id: `f${input}`, method: name, params: values.of(params) };
  if (name === 'agent.wait') Object.assign(frame.params as object, { timeoutMs: dice.below(20_000) });
  const kind = dice.random();
  if (kind < 0.4) return JSON.stringify(frame);
  if (kind < 0.75) return JSON.stringify({ ...frame, params: mutateValue(dice, values, frame.params) });
  const changed = kind < 0.85 ? mutateValue(dice, values, frame) : frame;
  const text = JSON.stringify(changed) ?? '';
  return kind < 0.85 ? text : mutateText(dice, text);
}

/** A peer that keeps the books: which ids were sent how often, and which answers came. */
class FuzzPeer {
  isOpen = true;
  readonly #persona: Persona;
  readonly #findings: Findings;
  readonly #sighted: () => void;
  readonly #transport: Transport;
  readonly #sent = new Map<string, { least: number; most: number; text: string }>();
  readonly #got = new Map<string, number>();
  /** Ids of settled requests: their second answers may come late. */
  readonly #settled = new Set<string>();
  #barriers = 0;
  #wake: () => void = () => {};
  #last = '';

  constructor(gateway: Gateway, persona: Persona, findings: Findings, sighted: () => void) {
    const [inside, outside] = memoryTransportPair();
    const { role, id, scopes } = persona;
    gateway.accept(inside, { role, ...(id === undefined ? {} : { id }), ...(scopes ? { scopes } : {}) });
    this.#persona = persona;
    this.#findings = findings;
    this.#sighted = sighted;
    this.#transport = outside;
    outside.open({
      message: (text) => this.#received(text),
      drained: () => undefined,
      closed: () => {
        this.isOpen = false;
        this.#wake();
      },
    });
  }

  async hello(): Promise<void> {
    const client = { id: 'fuzzer', version: '1', platform: 'test', mode: 'backend' };
    const params = { minProtocol: 4, maxProtocol: 4, client, role: this.#persona.role, caps: this.#persona.caps };
    this.#transport.send(JSON.stringify({ type: 'req', id: 'hello', method: 'connect', params }));
    this.#sent.set('hello', { least: 1, most: 1, text: 'connect' });
    const streams = [
      'session:notes-0',
      'system',
      'approvals',
      'audit',
      'pairing',
      'agent:main',
      'agent:fuzzed',
      'agent:other',
    ];
    this.send(
      JSON.stringify({
        type: 'req',
        id: 'eager',
        method: 'streams.subscribe',
        params: { streams: streams.map((stream) => ({ stream })) },
      }),
    );
    if (this.#persona.role === 'agent')
      this.send(
        JSON.stringify({
          type: 'req',
          id: 'attach',
          method: 'agent.attach',
          params: { instance: 'fuzz', resumable: true },
        }),
      );
    await this.barrier();
  }

  send(text: string): void {
    this.#last = text;
    const request = idIn(text);
    if (request) {
      const known = this.#sent.get(request.id) ?? { least: 0, most: 0, text };
      if (request.isRequest) known.least++;
      known.most += request.method === 'agent' ? 2 : 1;
      this.#sent.set(request.id, known);
    }
    this.#transport.send(text);
  }

  /** Resolves when everything sent so far was handled, or the connection is closed. */
  async barrier(): Promise<void> {
    const id = `barrier-${++this.#barriers}`;
    this.send(JSON.stringify({ type: 'req', id, method: 'ping', params: {} }));
    while (this.isOpen && !this.#got.has(id))
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
  }

  judgeUnanswered(): void {
    if (this.isOpen)
      for (const [id, { least, text }] of this.#sent)
        if ((this.#got.get(id) ?? 0) < least) this.#findings.add('a request was never answered', text);
    for (const id of this.#sent.keys()) this.#settled.add(id);
    this.#sent.clear();
    this.#got.clear();
  }

  close(): void {
    this.#transport.close(1000, '');
  }

  #received(text: string): void {
    const { role, scopes = [], maySee } = this.#persona;
    for (const canary of all.filter((word) => text.includes(word)))
      if (maySee.includes(canary)) this.#sighted();
      else
        this.#findings.add(
          `${role} [${scopes}] was sent the ${canary} of another principal`,
          `${text.slice(0, 800)} after ${this.#last}`,
        );
    for (const secret of Object.values(secrets))
      if (text.includes(secret)) this.#findings.add(`${role} [${scopes}] was sent a secret`, text);
    if (text.includes('"INTERNAL"') || text.includes('failed inside the gateway'))
      this.#findings.add(`a fault inside the gateway: ${text.replace(/"id":"[^"]*"/, '').slice(0, 200)}`, this.#last);
    const frame = JSON.parse(text) as { type: string; id?: unknown };
    if (frame.type === 'res' && typeof frame.id === 'string' && frame.id !== '') this.#answered(frame.id, text);
    this.#wake();
  }

  #answered(id: string, text: string): void {
    const count = (this.#got.get(id) ?? 0) + 1;
    this.#got.set(id, count);
    const most = this.#sent.get(id)?.most ?? 0;
    if (count > most && id !== 'invalid' && most > 0)
      this.#findings.add('a request was answered twice', `${this.#sent.get(id)?.text} ${text}`);
    if (most === 0 && id !== 'invalid' && !this.#settled.has(id))
      this.#findings.add('an answer to what was never asked', text);
  }
}

/** The id of a text, and whether it is a request, read without the code under test. What is no request may be answered, too. */
function idIn(text: string): { id: string; method: unknown; isRequest: boolean } | undefined {
  try {
    const value = JSON.parse(text) as { type?: unknown; id?: unknown; method?: unknown } | null;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
    if (typeof value.id !== 'string' || value.id === '' || value.id.length > 256) return undefined;
    return { id: value.id, method: value.method, isRequest: value.type === 'req' };
  } catch {
    return undefined;
  }
}
