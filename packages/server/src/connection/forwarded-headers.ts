import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';
import { plainAddress } from './origin.ts';

/** More hops than this are not a chain of proxies. */
const maxHops = 32;
const singleForwardingHeaders: ReadonlySet<string> = new Set([
  'cf-connecting-ip',
  'client-ip',
  'fastly-client-ip',
  'fly-client-ip',
  'forwarded',
  'forwarded-for',
  'true-client-ip',
  'via',
  'x-client-ip',
  'x-cluster-client-ip',
  'x-envoy-external-address',
  'x-original-forwarded-for',
  'x-original-host',
  'x-real-ip',
]);

/** Whether anything in the headers says that someone passed the request on. Never true for a direct connection. */
export function isForwarded(headers: IncomingHttpHeaders): boolean {
  for (const name in headers) {
    if (name.startsWith('x-forwarded-') || name.startsWith('tailscale-') || singleForwardingHeaders.has(name))
      return true;
  }
  return false;
}

/** What proxies say of the way of a request. */
export interface ForwardedFacts {
  /** The addresses from the client on, nearest last; empty when none is named. `undefined` in it: one that hides itself. */
  chain: readonly (string | undefined)[];
  /** The name that the client used. */
  host?: string;
  isEncrypted: boolean;
}

/**
 * Reads `X-Forwarded-*` and RFC 7239's `Forwarded`. Undefined when they can't be read or contradict one another: a proxy
 * writes one of the two and passes on what a stranger wrote in the other.
 */
export function readForwarded(headers: IncomingHttpHeaders): ForwardedFacts | undefined {
  const old = plainChain(text(headers['x-forwarded-for']));
  const elements = forwardedElements(text(headers.forwarded));
  if (!old || !elements) return undefined;
  const chain = elements.map((element) => nodeAddress(element.get('for')));
  if (old.includes(null) || chain.includes(null)) return undefined;
  if (old.length > 0 && chain.length > 0 && old.at(-1) !== chain.at(-1)) return undefined;
  const host = lastOf(text(headers['x-forwarded-host'])) ?? elements.at(-1)?.get('host');
  const proto = lastOf(text(headers['x-forwarded-proto'])) ?? elements.at(-1)?.get('proto');
  return {
    chain: (old.length > 0 ? old : chain) as (string | undefined)[],
    ...(host === undefined ? {} : { host }),
    isEncrypted: proto?.toLowerCase() === 'https' || proto?.toLowerCase() === 'wss',
  };
}

function text(header: string | string[] | undefined): string {
  return Array.isArray(header) ? header.join(',') : (header ?? '');
}

function lastOf(list: string): string | undefined {
  return list.split(',').at(-1)?.trim() || undefined;
}

/** Undefined: too long. Null in it: garbage. */
function plainChain(header: string): (string | undefined | null)[] | undefined {
  if (header.trim() === '') return [];
  const nodes = header.split(',');
  return nodes.length > maxHops ? undefined : nodes.map((node) => nodeAddress(node.trim()));
}

/** An address without port, brackets and zone; undefined for a node that hides itself; null for garbage. */
function nodeAddress(node: string | undefined): string | undefined | null {
  if (node === undefined) return null;
  if (/^(?:unknown|_[\w.-]+)(?::[\w.-]+)?$/i.test(node)) return undefined;
  const match = /^(?:\[([^\]]+)\]|([^:]+))(?::\d{1,5})?$/.exec(node);
  const address = (match?.[1] ?? match?.[2] ?? node).replace(/%\w+$/, '');
  return isIP(address) === 0 ? null : plainAddress(address);
}

const pairPattern = /[ \t]*([\w!#$%&'*+.^`|~-]+)=(?:([\w!#$%&'*+.^`|~:-]+)|"((?:[^"\\]|\\.)*)")[ \t]*([;,]|$)/y;

/** The elements of a `Forwarded` header, their names in lower case. Undefined: not in the form of RFC 7239, or too long. */
function forwardedElements(header: string): Map<string, string>[] | undefined {
  if (header.trim() === '') return [];
  const elements: Map<string, string>[] = [];
  let element = new Map<string, string>();
  pairPattern.lastIndex = 0;
  for (;;) {
    const match = pairPattern.exec(header);
    if (!match) return undefined;
    const [, name = '', token, quoted = '', end] = match;
    element.set(name.toLowerCase(), token ?? quoted.replace(/\\(.)/g, '$1'));
    if (end === ';') continue;
    elements.push(element);
    element = new Map();
    if (end === '') return elements;
    if (elements.length >= maxHops) return undefined;
  }
}
