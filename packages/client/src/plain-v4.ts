import type { HelloOk, Payload, Result } from '@openclaw/protocol';
import {
  type AgentPayload,
  type ContentBlock,
  canonicalSessionKey,
  type EventFrame,
  type GatewayError,
  type Message,
  type RunPart,
  type SessionState,
  sessionStream,
} from '@openclaw/protocol/wire';
import type { Answered } from './request-queue.ts';

const sessionPrefix = 'session:';
/** The one part that a v4 gateway's cumulative answer is told as. */
const answerItemId = 'answer';

/** Keyed methods whose params v4 closed without a key: it is sent only to a gateway with streams (S17). */
const keyless: ReadonlySet<string> = new Set([
  'chat.abort',
  'sessions.create',
  'sessions.delete',
  'sessions.patch',
  'sessions.reset',
]);

export interface PlainBridgeOptions {
  hello: HelloOk;
  /** A request to the gateway that belongs to this connection. */
  call(method: string, params: unknown, answered: Answered): void;
  /** The error for what v4 does not have. It is made by the caller, so that this chunk shares no code with the first. */
  unsupported(message: string): GatewayError;
  /** Takes an event as a gateway with streams would send it. */
  event(frame: EventFrame): void;
}

/**
 * Lets a gateway without streams look like one that has them, as far as v4 allows: a subscription begins with a snapshot made
 * of `chat.history`, broadcasts become events of session streams, and every connection is an epoch of its own, so that each
 * reconnect is told as a reset. Loaded only when such a gateway is met.
 */
export class PlainBridge {
  #options: PlainBridgeOptions;
  #epoch: string;
  #offsets = new Map<string, number>();
  /** The whole text of each part, by run, kind and part: v4 sends it all again each time. */
  #texts = new Map<string, string>();

  constructor(options: PlainBridgeOptions) {
    this.#options = options;
    this.#epoch = options.hello.server.connId;
  }

  /** True for a keyed method that v4 refuses to take a key for. */
  isKeyless(method: string): boolean {
    return keyless.has(method);
  }

  /** Answers `streams.subscribe` and `streams.unsubscribe` in the gateway's place. */
  call(method: string, params: unknown, answered: Answered): void {
    const { streams } = params as { streams: { stream: string }[] };
    if (method !== 'streams.subscribe') {
      answered(undefined, { streams });
      return;
    }
    const other = streams.find(({ stream }) => !stream.startsWith(sessionPrefix));
    if (other) {
      answered(this.#options.unsupported(`${other.stream} can't be read: this gateway has no streams.`));
      return;
    }
    const names = streams.map(({ stream }) => this.#canonical(stream));
    answered(undefined, {
      streams: names.map((stream) => ({ stream, epoch: this.#epoch, head: this.#offset(stream), result: 'snapshot' })),
    });
    for (const name of names) this.#snapshot(name);
  }

  /** The stream events that a v4 broadcast stands for; undefined when it is none of a session's. */
  translate({ event, payload }: EventFrame): EventFrame[] | undefined {
    const { sessionKey } = (payload ?? {}) as { sessionKey?: unknown };
    if (typeof sessionKey !== 'string') return undefined;
    const stream = sessionStream(sessionKey);
    switch (event) {
      case 'agent':
        return this.#agent(payload as AgentPayload).map((part) =>
          this.#frame(stream, 'agent', { ...(payload as object), ...part }),
        );
      case 'chat':
        return this.#chat(stream, payload as Payload<'chat'>);
      case 'session.message':
        // The answers come with `chat`; here only what others say is news.
        return readMessage((payload as Payload<'session.message'>).message).role === 'assistant'
          ? []
          : [this.#frame(stream, event, payload)];
      default:
        return undefined;
    }
  }

  #snapshot(stream: string): void {
    const { call, hello } = this.#options;
    const sessionKey = stream.slice(sessionPrefix.length);
    const subscribe = 'sessions.messages.subscribe';
    if (hello.features.methods.includes(subscribe)) call(subscribe, { key: sessionKey }, () => {});
    call('chat.history', { sessionKey, limit: 50 }, (error, history) => {
      const state = error ? undefined : readState(history as Result<'chat.history'>);
      for (const { runId, parts } of state?.runs ?? []) {
        for (const part of parts) {
          if (part.kind === 'text') this.#texts.set(`${runId} assistant ${part.itemId}`, part.text);
        }
      }
      const place = { stream, epoch: this.#epoch, offset: this.#offset(stream) };
      const tell = (event: string, payload: unknown) => this.#options.event({ type: 'event', event, payload });
      tell('stream.reset', { ...place, reason: 'no_position', state });
      tell('stream.live', place);
    });
  }

  #agent({ runId, stream, data }: AgentPayload): RunPart[] {
    switch (stream) {
      case 'assistant':
      case 'approval':
        return [];
      case 'thinking':
        return data.text === undefined ? [] : this.#text(runId, stream, data.itemId ?? 'thinking', data.text);
      case 'lifecycle':
        return data.phase === 'start' ? [{ stream, data }] : [];
      case 'item':
        return data.kind === 'notice' || data.kind === 'step' ? [{ stream, data }] : [];
      default:
        return [{ stream, data } as RunPart];
    }
  }

  /** Text and end of a run: v4's `chat` has them, and heals itself after a drop. */
  #chat(stream: string, chat: Payload<'chat'>): EventFrame[] {
    const { runId, sessionKey, agentId = '', seq, state } = chat;
    const common = { runId, sessionKey, sessionId: '', agentId, seq, ts: 0 };
    const parts = (list: RunPart[]) => list.map((part) => this.#frame(stream, 'agent', { ...common, ...part }));
    const text = (message: Message) => parts(this.#text(runId, 'assistant', answerItemId, messageText(message)));
    const failed = (reason: 'aborted' | 'failed', error: string) =>
      parts([{ stream: 'lifecycle', data: { phase: 'error', reason, error } }]);
    switch (state) {
      case 'delta':
        return text(readMessage(chat.message));
      case 'final': {
        const message = { ...readMessage(chat.message), runId };
        const told = chat.message === undefined ? [] : text(message);
        const said = this.#frame(stream, 'session.message', {
          sessionKey,
          sessionId: '',
          agentId,
          messageSeq: 1,
          message,
        });
        return [...told, said, ...parts([{ stream: 'lifecycle', data: { phase: 'end' } }])];
      }
      case 'aborted':
        return failed('aborted', 'The run was aborted.');
      case 'error':
        return failed('failed', chat.errorMessage ?? 'The run failed.');
      default:
        return [];
    }
  }

  #text(runId: string, stream: 'assistant' | 'thinking', itemId: string, text: string): RunPart[] {
    const key = `${runId} ${stream} ${itemId}`;
    const known = this.#texts.get(key) ?? '';
    this.#texts.set(key, text);
    if (text === known) return [];
    if (!text.startsWith(known)) return [{ stream, data: { itemId, at: 0, delta: text, replace: true } }];
    return [{ stream, data: { itemId, at: known.length, delta: text.slice(known.length) } }];
  }

  #frame(stream: string, event: string, payload: unknown): EventFrame {
    const offset = this.#offset(stream) + 1;
    this.#offsets.set(stream, offset);
    const { runId, stream: part, data } = payload as AgentPayload;
    if (part === 'lifecycle' && data.phase !== 'start') {
      for (const key of this.#texts.keys()) if (key.startsWith(`${runId} `)) this.#texts.delete(key);
    }
    return { type: 'event', event, payload, stream, offset };
  }

  #offset(stream: string): number {
    return this.#offsets.get(stream) ?? 0;
  }

  #canonical(stream: string): string {
    const agentId = this.#options.hello.snapshot.sessionDefaults?.defaultAgentId;
    return sessionStream(canonicalSessionKey(stream.slice(sessionPrefix.length), agentId) ?? stream);
  }
}

/** A session's state, as far as v4's `chat.history` tells it. */
function readState({ inFlightRun, messages, totalMessages }: Result<'chat.history'>): SessionState {
  const text = inFlightRun?.text ?? '';
  return {
    kind: 'session',
    messages: messages.map(readMessage),
    messageCount: totalMessages ?? messages.length,
    inputs: [],
    runs: inFlightRun
      ? [
          {
            runId: inFlightRun.runId,
            agentId: '',
            status: 'running',
            seq: 0,
            n: 0,
            attempt: 1,
            parts: text === '' ? [] : [{ kind: 'text', itemId: answerItemId, start: 0, text }],
          },
        ]
      : [],
  };
}

/** A v4 message row, whose content may be a string and whose facts may lie in `__openclaw`. */
function readMessage(row: unknown): Message {
  const message = (row ?? {}) as Partial<Omit<Message, 'content'>> & {
    content?: string | ContentBlock[];
    __openclaw?: { id?: string; runId?: string };
  };
  const { content = '', __openclaw: facts } = message;
  const runId = message.runId ?? facts?.runId;
  return {
    ...(message as Message),
    id: message.id ?? facts?.id ?? runId ?? '',
    role: message.role ?? 'assistant',
    content: typeof content === 'string' ? [{ type: 'text', text: content }] : content,
    timestamp: message.timestamp ?? 0,
    runId,
  };
}

function messageText({ content }: Message): string {
  return content.map((block) => (block.type === 'text' ? block.text : '')).join('');
}
