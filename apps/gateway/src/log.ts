import type { GatewayObserver } from '@openclaw/server';
import type { Logger } from 'pino';

/** How much is logged: each includes those before it. */
export const logLevels = ['silent', 'error', 'warn', 'info', 'debug', 'trace'] as const;
export type LogLevel = (typeof logLevels)[number];

export interface LogOptions {
  /** Default `info`. */
  level?: LogLevel | undefined;
  /** `json`: an object a line, for collectors; `text`: short lines for a person. Default `json`. */
  format?: 'json' | 'text' | undefined;
  /** Takes finished lines, each with its line break. Default stderr. */
  write?: ((text: string) => void) | undefined;
  /** Ms since 1970. */
  now: () => number;
}

/** What may stand in a line beside its words. */
type Fields = Record<string, string | number | boolean | readonly string[] | undefined>;

type Loud = Exclude<LogLevel, 'silent'>;

interface Line {
  level: Loud;
  time: string;
  event: string;
  message: string;
  fields: Fields;
}

/** Lines that wait at most for the logger to be loaded. */
const maxWaiting = 1_000;
const maxErrorLength = 500;

/**
 * The log of the program: one typed method per event, none of which takes what a client, a person or a model said. Lines
 * wait in memory until {@link ProgramLog.open}, so that loading the logger does not delay the start.
 */
export class ProgramLog {
  readonly #write: ((text: string) => void) | undefined;
  readonly #now: () => number;
  readonly #format: 'json' | 'text';
  #rank: number;
  #waiting: Line[] = [];
  /** Every known secret, or nothing. */
  #secrets: RegExp | undefined;
  readonly #known = new Set<string>();
  #logger: Logger | undefined;
  #loading: Promise<void> | undefined;
  #isOpen = false;

  constructor({ level = 'info', format = 'json', write, now }: LogOptions) {
    this.#rank = logLevels.indexOf(level);
    this.#format = format;
    this.#write = write;
    this.#now = now;
  }

  /** Writes what came before, and from now on what comes. The logger is loaded when there is something to write. */
  open(): Promise<void> {
    this.#isOpen = true;
    return this.#waiting.length > 0 ? this.#load() : Promise.resolve();
  }

  /** Resolves when every line so far is in the hands of the logger, which writes it at the latest when the process ends. */
  async settled(): Promise<void> {
    await this.#loading;
  }

  #load(): Promise<void> {
    this.#loading ??= import('./logger.ts').then(({ openLogger }) => {
      this.#logger = openLogger(this.#format, this.#write);
      for (const line of this.#waiting.splice(0)) this.#put(line);
    });
    return this.#loading;
  }

  /** The warnings that wait for a logger that was never opened, as lines: for a program that could not start. */
  unwritten(): string[] {
    const isText = this.#format === 'text';
    const warnings = this.#waiting.splice(0).filter(({ level }) => level === 'warn' || level === 'error');
    return warnings.map((line) => this.#plain(isText ? line.message : JSON.stringify(recordOf(line))));
  }

  /** Takes these texts, beside those named before, out of every line that is not written yet: the last net under everything else. */
  hide(secrets: readonly string[]): void {
    for (const secret of secrets) this.#known.add(secret);
    // Longer ones first: one may begin like another.
    const known = [...this.#known].sort((one, other) => other.length - one.length);
    const patterns = known.map((secret) => secret.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
    this.#secrets = patterns.length === 0 ? undefined : new RegExp(patterns.join('|'), 'g');
  }

  /** Changes how much is logged from now on. */
  setLevel(level: LogLevel): void {
    this.#rank = logLevels.indexOf(level);
  }

  listening(facts: { version: string; address: string; port: number; tookMs: number }): void {
    // A person reads the greeting, which says more.
    this.#add(this.#format === 'json' ? 'info' : 'debug', 'listening', 'the gateway listens', {
      ...facts,
      tookMs: rounded(facts.tookMs),
      pid: process.pid,
    });
  }

  stopped(): void {
    this.#add('info', 'stopped', 'the gateway has stopped', {});
  }

  /** An edited file that is not valid: each one, since the audit trail joins those of a minute, and somebody waits for it. */
  configRefused(reason: string): void {
    this.#add('warn', 'config.refused', auditWords['config.refused'] as string, { actor: 'config', reason });
  }

  /** Something that the person who runs the gateway should know. */
  warning(message: string, cause?: unknown): void {
    this.#add('warn', 'warning', message, cause === undefined ? {} : errorFields(cause));
  }

  /** What the gateway tells, as lines. */
  readonly observer: GatewayObserver = {
    warning: (message, cause) => this.warning(message, cause),
    audited: ({ action, ts: _ts, ...entry }) => {
      // Told already, see configRefused.
      if (action === 'config.refused' && entry.actor === 'config') return;
      const isRefusal = action.endsWith('.refused');
      this.#add(isRefusal ? 'warn' : 'info', action, auditWords[action] ?? action, entry);
    },
    runStarted: (run) => this.#add('debug', 'run.started', 'a run began', run),
    runEnded: ({ durationMs, firstTokenMs, ...run }) => {
      const isGood = run.outcome === 'ok' || run.outcome === 'aborted';
      this.#add(isGood ? 'debug' : 'warn', 'run.ended', isGood ? 'a run ended' : 'a run failed', {
        ...run,
        durationMs: rounded(durationMs),
        firstTokenMs: rounded(firstTokenMs),
      });
    },
    connectionOpened: (facts) => this.#add('debug', 'connection.opened', 'a connection got its hello', { ...facts }),
    connectionClosed: ({ durationMs, ...facts }) =>
      this.#add('debug', 'connection.closed', 'a connection ended', { ...facts, durationMs: rounded(durationMs) }),
    refused: (facts) => this.#add('debug', 'refused', 'somebody was not let in', { ...facts }),
    slowConsumer: (measure) => this.#add('debug', 'reader.slow', 'a reader does not keep up', { measure }),
    reset: (reason) => this.#add('debug', 'reader.reset', 'a live reader got a snapshot', { reason }),
    resumed: (outcome) => this.#add('trace', 'subscribed', 'a subscription began', { outcome }),
    replayed: (method) => this.#add('debug', 'replayed', 'a request was sent again', { method }),
    requestAnswered: (request) => {
      // Before anything is made of it: this is told for every request.
      if (this.#rank < traceRank) return;
      const { traceparent, durationMs, ...facts } = request;
      this.#add('trace', 'request', 'a request was answered', {
        ...facts,
        durationMs: rounded(durationMs),
        // The middle of `00-<trace id>-<span id>-<flags>`.
        traceId: traceparent?.slice(3, 35),
      });
    },
    draining: (reason) => this.#add('info', 'stopping', 'the gateway stops', { reason }),
  };

  #add(level: Loud, event: string, message: string, fields: Fields): void {
    if (logLevels.indexOf(level) > this.#rank) return;
    const time = new Date(this.#now()).toISOString();
    const line: Line = { level, time, event, message, fields };
    if (this.#logger) {
      this.#put(line);
      return;
    }
    if (this.#waiting.length < maxWaiting) this.#waiting.push(line);
    if (this.#isOpen) void this.#load();
  }

  #plain(text: string): string {
    return this.#secrets === undefined ? text : text.replaceAll(this.#secrets, '[secret]');
  }

  #plainFields(fields: Fields): Fields {
    if (this.#secrets === undefined) return fields;
    const plain = (value: Fields[string]): Fields[string] => {
      if (typeof value === 'string') return this.#plain(value);
      return typeof value === 'object' ? value.map((text) => this.#plain(text)) : value;
    };
    return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, plain(value)]));
  }

  #put(line: Line): void {
    const { level, message, ...record } = recordOf({ ...line, fields: this.#plainFields(line.fields) });
    this.#logger?.[line.level](record, this.#plain(line.message));
  }
}

const traceRank = logLevels.indexOf('trace');

const auditWords: Readonly<Record<string, string>> = {
  'connect.refused': 'a connection was refused',
  'http.refused': 'an HTTP request was refused',
  'hook.refused': 'a webhook was refused',
  'pairing.requested': 'a device asks to be let in',
  'pairing.approved': 'a device was let in',
  'pairing.rejected': 'a device was rejected',
  'device.paired': 'a device was paired',
  'device.removed': 'a device was removed',
  'device.token.rotated': 'the token of a device was replaced',
  'device.token.revoked': 'the tokens of a device were revoked',
  'setup.created': 'a setup code was made',
  'setup.used': 'a setup code was used',
  'token.created': 'a token was made',
  'token.revoked': 'a token was revoked',
  'approval.resolved': 'an approval was answered',
  'config.changed': 'the configuration was changed',
  'config.refused': 'a configuration was refused; the one before stays in use',
};

/** A line as the object that JSON shows. */
function recordOf({ level, time, event, message, fields }: Line): Record<string, unknown> {
  return { level, time, event, ...fields, message };
}

/** What may be told of an error: errors of model clients carry whole requests, keys included, in further fields. */
function errorFields(cause: unknown): Fields {
  if (!(cause instanceof Error)) return { error: String(cause).slice(0, maxErrorLength) };
  const { code } = cause as { code?: unknown };
  return {
    error: cause.message.slice(0, maxErrorLength),
    errorName: cause.name,
    ...(typeof code === 'string' || typeof code === 'number' ? { errorCode: code } : {}),
    // Where it happened, without the message that a stack begins with.
    stack: cause.stack
      ?.split('\n')
      .filter((line) => line.startsWith('    at '))
      .slice(0, 8)
      .map((line) => line.trim()),
  };
}

function rounded(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : Math.round(ms * 100) / 100;
}
