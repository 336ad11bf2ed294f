import type { ErrorKind } from '@openclaw/plugin-sdk';
import type { ModelEndpoint } from './config.ts';

/** A model call that failed, with words for a person and, where it is known, the kind. Never holds the key. */
export class ModelFailure extends Error {
  readonly errorKind: ErrorKind;

  constructor(message: string, errorKind: ErrorKind, cause?: unknown) {
    super(message, { cause });
    this.name = 'ModelFailure';
    this.errorKind = errorKind;
  }
}

interface CallError {
  message?: string;
  statusCode?: number;
  responseHeaders?: Record<string, string>;
  lastError?: unknown;
  cause?: unknown;
  code?: string;
  name?: string;
}

/** What went wrong with a model call, in words that say what to do next. */
export function modelFailure(error: unknown, { baseUrl, model, apiKey }: ModelEndpoint): ModelFailure {
  const call = deepest(error);
  const host = URL.canParse(baseUrl) ? new URL(baseUrl).host : baseUrl;
  const said = redact(call.message ?? String(error), apiKey).slice(0, 600);
  const fail = (words: string, kind: ErrorKind = 'unknown') => new ModelFailure(words, kind, error);
  const status = call.statusCode;
  if (status === 429) {
    const wait = call.responseHeaders?.['retry-after'];
    const when = wait && /^\d+$/.test(wait) ? `in ${wait} s` : 'a little later';
    return fail(`The model at ${host} takes no more requests for now (429): ${said}. Try again ${when}.`, 'rate_limit');
  }
  if (status === 401 || status === 403) {
    return fail(`The model at ${host} refused the key (${status}): ${said}. Check the key that is configured for it.`);
  }
  if (status === 404) {
    return fail(
      `${host} knows no model ${model ?? ''} at this address (404): ${said}. Check the model's name and the base URL ${baseUrl}.`,
    );
  }
  if (/context.{0,20}(length|window)|too (long|many tokens)|maximum.{0,30}tokens/i.test(said)) {
    return fail(
      `The conversation is too long for the model ${model ?? ''}: ${said}. Lower contextTokens, or begin a new session.`,
      'context_length',
    );
  }
  if (status === 408 || status === 504 || call.name === 'TimeoutError') {
    return fail(`The model at ${host} did not answer in time: ${said}. Try again.`, 'timeout');
  }
  if (status !== undefined && status >= 400)
    return fail(`The model at ${host} answered with an error (${status}): ${said}.`);
  if (isUnreachable(error) || said.startsWith('Cannot connect')) {
    return fail(`No model answers at ${baseUrl}: ${said}. Check that it is running and that the address is right.`);
  }
  // A good status and then an error: the body broke off, or was never what it should be.
  const isCut = status !== undefined || /terminated|aborted|socket|ECONNRESET|premature|other side closed/i.test(said);
  if (isCut) return cutOff(said, error);
  return fail(`The model at ${host} failed: ${said}.`);
}

/** The answer ended before the model said that it was done. */
export function cutOff(said: string, cause?: unknown): ModelFailure {
  return new ModelFailure(
    `The connection to the model was cut in the middle of its answer (${said}). Send the message again.`,
    'unknown',
    cause,
  );
}

function isUnreachable(error: unknown): boolean {
  for (let next = error, depth = 0; next && depth < 6; depth++) {
    const { code, lastError, cause } = next as CallError;
    if (code && /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|UND_ERR_CONNECT_TIMEOUT)$/.test(code))
      return true;
    next = lastError ?? cause;
  }
  return false;
}

/** The error of the last try, inside the one that counts them. */
function deepest(error: unknown): CallError {
  const call = (typeof error === 'object' && error !== null ? error : { message: String(error) }) as CallError;
  return call.lastError ? deepest(call.lastError) : call;
}

function redact(text: string, apiKey: string | undefined): string {
  return apiKey && apiKey.length >= 4 ? text.replaceAll(apiKey, '[key]') : text;
}
