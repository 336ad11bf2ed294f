import type { DialOptions } from '../dialer.ts';

/** Where a connection leads. */
export interface Target {
  /** Name or address, without the brackets of IPv6. */
  host: string;
  port: number;
  isSecure: boolean;
}

/** One attempt of a dialer: its options, the target in the url, and what it shares with the attempts before. */
export interface Attempt extends DialOptions, Target {
  /** Aborted when the attempt is given up. */
  signal: AbortSignal;
  /** Told of every step that begins, in words that follow "while". */
  enter(step: string): void;
}

/** The target of a WebSocket url; undefined when it is none. */
export function targetOf(url: string): Target | undefined {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (!parsed?.hostname) return undefined;
  const isSecure = parsed.protocol === 'wss:';
  return {
    host: parsed.hostname.replace(/^\[|\]$/g, ''),
    port: Number(parsed.port) || (isSecure ? 443 : 80),
    isSecure,
  };
}

/** `host:port`, with brackets where IPv6 needs them. */
export function authority({ host, port }: Pick<Target, 'host' | 'port'>): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}
