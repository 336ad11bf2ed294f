import type { DialCode, DialFailure } from '../dial-codes.ts';
import { unknownFailure } from '../dial-codes.ts';

/** Every code, with what it means and what to do about it. The table of the README is made of it, and a test compares them. */
export const dialCodes: Readonly<Record<DialCode, readonly [meaning: string, nextStep: string]>> = {
  unknown: [unknownFailure.cause, unknownFailure.nextStep],
  timeout: ['Nothing answered in time', 'Check host, port and network; a firewall may drop packets.'],
  'dns-failed': ['The host name has no address', 'Check the name in the url, and the DNS of this machine.'],
  refused: ['Nothing listens at that address', 'Start the gateway, or correct host and port of the url.'],
  unreachable: ['There is no way to that address', 'Check the network, the VPN and the address.'],
  reset: [
    'The connection was cut before an answer came',
    'A firewall may forbid it; where the port speaks TLS, use wss://.',
  ],
  'tls-failed': ['No TLS connection came about', 'Check that the port speaks TLS; where it does not, use ws://.'],
  'tls-untrusted': [
    'The certificate of the gateway is not trusted',
    'Give its CA as `ca`, or its fingerprint as `pin`; renew it if it has expired; use a name that it is made for.',
  ],
  'tls-pin-mismatch': [
    'The certificate is not the pinned one, so nothing was sent',
    'Compare `pin` with the one that the gateway shows. If that has not changed, someone is in between.',
  ],
  'proxy-unreachable': ['The proxy can not be reached', 'Check `proxy`, or HTTPS_PROXY, HTTP_PROXY and ALL_PROXY.'],
  'proxy-unsupported': [
    'The proxy is of a kind that is not supported',
    'Give an http:// or https:// proxy, or list the gateway in NO_PROXY.',
  ],
  'proxy-auth-required': [
    'The proxy asks for credentials',
    'Put them into its address: http://user:password@host:port.',
  ],
  'proxy-refused': [
    'The proxy refused to connect to the gateway',
    'Ask whoever runs it to allow CONNECT to the gateway, or list the gateway in NO_PROXY.',
  ],
  'upgrade-stripped': [
    'The answer came without the upgrade to WebSocket',
    'Let the proxy in between pass the headers Upgrade and Connection on.',
  ],
  redirected: ['The answer was a redirection', 'Use the address that it leads to, or sign in to this network first.'],
  'html-answer': [
    'The answer was a web page',
    'Sign in to this network if it asks for that; else correct host and port of the url.',
  ],
  unauthorized: [
    'Something before the gateway asks for credentials',
    'Give what the proxy in between wants by `headers`, or in the url.',
  ],
  forbidden: ['The connection was forbidden before the gateway was asked', 'Ask whoever runs the proxy or firewall.'],
  'not-found': ['There is nothing at that path', 'Correct the path of the url; where there is a proxy, its rules.'],
  'rate-limited': ['There were too many attempts', 'Wait; the client tries again by itself.'],
  'bad-gateway': [
    'Something answers for the gateway, which is away or busy',
    'Wait, the client tries again by itself; if it lasts, look whether the gateway runs.',
  ],
  'not-a-gateway': ['Something answered that is no gateway', 'Check host, port and path of the url.'],
  'cut-after-upgrade': [
    'The connection was cut before the gateway said anything',
    'Something in between may not pass WebSockets on: use wss://, or another network; else see the log of the gateway.',
  ],
};

/** A failure as the table describes it; `detail` follows the meaning in brackets. */
export function dialFailure(code: DialCode, detail: string, more: Partial<DialFailure> = {}): DialFailure {
  const [meaning, nextStep] = dialCodes[code];
  return { code, cause: `${meaning} (${detail})`, nextStep, ...more };
}
