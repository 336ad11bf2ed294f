import { randomUUID } from 'node:crypto';
import {
  CloseCode,
  type ConnectParams,
  closeReason,
  decodeFrame,
  GatewayError,
  isGatewayError,
  type RequestFrame,
  streamsCapability,
  v4CloseCode,
  type WireError,
} from '@openclaw/protocol';
import { type ConnectionFacts, plainWords } from '../observer.ts';
import type { EncodedFrame } from '../transport/encoded-frame.ts';
import { type ServerTransport, watermarks } from '../transport/server-transport.ts';
import { tooManyConnections } from './admission.ts';
import { ConnectRefusal } from './connect-refusal.ts';
import type { Authorize, ConnectionContext } from './connection-context.ts';
import type { Grant } from './handshake.ts';
import type { Beating } from './heartbeat.ts';
import { HeldRequests } from './held-requests.ts';
import { helloOk, v4BufferedBytes } from './hello-ok.ts';
import type { ConnectionHost } from './host.ts';
import { frameBytesOf } from './limits.ts';
import type { Identity, Peer } from './peer.ts';

type State =
  /** Waiting for `connect`. */
  | { at: 'handshaking' }
  /** Its credentials are being checked, or its refusal waits for the commit of what it caused. */
  | { at: 'judging' }
  /** Let in; hello-ok waits for the commit of what that changed. */
  | { at: 'greeting' }
  | { at: 'ready' }
  | { at: 'closed' };

/**
 * One connection from its first byte to its last: the handshake, then requests in and answers and events out. A state and
 * one way through it: handshaking → judging → greeting → ready → closed. Requests that come before hello-ok was sent, or while
 * reading is paused, wait in order.
 */
export class Connection implements Peer, Beating {
  readonly connId = randomUUID();
  readonly remoteAddress?: string;
  readonly gatewayUrl?: string;
  readonly #transport: ServerTransport;
  readonly #context: ConnectionContext;
  readonly #authorize: Authorize;
  readonly #nonce = randomUUID();
  #state: State = { at: 'handshaking' };
  #grant: Grant | undefined;
  #caps: ReadonlySet<string> = new Set();
  #hasJoined = false;
  #isRevoked = false;
  #joinedAtMs = 0;
  #seq = 0;
  /** Whether requests are not read now: the host asked for it, or answers and events pile up (S26). */
  #isPaused = false;
  #isHeldByHost = false;
  #isBacklogged = false;
  readonly #held = new HeldRequests();

  constructor(
    transport: ServerTransport,
    context: ConnectionContext,
    { authorize, remoteAddress, gatewayUrl }: { authorize: Authorize; remoteAddress?: string; gatewayUrl?: string },
  ) {
    this.#transport = transport;
    this.#context = context;
    this.#authorize = authorize;
    if (remoteAddress !== undefined) this.remoteAddress = remoteAddress;
    if (gatewayUrl !== undefined) this.gatewayUrl = gatewayUrl;
  }

  /** Sends the challenge and starts to listen; called once. */
  open(): void {
    const { heartbeat, events, host } = this.#context;
    heartbeat.awaitHandshake(this);
    this.#transport.open({
      message: (text, bytes) => {
        if (bytes > 0) host.observer.frame('in', 'req', bytes);
        heartbeat.noteAlive(this);
        this.#message(text);
      },
      alive: () => heartbeat.noteAlive(this),
      drained: () => {
        this.#isBacklogged = false;
        this.#applyPause();
        if (this.#state.at === 'ready') host.drained(this);
      },
      closed: (code) => this.#transportClosed(code),
    });
    const challenge = JSON.stringify({ nonce: this.#nonce, ts: host.clock.now() });
    this.#sendEvent(events.shared('connect.challenge', challenge));
  }

  get identity(): Identity {
    return this.#granted.identity;
  }

  get client(): ConnectParams['client'] {
    return this.#granted.params.client;
  }

  get caps(): ReadonlySet<string> {
    return this.#caps;
  }

  get hasStreams(): boolean {
    return this.#grant?.hasStreams ?? false;
  }

  /** Whether it was let in, so that it has an identity. */
  get isGranted(): boolean {
    return this.#grant !== undefined;
  }

  /** Takes scopes from it; what they allowed ends with the host's {@link ConnectionHost.narrowed}. */
  narrow(scopes: ReadonlySet<string>): void {
    this.#grant = { ...this.#granted, identity: { ...this.#granted.identity, scopes } };
    if (this.#hasJoined) this.#context.host.narrowed(this);
  }

  /** Whether the host was told of it. */
  get hasJoined(): boolean {
    return this.#hasJoined;
  }

  get isOpen(): boolean {
    return this.#state.at !== 'closed' && this.#transport.isOpen;
  }

  get queuedBytes(): number {
    return this.#transport.queuedBytes;
  }

  send(frame: EncodedFrame): void {
    if (!this.#maySend(watermarks.hardBytes)) return;
    this.#sendEvent(frame);
    this.#noteBacklog();
  }

  respond(id: string, isOk: boolean, json: string): void {
    this.#respond(JSON.stringify(id), isOk, json);
  }

  sendEvent(event: string, payloadJson: string, stateVersion?: { presence: number; health: number }): void {
    if (!this.#maySend(watermarks.hardBytes)) return;
    const { events } = this.#context;
    this.#sendEvent(
      this.hasStreams
        ? events.shared(event, payloadJson, stateVersion)
        : events.numbered(event, payloadJson, ++this.#seq, stateVersion),
    );
    this.#noteBacklog();
  }

  pauseReading(isPaused: boolean): void {
    this.#isHeldByHost = isPaused;
    this.#applyPause();
  }

  get isRevoked(): boolean {
    return this.#isRevoked;
  }

  close(code: number, reason: string): void {
    if (code === CloseCode.credentialRevoked) this.#isRevoked = true;
    this.#end(this.hasStreams ? code : v4CloseCode(code), reason);
  }

  /** Ends the transport at once, without a goodbye. */
  terminate(): void {
    this.#transport.terminate();
  }

  // What the heartbeat asks and tells.

  get isPingable(): boolean {
    return !this.#transport.isLocal && !this.#isPaused;
  }

  hasDrained(): boolean {
    return this.#transport.hasDrained();
  }

  beat(tickJson: string): void {
    this.#transport.ping();
    this.sendEvent('tick', tickJson);
  }

  handshakeExpired(): void {
    if (this.#transport.isLocal) return;
    this.#observeRefusal('HANDSHAKE_TIMEOUT', 'no connect in time');
    this.#end(CloseCode.normal, '');
  }

  heartbeatLost(): void {
    this.close(CloseCode.heartbeatLost, 'no sign of life for 10 s');
  }

  drainStalled(): void {
    this.#context.host.observer.slowConsumer('closed');
    this.close(CloseCode.slowConsumer, 'slow consumer: nothing was read for 15 s');
  }

  // Inbound.

  #message(text: string): void {
    if (this.#state.at === 'closed') return;
    if (this.#state.at === 'handshaking') {
      this.#handshakeFrame(text);
    } else if (this.#state.at !== 'ready' || this.#isPaused) {
      this.#hold(text);
    } else {
      this.#frame(text);
    }
  }

  #hold(text: string): void {
    const { maxHeldFrames, maxHeldLength, handshakeFrameBytes } = this.#context.limits;
    if (this.#state.at === 'judging' && this.#held.length + text.length > handshakeFrameBytes) {
      this.#end(CloseCode.policy, 'too much before hello');
      return;
    }
    this.#held.push(text);
    if (this.#held.count > maxHeldFrames || this.#held.length > maxHeldLength) {
      this.close(CloseCode.rateLimited, `more than ${maxHeldFrames} requests ahead of their answers`);
    }
  }

  #serveHeld(): void {
    this.#held.serve(
      (text) => this.#frame(text),
      () => this.#state.at === 'ready' && !this.#isPaused,
    );
  }

  #handshakeFrame(text: string): void {
    const decoded = decodeFrame(text, this.#context.decodeLimits);
    if (!decoded.ok) {
      this.#observeRefusal('INVALID_FRAME', decoded.problem);
      if (decoded.problem === 'not-json') this.#end(CloseCode.normal, '');
      else this.#end(CloseCode.policy, 'invalid request frame');
    } else if (decoded.frame.type !== 'req') {
      this.#observeRefusal('INVALID_FRAME', 'not a request');
      this.#end(CloseCode.policy, 'invalid request frame');
    } else {
      this.#connect(decoded.frame);
    }
  }

  #connect(frame: RequestFrame): void {
    this.#state = { at: 'judging' };
    let outcome: Grant | Promise<Grant>;
    try {
      if (frame.method !== 'connect') {
        throw new ConnectRefusal('INVALID_REQUEST', 'invalid handshake: first request must be connect');
      }
      // Before anything is used up: a one-use code must still work when there is room again.
      if (!this.#transport.isLocal && this.#context.isFull()) throw tooManyConnections(asksForStreams(frame.params));
      outcome = this.#authorize(frame.params, this.#nonce, () => this.isOpen);
    } catch (error) {
      this.#refuseCommitted(frame.id, error);
      return;
    }
    if (outcome instanceof Promise) {
      outcome.then(
        (grant) => this.#letIn(frame.id, grant),
        (error: unknown) => this.#refuseCommitted(frame.id, error),
      );
    } else {
      this.#letIn(frame.id, outcome);
    }
  }

  #letIn(id: string, grant: Grant): void {
    if (this.#state.at !== 'judging') return;
    this.#grant = grant;
    this.#caps = new Set(grant.params.caps);
    this.#state = { at: 'greeting' };
    this.#context.handshakeEnded(this);
    this.#context.host.afterCommit(
      () => this.#greet(id),
      (error) => this.#refuse(id, error),
    );
  }

  /** A refusal may rest on what is not committed yet, as a request to be paired. */
  #refuseCommitted(id: string, cause: unknown): void {
    this.#context.host.afterCommit(
      () => this.#refuse(id, cause),
      (error) => this.#refuse(id, error),
    );
  }

  #greet(id: string): void {
    if (this.#state.at !== 'greeting') return;
    const grant = this.#granted;
    const { host, limits, heartbeat, joined } = this.#context;
    this.#state = { at: 'ready' };
    this.#transport.setMaxFrameBytes(frameBytesOf(grant.identity.role, limits));
    this.respond(id, true, JSON.stringify(helloOk(grant, this.connId, this.#context)));
    this.#hasJoined = true;
    heartbeat.add(this);
    joined(this);
    this.#joinedAtMs = host.clock.elapsed();
    host.observer.connectionOpened(this.#facts());
    host.joined(this);
    this.#serveHeld();
  }

  #refuse(id: string, cause: unknown): void {
    if (this.#state.at === 'closed') return;
    const refusal =
      cause instanceof ConnectRefusal
        ? cause
        : new ConnectRefusal(
            'UNAVAILABLE',
            isGatewayError(cause) ? cause.message : 'The handshake failed; try again.',
            {
              closeCode: this.hasStreams ? CloseCode.starting : CloseCode.tryAgainLater,
              retryAfterMs: 1_000,
            },
          );
    const { details } = refusal;
    const code = typeof details?.code === 'string' ? details.code : refusal.code;
    this.#observeRefusal(code, refusal.message);
    // That the gateway is full, starting or stopping says nothing about who asked.
    if (refusal.code !== 'UNAVAILABLE') {
      const { remoteAddress: remoteIp } = this;
      const device = typeof details?.deviceId === 'string' ? { target: details.deviceId } : {};
      const reason = refusal.message;
      this.#context.host.note({
        action: 'connect.refused',
        actor: 'unknown',
        code,
        reason,
        ...device,
        ...(remoteIp ? { remoteIp } : {}),
      });
    }
    this.#respond(JSON.stringify(id), false, JSON.stringify(refusal.toWire()));
    this.#end(refusal.closeCode, refusal.closeReason);
  }

  #frame(text: string): void {
    const decoded = decodeFrame(text, this.#context.decodeLimits);
    if (!decoded.ok) {
      if (decoded.problem !== 'not-json') this.#refuseFrame(decoded.id, decoded.reason);
    } else if (decoded.frame.type !== 'req') {
      this.#refuseFrame(undefined, 'at /type: must be req');
    } else if (decoded.frame.method === 'connect') {
      this.#respondError(JSON.stringify(decoded.frame.id), {
        code: 'INVALID_REQUEST',
        message: 'connect is only valid as the first request',
      });
    } else {
      this.#context.host.received(this, decoded.frame);
    }
  }

  /** Answers what is no request with the id that it carries, as it is, so that its sender can tell which one it was. */
  #refuseFrame(id: unknown, reason: string): void {
    const hasId = (typeof id === 'string' && id.length <= 256) || typeof id === 'number';
    const isRequest = !reason.startsWith('at /type');
    this.#respondError(hasId && isRequest ? JSON.stringify(id) : '"invalid"', {
      code: 'INVALID_REQUEST',
      message: `invalid request frame: ${reason}`,
    });
  }

  // Outbound.

  #sendEvent(frame: EncodedFrame): void {
    this.#transport.send(frame);
    if (!this.#transport.isLocal) this.#context.host.observer.frame('out', 'event', frame.bytes.length);
  }

  #respondError(idJson: string, error: WireError): void {
    this.#respond(idJson, false, JSON.stringify(error));
  }

  #respond(idJson: string, isOk: boolean, json: string): void {
    // v4's answers are not paged by bytes: a few of them may stand behind one another. What is asked for is bounded, since
    // nothing more is read meanwhile.
    if (!this.#maySend(this.hasStreams ? watermarks.hardBytes : v4BufferedBytes)) return;
    const text = `{"type":"res","id":${idJson},"ok":${isOk},"${isOk ? 'payload' : 'error'}":${json}}`;
    const bytes = this.#transport.sendText(text);
    if (bytes > 0) this.#context.host.observer.frame('out', 'res', bytes);
    this.#noteBacklog();
  }

  /** False once closed. Above the limit the connection is closed in place of sending: it comes back and resumes. */
  #maySend(limitBytes: number): boolean {
    if (!this.isOpen) return false;
    if (this.#transport.queuedBytes <= limitBytes) return true;
    this.#context.host.observer.slowConsumer('closed');
    this.close(CloseCode.slowConsumer, `slow consumer: ${this.#transport.queuedBytes} bytes were not read`);
    return false;
  }

  #noteBacklog(): void {
    if (this.#isBacklogged || this.#transport.queuedBytes <= watermarks.highBytes) return;
    this.#isBacklogged = true;
    this.#applyPause();
  }

  #applyPause(): void {
    const isPaused = this.#isHeldByHost || this.#isBacklogged;
    if (isPaused === this.#isPaused || this.#state.at === 'closed') return;
    this.#isPaused = isPaused;
    this.#transport.pauseReading(isPaused);
    if (isPaused) return;
    // What it said meanwhile has not been read yet.
    this.#context.heartbeat.noteAlive(this);
    this.#serveHeld();
  }

  // The end.

  /** Closes with a code that is not mapped any more. */
  #end(code: number, reason: string): void {
    if (this.#state.at === 'closed') return;
    this.#transport.close(code, closeReason(reason));
    this.#closed(code, reason);
  }

  #transportClosed(code: number): void {
    if (this.#state.at === 'handshaking') this.#observeRefusal('CLOSED_EARLY', 'closed before its connect');
    this.#closed(code);
    this.#context.gone(this);
  }

  /** `reason`: the gateway's own words, if it was the one that closed. */
  #closed(code: number, reason?: string): void {
    if (this.#state.at === 'closed') return;
    const { host, heartbeat, handshakeEnded } = this.#context;
    if (this.#state.at === 'handshaking' || this.#state.at === 'judging') handshakeEnded(this);
    this.#state = { at: 'closed' };
    this.#held.clear();
    heartbeat.remove(this);
    if (!this.#hasJoined) return;
    host.observer.connectionClosed({
      ...this.#facts(),
      code,
      ...(reason ? { reason } : {}),
      durationMs: host.clock.elapsed() - this.#joinedAtMs,
    });
    // Whoever closed it may be in the middle of something that the host's own reaction must not cut into.
    queueMicrotask(() => host.left(this));
  }

  #facts(): ConnectionFacts {
    const { connId, identity, client, remoteAddress } = this;
    const address = remoteAddress === undefined ? {} : { remoteAddress };
    return {
      connId,
      role: identity.role,
      clientId: plainWords(client.id),
      clientVersion: plainWords(client.version),
      ...address,
    };
  }

  #observeRefusal(code: string, reason: string): void {
    const { remoteAddress } = this;
    const address = remoteAddress === undefined ? {} : { remoteAddress };
    this.#context.host.observer.refused({ where: 'connect', code, reason: plainWords(reason, 256), ...address });
  }

  get #granted(): Grant {
    if (!this.#grant)
      throw new GatewayError(
        'INVALID_REQUEST',
        `Connection ${this.connId} has not said who it is yet; wait for its hello.`,
      );
    return this.#grant;
  }
}

/** Whether a `connect` that was not checked yet asks for streams. */
export function asksForStreams(params: unknown): boolean {
  const caps = typeof params === 'object' && params !== null && 'caps' in params ? params.caps : undefined;
  return Array.isArray(caps) && caps.includes(streamsCapability);
}
