import {
  allowsScope,
  GatewayError,
  isGatewayError,
  type OperatorScope,
  type RequestFrame,
  validationProblem,
} from '@openclaw/protocol';
import type { Peer } from '../connection/peer.ts';
import type { Committer } from '../streams/committer.ts';
import { AtRelease, type Call, type MethodImplementation } from './method.ts';

/** Bytes that may wait for their commit before requests are refused. */
const maxWaitingBytes = 64 * 1_048_576;

export interface DispatcherOptions {
  committer: Committer;
  /** Requests of one connection that may be worked on at a time. Default 256. */
  maxInFlight?: number;
  /** Told of errors that are no `GatewayError`: faults of this program. */
  onFault: (method: string, error: unknown) => void;
}

/** The method table: finds the method, checks role, scope and params, calls it, and answers after the commit. */
export class Dispatcher {
  readonly #committer: Committer;
  readonly #maxInFlight: number;
  readonly #onFault: (method: string, error: unknown) => void;
  readonly #methods = new Map<string, MethodImplementation>();
  readonly #inFlight = new Map<Peer, number>();

  constructor({ committer, maxInFlight = 256, onFault }: DispatcherOptions) {
    this.#committer = committer;
    this.#maxInFlight = maxInFlight;
    this.#onFault = onFault;
  }

  /** Adds methods; a name that is taken is an error of the caller. */
  add(implementations: readonly MethodImplementation[]): void {
    for (const implementation of implementations) {
      const { name } = implementation.declaration;
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
    const inFlight = this.#inFlight.get(peer) ?? 0;
    if (inFlight >= this.#maxInFlight) {
      this.#refuse(
        peer,
        frame.id,
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
      this.#refuse(peer, frame.id, new GatewayError('UNAVAILABLE', told, { retryable: true, retryAfterMs: 1_000 }));
      return;
    }
    this.#inFlight.set(peer, inFlight + 1);
    try {
      const outcome = this.#call(peer, frame);
      if (outcome instanceof Promise) {
        outcome.then(
          (result) => this.#answer(peer, frame, result),
          (error: unknown) => this.#fail(peer, frame, error),
        );
      } else {
        this.#answer(peer, frame, outcome);
      }
    } catch (error) {
      this.#fail(peer, frame, error);
    }
  }

  forget(peer: Peer): void {
    this.#inFlight.delete(peer);
  }

  #call(peer: Peer, frame: RequestFrame): unknown {
    const implementation = this.#methods.get(frame.method);
    if (!implementation) {
      requireScope(peer, 'operator.admin');
      throw new GatewayError('INVALID_REQUEST', `unknown method: ${frame.method.slice(0, 128)}`);
    }
    const { declaration, handle } = implementation;
    const roles = declaration.roles ?? ['operator'];
    if (!roles.includes(peer.identity.role)) {
      throw new GatewayError(
        'FORBIDDEN',
        `${declaration.name} is for the role ${roles.join(' or ')}; this connection is ${peer.identity.role}.`,
      );
    }
    const { scope } = declaration;
    if (peer.identity.role === 'operator' && scope !== 'any' && scope !== 'connect' && scope !== 'agent')
      requireScope(peer, scope);
    const parsed = declaration.params.safeParse(frame.params ?? {}, { reportInput: true });
    if (!parsed.success) {
      throw new GatewayError(
        'INVALID_REQUEST',
        `invalid ${declaration.name} params: ${validationProblem(parsed.error)}`,
      );
    }
    const call: Call = {
      peer,
      requestId: frame.id,
      ...(frame.traceparent === undefined ? {} : { traceparent: frame.traceparent }),
      respondAgain: (payload) => {
        const json = JSON.stringify(payload);
        this.#committer.release(() => peer.respond(frame.id, true, json));
      },
    };
    return handle(parsed.data, call);
  }

  #answer(peer: Peer, { id, method }: RequestFrame, outcome: unknown): void {
    this.#committer.release(
      () => {
        this.#settled(peer);
        if (!(outcome instanceof AtRelease)) {
          peer.respond(id, true, JSON.stringify(outcome));
          return;
        }
        let settled: ReturnType<typeof outcome.settle>;
        try {
          settled = outcome.settle();
        } catch (error) {
          this.#refuse(peer, id, this.#refusalOf(method, error));
          return;
        }
        peer.respond(id, true, JSON.stringify(settled.result));
        settled.after?.();
      },
      (error) => {
        this.#settled(peer);
        this.#refuse(peer, id, error as GatewayError);
      },
    );
  }

  #fail(peer: Peer, frame: RequestFrame, error: unknown): void {
    const refusal = this.#refusalOf(frame.method, error);
    // A refusal may rest on what is not committed yet.
    this.#committer.release(
      () => {
        this.#settled(peer);
        this.#refuse(peer, frame.id, refusal);
      },
      (failure) => {
        this.#settled(peer);
        this.#refuse(peer, frame.id, failure as GatewayError);
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

  #refuse(peer: Peer, id: string, error: GatewayError): void {
    peer.respond(id, false, JSON.stringify(error.toWire()));
  }

  #settled(peer: Peer): void {
    const inFlight = this.#inFlight.get(peer);
    if (inFlight !== undefined) this.#inFlight.set(peer, inFlight - 1);
  }
}

function requireScope(peer: Peer, scope: OperatorScope): void {
  if (peer.identity.role === 'operator' && allowsScope(peer.identity.scopes, scope)) return;
  throw new GatewayError('FORBIDDEN', `missing scope: ${scope}`, {
    details: { code: 'MISSING_SCOPE', missingScope: scope, requiredScopes: [scope] },
  });
}
