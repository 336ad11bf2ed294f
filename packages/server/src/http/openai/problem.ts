import { type GatewayError, isGatewayError } from '@openclaw/protocol';
import { HttpProblem } from '../route.ts';

/** A problem in the shape that OpenAI's clients read. */
export function problemBody({ message, type }: { message: string; type: string }) {
  return { error: { message, type, code: null, param: null } };
}

/** A request that can't be served as it is; the message says what to change. */
export function badRequest(message: string): HttpProblem {
  return new HttpProblem(400, 'invalid_request_error', message);
}

/** What is not there, or is not the caller's to see. */
export function notFound(message: string): HttpProblem {
  return new HttpProblem(404, 'invalid_request_error', message);
}

/** A run that did not come to an answer. Sending it again by itself would start another run, so clients are told not to. */
export function failedRun(message: string): HttpProblem {
  return new HttpProblem(500, 'api_error', message, { 'x-should-retry': 'false' });
}

/** Runs `task`; what the gateway refuses becomes a problem with the fitting status. */
export async function withProblems<T>(task: () => Promise<T>): Promise<T> {
  try {
    return await task();
  } catch (error) {
    throw isGatewayError(error) ? asProblem(error) : error;
  }
}

function asProblem({ code, message, details, retryAfterMs }: GatewayError): HttpProblem {
  if (details?.code === 'IDEMPOTENCY_CONFLICT') {
    // Not 409: clients send that again by themselves, and it would be the same again.
    const told = 'This Idempotency-Key was used with another request; send a new key.';
    return new HttpProblem(422, 'invalid_request_error', told);
  }
  if (code === 'INVALID_REQUEST') return badRequest(message);
  if (code === 'FORBIDDEN') return new HttpProblem(403, 'forbidden', message);
  if (code === 'UNAVAILABLE') {
    const seconds = Math.ceil((retryAfterMs ?? 1_000) / 1_000);
    return new HttpProblem(503, 'unavailable', message, { 'retry-after': String(seconds) });
  }
  return failedRun(message);
}
