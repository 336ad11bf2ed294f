import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { DialCode, DialFailure } from '../dial-codes.ts';
import { dialFailure } from './dial-failure.ts';
import { type Attempt, authority } from './target.ts';

const maxBodyBytes = 4_096;
const maxRetryAfterMs = 600_000;

/** An answer in place of 101. */
export interface HttpAnswer {
  status: number;
  headers: IncomingHttpHeaders;
  /** Its beginning. */
  body: string;
}

/** What the gateway's own refusals are about, and what to do. */
const ownRefusals: Readonly<Record<string, string>> = {
  proxy_attribution_required:
    'The gateway does not trust the proxy in between: add its address to `trustedProxies` of the gateway.',
  host_not_allowed: 'The gateway does not know this host name: add it to `allowedHosts` of the gateway.',
  headers_too_many: 'Send fewer `headers`, or raise `limits.maxHeaders` of the gateway.',
  origin_not_allowed: 'The gateway does not know this origin: add it to `allowedOrigins` of the gateway.',
};

/** What an answer other than 101 says about the attempt. Its text is never repeated: it may echo what was sent. */
export function answerFailure(answer: HttpAnswer, attempt: Attempt): DialFailure {
  const { status, headers, body } = answer;
  const type = errorType(body);
  const code = codeOf(answer);
  const detail = [authority(attempt), `HTTP ${status}`, type, code === 'redirected' && placeOf(headers.location)];
  const nextStep = type === undefined ? undefined : ownRefusals[type];
  return dialFailure(code, detail.filter(Boolean).join(', '), {
    status,
    ...retryAfterMs(headers),
    ...(nextStep === undefined ? {} : { nextStep }),
  });
}

function codeOf({ status, headers, body }: HttpAnswer): DialCode {
  switch (status) {
    case 401:
      return 'unauthorized';
    case 403:
    case 431:
      return 'forbidden';
    case 404:
      return 'not-found';
    case 407:
      return 'proxy-auth-required';
    case 426:
      return 'upgrade-stripped';
    case 429:
      return 'rate-limited';
  }
  if (status >= 500) return 'bad-gateway';
  if (status >= 300 && status < 400 && headers.location !== undefined) return 'redirected';
  const isPage = /\bhtml\b/i.test(headers['content-type'] ?? '') || /^\s*<(!doctype|html)/i.test(body);
  // The page of a gateway, where a page was not asked for: it was the gateway that did not hear of the upgrade.
  if (isPage && !/openclaw/i.test(body)) return 'html-answer';
  return status < 400 || isPage ? 'upgrade-stripped' : 'not-a-gateway';
}

/** What `retry-after` asks for, up to ten minutes. */
export function retryAfterMs(headers: IncomingHttpHeaders): { retryAfterMs?: number } {
  const asked = headers['retry-after'];
  if (asked === undefined) return {};
  const ms = /^\d+$/.test(asked) ? Number(asked) * 1_000 : Date.parse(asked) - Date.now();
  return ms > 0 ? { retryAfterMs: Math.min(ms, maxRetryAfterMs) } : {};
}

/** Reads as much of an answer as is needed to know it by, and calls `done` once. */
export function readBeginning(answer: IncomingMessage, done: (body: string) => void): void {
  let body = '';
  const finish = () => {
    answer.off('data', take);
    done(body);
  };
  const take = (chunk: Buffer) => {
    body += chunk.toString('latin1');
    if (body.length >= maxBodyBytes) answer.destroy();
  };
  answer.on('data', take);
  answer.on('error', () => {});
  answer.once('close', finish);
}

/** The `error.type` of a gateway's answer. */
function errorType(body: string): string | undefined {
  try {
    const { type } = (JSON.parse(body) as { error: { type: unknown } }).error;
    return typeof type === 'string' && /^[a-z_]{1,64}$/.test(type) ? type : undefined;
  } catch {
    return undefined;
  }
}

/** Where a redirection leads: without the path, which may hold what was sent. */
function placeOf(location: string | undefined): string | undefined {
  return location !== undefined && URL.canParse(location) ? `to ${new URL(location).origin}` : undefined;
}
