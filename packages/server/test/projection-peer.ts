import type { AgentPayload, RunPart } from '@openclaw/protocol';
import { operatorScopes } from '@openclaw/protocol';
import type { Peer } from '../src/connection/peer.ts';
import type { CommittedEvent } from '../src/streams/committed-event.ts';
import { EncodedFrame } from '../src/transport/encoded-frame.ts';

export interface SentEvent {
  event: string;
  // biome-ignore lint/suspicious/noExplicitAny: payloads are read by path in tests
  payload: any;
  seq: number;
}

/** A v4 connection that keeps what it was sent. */
export interface RecordingPeer extends Peer {
  queuedBytes: number;
  readonly sent: SentEvent[];
  /** The JSON of every payload, to see whether it is shared. */
  readonly json: string[];
  payloads(event: string, stream?: string): SentEvent['payload'][];
}

let peerCount = 0;

export function recordingPeer({
  caps = [],
  scopes = operatorScopes,
  role = 'operator',
  hasStreams = false,
}: {
  caps?: string[];
  scopes?: readonly string[];
  role?: Peer['identity']['role'];
  hasStreams?: boolean;
} = {}): RecordingPeer {
  const sent: SentEvent[] = [];
  const json: string[] = [];
  return {
    connId: `conn-${++peerCount}`,
    identity: { role, id: '', scopes: new Set(scopes), principal: 'shared', isLocal: false },
    client: { id: 'gateway-client', version: '1', platform: 'test', mode: 'backend' },
    caps: new Set(caps),
    hasStreams,
    isOpen: true,
    queuedBytes: 0,
    sent,
    json,
    payloads: (event, stream) =>
      sent.filter((one) => one.event === event && (!stream || one.payload.stream === stream)).map((one) => one.payload),
    send: () => undefined,
    respond: () => undefined,
    sendEvent(event, payloadJson) {
      json.push(payloadJson);
      sent.push({ event, payload: JSON.parse(payloadJson), seq: sent.length + 1 });
    },
    pauseReading: () => undefined,
    close: () => undefined,
  };
}

export const sessionKey = 'agent:main:main';

/** A run that makes committed events, numbered as the core does. */
export function scriptedRun(runId: string, seqBefore = 0) {
  let seq = seqBefore;
  const lengths = new Map<string, number>();
  const part = ({ stream, data }: RunPart): CommittedEvent => {
    const payload = {
      runId,
      seq: ++seq,
      ts: 1_700_000_000_000 + seq,
      sessionKey,
      sessionId: 'session-1',
      agentId: 'main',
      n: seq,
      stream,
      data,
    } as AgentPayload;
    return committed('agent', payload);
  };
  const delta =
    (stream: 'assistant' | 'thinking') =>
    (itemId: string, words: string, replace = false): CommittedEvent => {
      const key = `${stream} ${itemId}`;
      const at = replace ? 0 : (lengths.get(key) ?? 0);
      lengths.set(key, at + words.length);
      return part({ stream, data: { itemId, at, delta: words, ...(replace ? { replace: true as const } : {}) } });
    };
  return {
    part,
    text: delta('assistant'),
    thinking: delta('thinking'),
    lifecycle: (data: Extract<RunPart, { stream: 'lifecycle' }>['data']) => part({ stream: 'lifecycle', data }),
    tool: (data: Extract<RunPart, { stream: 'tool' }>['data']) => part({ stream: 'tool', data }),
    /** Goes on as if these texts had been said before. */
    said(itemId: string, units: number) {
      lengths.set(`assistant ${itemId}`, units);
    },
  };
}

let offset = 0;

export function committed(event: string, payload: unknown, stream = `session:${sessionKey}`): CommittedEvent {
  return { stream, event, payload, offset: ++offset, frame: EncodedFrame.fromText('{}') };
}

/** The text that a client has which only appends `delta`s and obeys `replace`. */
export function joined(pieces: readonly { delta: string; replace?: boolean }[]): string {
  let text = '';
  for (const { delta, replace } of pieces) text = replace ? delta : text + delta;
  return text;
}
