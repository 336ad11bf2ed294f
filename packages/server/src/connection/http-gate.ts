import type { IncomingMessage, ServerResponse } from 'node:http';
import { allowsScope, isGatewayError, type OperatorScope } from '@openclaw/protocol';
import { type HttpCaller, HttpProblem } from '../http/route.ts';
import type { AccessNote } from './host.ts';
import type { Remote } from './origin.ts';
import { credentialOf, type Proof, type Prover, principalOf } from './proof.ts';
import type { Revocation } from './revocation.ts';

/**
 * Judges the credentials of HTTP requests, by the same rules and for the same principals as a `connect`. Without a bearer
 * token it is whom a trusted proxy or Tailscale names, or, on a gateway without auth, anyone on this machine.
 */
export class HttpGate {
  readonly #prover: Prover;
  readonly #revocation: Revocation;
  readonly #note: (entry: AccessNote) => void;

  constructor({
    prover,
    revocation,
    note,
  }: {
    prover: Prover;
    revocation: Revocation;
    note: (entry: AccessNote) => void;
  }) {
    this.#prover = prover;
    this.#revocation = revocation;
    this.#note = note;
  }

  /** Who it is, until that is taken back: then the answer is cut. Rejects with an `HttpProblem`: 401, 403 for a scope that it lacks, 429 for whom has to wait, 503. */
  async authorize(
    request: Pick<IncomingMessage, 'headers'>,
    response: Pick<ServerResponse, 'once' | 'destroy' | 'destroyed'>,
    remote: Remote,
    scope: OperatorScope,
  ): Promise<HttpCaller> {
    try {
      return await this.#judge(request, response, remote, scope);
    } catch (error) {
      const problem = problemOf(error);
      if (!problem) throw error;
      this.#note({
        action: 'http.refused',
        actor: 'unknown',
        remoteIp: remote.address,
        code: problem.type,
        reason: problem.message,
      });
      throw problem;
    }
  }

  async #judge(
    { headers }: Pick<IncomingMessage, 'headers'>,
    response: Pick<ServerResponse, 'once' | 'destroy' | 'destroyed'>,
    remote: Remote,
    scope: OperatorScope,
  ): Promise<HttpCaller> {
    const token = bearerOf(headers.authorization);
    const proof = await this.#prover.prove({ token }, { remote, allowUnsignedDevice: true });
    const allowed = proof && this.#prover.allowed(credentialOf(proof));
    if (!proof || !allowed || proof.by === 'code') {
      throw unauthorized(
        token === undefined
          ? 'Send a token as "Authorization: Bearer <token>".'
          : 'The token is not valid here; send another as "Authorization: Bearer <token>".',
      );
    }
    if (proof.by === 'token' && proof.grant.role !== 'operator') throw wrongRole(proof);
    const scopes = new Set(allowed);
    if (allowsScope(scopes, scope)) {
      this.#revocation.watch(response, credentialOf(proof), scope);
      return { principal: principalOf(proof), scopes };
    }
    throw new HttpProblem(403, 'forbidden', `missing scope: ${scope}. Use a token that has it (tokens.create).`);
  }
}

/** What follows `Bearer` in the header. Another scheme is a proxy's own business and says nothing here. */
function bearerOf(header: string | undefined): string | undefined {
  return /^Bearer +(.+)$/i.exec(header ?? '')?.[1]?.trim();
}

function problemOf(error: unknown): HttpProblem | undefined {
  if (error instanceof HttpProblem) return error;
  if (!isGatewayError(error)) return undefined;
  const waitSeconds = String(Math.max(1, Math.ceil((error.retryAfterMs ?? 0) / 1_000)));
  if (error.details?.code === 'AUTH_RATE_LIMITED') {
    return new HttpProblem(429, 'rate_limited', 'Too many wrong credentials came from this address; wait.', {
      'retry-after': waitSeconds,
    });
  }
  if (error.retryable) return new HttpProblem(503, 'unavailable', error.message, { 'retry-after': waitSeconds });
  return unauthorized(error.message);
}

function unauthorized(message: string): HttpProblem {
  return new HttpProblem(401, 'unauthorized', message, { 'www-authenticate': 'Bearer' });
}

function wrongRole({ grant }: Extract<Proof, { by: 'token' }>): HttpProblem {
  return new HttpProblem(403, 'forbidden', `This token is for the role ${grant.role}; use an operator's over HTTP.`);
}
