import { BlockList, isIP } from 'node:net';
import type { Target } from './target.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The proxy that the environment names for a target: `HTTPS_PROXY` for `wss://`, `HTTP_PROXY` for `ws://`, else `ALL_PROXY`, in
 * small letters first. Never one for this machine itself, nor for what `NO_PROXY` lists.
 */
export function proxyFor(target: Target, environment: Environment): string | undefined {
  const read = (name: string) => environment[name] || environment[name.toUpperCase()] || undefined;
  const proxy = read(target.isSecure ? 'https_proxy' : 'http_proxy') ?? read('all_proxy');
  if (proxy === undefined || isLoopback(target.host)) return undefined;
  if (isExempt(target, read('no_proxy') ?? '')) return undefined;
  const url = /^[a-z][a-z0-9+.-]*:\/\//i.test(proxy) ? proxy : `http://${proxy}`;
  return URL.canParse(url) ? url : 'invalid://proxy';
}

function isLoopback(host: string): boolean {
  return /^(localhost|.*\.localhost|::1|127(\.\d+){3})$/i.test(host);
}

/**
 * Whether `NO_PROXY` lists the target: `*`, names with their subdomains (`.example.com` and `*.example.com` too), addresses,
 * CIDR ranges, each with a port or without.
 */
export function isExempt({ host, port }: Target, list: string): boolean {
  return list.split(/[\s,]+/).some((entry) => {
    if (entry === '') return false;
    if (entry === '*') return true;
    const [, bracketed, plain = '', listedPort] =
      /^(?:\[([^\]]+)\]|((?:[^:]*:){2,}[^:]*|[^:]*))(?::(\d+))?$/.exec(entry) ?? [];
    if (listedPort !== undefined && Number(listedPort) !== port) return false;
    const listed = (bracketed ?? plain).toLowerCase();
    if (isIP(host)) return listed.includes('/') ? isInRange(host, listed) : isSameAddress(host, listed);
    const name = listed.replace(/^\*?\./, '');
    const asked = host.toLowerCase().replace(/\.$/, '');
    return name !== '' && (asked === name || asked.endsWith(`.${name}`));
  });
}

function isInRange(host: string, range: string): boolean {
  const [network = '', bits = ''] = range.split('/');
  const family = isIP(network);
  const prefix = Number(bits);
  if (family === 0 || !/^\d+$/.test(bits) || prefix > (family === 6 ? 128 : 32)) return false;
  const list = new BlockList();
  list.addSubnet(network, prefix, family === 6 ? 'ipv6' : 'ipv4');
  return list.check(host, isIP(host) === 6 ? 'ipv6' : 'ipv4');
}

function isSameAddress(host: string, listed: string): boolean {
  return isIP(listed) !== 0 && isInRange(host, `${listed}/${isIP(listed) === 6 ? 128 : 32}`);
}
