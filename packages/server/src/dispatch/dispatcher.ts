import {
  allowsScope,
  checkValue,
  GatewayError,
  isGatewayError,
  type MethodDeclaration,
  type OperatorScope,
  operatorScopes,
  type RequestFrame,
} from '@openclaw/protocol';
import { defaultLimits } from '../connection/limits.ts';
import type { Peer } from '../connection/peer.ts';
import { validTraceparent } from '../http/route.ts';
import { noObserver, type SafeObserver } from '../observer.ts';
import type { Committer } from '../streams/committer.ts';
import { AtRelease, type Call, type MethodImplementation } from './method.ts';
import { type RequestLimits, RequestRate } from './request-rate.ts';

/** Bytes that may wait for their commit before requests are refused. */
export const maxWaitingBytes = 64 * 1_048_576;

export interface DispatcherOptions {
  committer: Committer;
  /** Told of errors that are no `GatewayError`: faults of this program. */
  onFault: (method: string, error: unknown) => void;
  /** Told of every answer. Default nobody. */
  observer?: SafeObserver;
  /** The monotonic clock. Default one that stands still. */
  elapsed?: () => number;
  /** How many requests a connection may send. Default those of `limitsTable`. */
  limits?: () => RequestLimits;
}

/** The method table: finds the method, checks role, scope and params, calls it, and answers after the commit. */
export class Dispatcher {
  readonly #committer: Committer;
  readonly #onFault: (method: string, error: unknown) => void;
  readonly #observer: SafeObserver;
  readonly #elapsed: () => number;
  readonly #methods = new Map<string, MethodImplementation>();
  readonly #inFlight = new Map<Peer, number>();
  readonly #limits: () => RequestLimits;
  readonly #rate: RequestRate;

  constructor({
    committer,
    onFault,
    observer = noObserver,
    elapsed = () => 0,
    limits = () => defaultLimits,
  }: DispatcherOptions) {
    this.#limits = limits;
    this.#rate = new RequestRate(limits);
    this.#observer = observer;
    this.#elapsed = elapsed;
    this.#committer = committer;
    this.#onFault = onFault;
  }

  /** Adds methods; a name that is taken, or a declaration that does not say who may call it, is an error of the caller. */
  add(implementations: readonly MethodImplementation[]): void {
    for (const implementation of implementations) {
      const { name } = implementation.declaration;
      assertGuarded(implementation.declaration);
      if (this.#methods.has(name))
        throw new GatewayError(
          'INVALID_REQUEST',
          `The method '${name}' is implemented already; give yours a prefix of its own.`,
        );
      this.#methods.set(name, implementation);
    }
  }

  /** Names of the methods that work. */
  get names(): string[] {
    return [...this.#methods.keys()];
  }

  /** Takes a request. Exactly one answer leaves for it (two for `agent`), unless the connection is gone. */
  dispatch(peer: Peer, frame: RequestFrame): void {
    const atMs = this.#elapsed();
    const refusal = this.#rate.take(peer, frame.method, atMs);
    if (refusal) {
      this.#refuse(peer, frame, atMs, refusal);
      return;
    }
    const inFlight = this.#inFlight.get(peer) ?? 0;
    if (inFlight >= this.#limits().maxRequestsInFlight) {
      this.#refuse(
        peer,
        frame,
        atMs,
        new GatewayError(
          'UNAVAILABLE',
          `The connection has ${inFlight} requests in flight, the most allowed; wait for answers.`,
          {
            retryable: true,
            retryAfterMs: 100,
          },
        ),
      );
      return;
    }
    if (this.#committer.waitingBytes > maxWaitingBytes) {
      const told = 'The store is behind with writing; nothing was changed. Send the request again.';
      this.#refuse(peer, frame, atMs, new GatewayError('UNAVAILABLE', told, { retryable: true, retryAfterMs: 1_000 }));
      return;
    }
    this.#inFlight.set(peer, inFlight + 1);
    try {
      const outcome = this.#call(peer, frame);
      if (outcome instanceof Promise) {
        outcome.then(
          (result) => this.#answer(peer, frame, atMs, result, this.#isRead(frame)),
          (error: unknown) => this.#fail(peer, frame, atMs, error),
        );
      } else {
        this.#answer(peer, frame, atMs, outcome);
      }
    } catch (error) {
      this.#fail(peer, frame, atMs, error);
    }
  }

  forget(peer: Peer): void {
    this.#inFlight.delete(peer);
    this.#rate.forget(peer);
  }

  #call(peer: Peer, frame: RequestFrame): unknown {
    const implementation = this.#methods.get(frame.method);
    if (!implementation) {
      requireScope(peer, 'operator.admin');
      throw new GatewayError('INVALID_REQUEST', `unknown method: ${frame.method.slice(0, 128)}`);
    }
    const { declaration, handle } = implementation;
    assertAllowed(peer, declaration);
    const parsed = checkValue(declaration.params, frame.params ?? {});
    if (!parsed.success)
      throw new GatewayError('INVALID_REQUEST', `invalid ${declaration.name} params: ${parsed.problem}`);
    const traceparent = validTraceparent(frame.traceparent);
    const call: Call = {
      peer,
      requestId: frame.id,
      ...(traceparent === undefined ? {} : { traceparent }),
      assertAllowed: () => assertAllowed(peer, declaration),
      respondAgain: (payload) => {
        const json = JSON.stringify(payload);
        this.#committer.release(() => {
          const refusal = this.#refusalNow(peer, frame.method);
          if (refusal) peer.respond(frame.id, false, JSON.stringify(refusal.toWire()));
          else peer.respond(frame.id, true, json);
        });
      },
    };
    return handle(parsed.data, call);
  }

  /** `isLateRead`: it took a while and changed nothing, so whoever may not ask for it any more is not told either. */
  #answer(peer: Peer, frame: RequestFrame, atMs: number, outcome: unknown, isLateRead = false): void {
    this.#committer.release(
      () => {
        this.#settled(peer);
        const refusal = isLateRead ? this.#refusalNow(peer, frame.method) : undefined;
        if (refusal) {
          this.#refuse(peer, frame, atMs, refusal);
          return;
        }
        if (!(outcome instanceof AtRelease)) {
          peer.respond(frame.id, true, JSON.stringify(outcome));
          this.#observe(peer, frame, atMs, 'ok');
          return;
        }
        let settled: ReturnType<typeof outcome.settle>;
        try {
          settled = outcome.settle();
        } catch (error) {
          this.#refuse(peer, frame, atMs, this.#refusalOf(frame.method, error));
          return;
        }
        peer.respond(frame.id, true, JSON.stringify(settled.result));
        this.#observe(peer, frame, atMs, 'ok');
        settled.after?.();
      },
      (error) => {
        this.#settled(peer);
        this.#refuse(peer, frame, atMs, error as GatewayError);
      },
    );
  }

  #isRead({ method }: RequestFrame): boolean {
    return this.#methods.get(method)?.declaration.replay === 'safe';
  }

  /** Why the peer may not call a method at this moment. */
  #refusalNow(peer: Peer, method: string): GatewayError | undefined {
    const declaration = this.#methods.get(method)?.declaration;
    try {
      if (declaration) assertAllowed(peer, declaration);
      return undefined;
    } catch (error) {
      return this.#refusalOf(method, error);
    }
  }

  #fail(peer: Peer, frame: RequestFrame, atMs: number, error: unknown): void {
    const refusal = this.#refusalOf(frame.method, error);
    // A refusal may rest on what is not committed yet.
    this.#committer.release(
      () => {
        this.#settled(peer);
        this.#refuse(peer, frame, atMs, refusal);
      },
      (failure) => {
        this.#settled(peer);
        this.#refuse(peer, frame, atMs, failure as GatewayError);
      },
    );
  }

  /** What a caller is told of an error; the text of a fault stays here. */
  #refusalOf(method: string, error: unknown): GatewayError {
    if (isGatewayError(error)) return error;
    this.#onFault(method, error);
    return new GatewayError('UNAVAILABLE', `${method} failed inside the gateway; its log says why.`, {
      details: { code: 'INTERNAL' },
    });
  }

  #refuse(peer: Peer, frame: RequestFrame, atMs: number, error: GatewayError): void {
    peer.respond(frame.id, false, JSON.stringify(error.toWire()));
    this.#observe(peer, frame, atMs, error.code);
  }

  #observe({ connId }: Peer, { method, traceparent }: RequestFrame, atMs: number, outcome: string): void {
    const trace = validTraceparent(traceparent);
    this.#observer.requestAnswered({
      method: this.#methods.has(method) ? method : 'other',
      outcome,
      durationMs: this.#elapsed() - atMs,
      connId,
      ...(trace === undefined ? {} : { traceparent: trace }),
    });
  }

  #settled(peer: Peer): void {
    const inFlight = this.#inFlight.get(peer);
    if (inFlight !== undefined) this.#inFlight.set(peer, inFlight - 1);
  }
}

/** A method that declares no scope, or a wrong one, is open to nobody: it is not added (types can be cast away). */
function assertGuarded({ name, scope, roles }: MethodDeclaration): void {
  const isForAgents = scope === 'agent' && Array.isArray(roles) && roles.every((role) => role === 'agent');
  const isKnown = scope === 'any' || isForAgents || operatorScopes.some((known) => known === scope);
  if (isKnown && (roles === undefined || (Array.isArray(roles) && roles.length > 0))) return;
  throw new GatewayError(
    'INVALID_REQUEST',
    `The method '${name}' declares the scope ${JSON.stringify(scope)} for ${JSON.stringify(roles ?? ['operator'])}; name one of ${operatorScopes.join(', ')}, any, or agent with the role agent.`,
  );
}

function assertAllowed(peer: Peer, { name, scope, roles = ['operator'] }: MethodDeclaration): void {
  if (peer.isRevoked) {
    throw new GatewayError(
      'FORBIDDEN',
      `${name}: the credential of this connection was taken away; nothing was changed.`,
    );
  }
  if (!roles.includes(peer.identity.role)) {
    throw new GatewayError(
      'FORBIDDEN',
      `${name} is for the role ${roles.join(' or ')}; this connection is ${peer.identity.role}.`,
    );
  }
  if (peer.identity.role === 'operator' && scope !== 'any' && scope !== 'connect' && scope !== 'agent')
    requireScope(peer, scope);
}

function requireScope(peer: Peer, scope: OperatorScope): void {
  if (peer.identity.role === 'operator' && allowsScope(peer.identity.scopes, scope)) return;
  throw new GatewayError('FORBIDDEN', `missing scope: ${scope}`, {
    details: { code: 'MISSING_SCOPE', missingScope: scope, requiredScopes: [scope] },
  });
}
