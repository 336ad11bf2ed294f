import type { Dice } from './dice.ts';
import { JsonValues } from './json-values.ts';
import { mutateText, mutateValue } from './mutations.ts';

const paths = [
  '/',
  '/health',
  '/healthz',
  '/ready',
  '/readyz',
  '/metrics',
  '/protocol.schema.json',
  '/asyncapi.json',
  '/hooks/wake',
  '/hooks/agent',
  '/hooks/mine',
  '/hooks/',
  '/v1/models',
  '/v1/chat/completions',
  '/v1/responses',
  '/v1/responses/resp_1',
  '/media',
  '/media/',
  '/uploads',
  '/index.html',
  '/assets/',
  '/channels/telegram/main/webhook',
];

const traversals = [
  '/../../../../etc/passwd',
  '/..%2f..%2f..%2fetc/passwd',
  '/%2e%2e/%2e%2e/etc/passwd',
  '/%252e%252e/secret.txt',
  '/..%5c..%5csecret.txt',
  '/assets/../../secret.txt',
  '/./././index.html',
  '//etc/passwd',
  '//evil.test/',
  '/\\evil.test',
  '/%00',
  '/index.html%00.png',
  '/.git/config',
  '/.env',
  '/%c0%ae%c0%ae/secret.txt',
  '/%ff%fe',
  '/%',
  '/%zz',
  '/;/index.html',
  'http://evil.test/health',
  'http://127.0.0.1/health',
  'https://evil.test@127.0.0.1/',
  'file:///etc/passwd',
  '*',
  '?',
  '#',
  'evil.test:80',
];

const verbs = [
  'GET',
  'GET',
  'GET',
  'POST',
  'HEAD',
  'PUT',
  'DELETE',
  'OPTIONS',
  'TRACE',
  'CONNECT',
  'PATCH',
  'get',
  'GETT',
  'PRI',
  'M-SEARCH',
  '',
];
const hosts = [
  '127.0.0.1',
  'localhost',
  '[::1]',
  'evil.test',
  'localhost.evil.test',
  'evil.localhost',
  '',
  '127.0.0.1:99999',
  'a@b',
  '127.1',
  '0x7f000001',
  'LOCALHOST.',
  '127.0.0.1, evil.test',
];
const origins = [
  'null',
  'https://evil.test',
  'http://127.0.0.1',
  'http://localhost',
  'capacitor://localhost',
  'file://',
  'http://127.0.0.1.evil.test',
  'http://[::1]',
  '',
  '*',
  'http://127.0.0.1:1\u00e9',
];
/** What a request may claim of where it comes from, for use in any of the headers that say so. */
export const forwarded = [
  '1.2.3.4',
  '127.0.0.1',
  '127.0.0.1, 1.2.3.4',
  '::1',
  '"[::1]"',
  'unknown',
  '',
  ','.repeat(300),
  '127.0.0.1\t',
  '999.1.1.1',
  'for=1.2.3.4;proto=https;host=localhost',
  'for="[2001:db8::1]:99", for=_hidden',
  'for="1.2.3.4\\',
  'ada@example.com',
  'a'.repeat(3_000),
];

/** What a request of the fuzzer may know: a credential that opens nothing of interest, and names of what exists. */
export interface HttpKnowledge {
  credentials: readonly string[];
  words: readonly string[];
}

/** One or more HTTP requests as they go on the wire, right or wrong; or an upgrade with WebSocket frames behind it. */
export function httpBytes(dice: Dice, knowledge: HttpKnowledge): Buffer {
  if (dice.chance(0.15))
    return Buffer.concat([Buffer.from(goodUpgrade), ...dice.times(1 + dice.below(6), () => webSocketFrame(dice))]);
  if (dice.chance(0.2)) return aimedRequest(dice, knowledge);
  const requests = dice.times(dice.chance(0.15) ? 2 + dice.below(3) : 1, () => oneRequest(dice, knowledge));
  const text = requests.join('');
  const bytes = Buffer.from(text, 'latin1');
  if (dice.chance(0.15)) return bytes.subarray(0, dice.below(bytes.length + 1));
  if (dice.chance(0.15))
    for (let flips = 1 + dice.below(4); flips > 0; flips--) bytes[dice.below(bytes.length)] = dice.below(256);
  return bytes;
}

function oneRequest(dice: Dice, { credentials, words }: HttpKnowledge): string {
  const isUpgrade = dice.chance(0.25);
  const verb = dice.chance(0.8) ? (isUpgrade ? 'GET' : dice.pick(['GET', 'POST', 'HEAD'])) : dice.pick(verbs);
  const version = dice.chance(0.93)
    ? 'HTTP/1.1'
    : dice.pick(['HTTP/1.0', 'HTTP/0.9', 'HTTP/2.0', 'HTTP/1.1 ', 'http/1.1', '']);
  const headers: [string, string][] = [['Host', dice.chance(0.75) ? '127.0.0.1' : dice.pick(hosts)]];
  if (dice.chance(0.05)) headers.length = 0;
  if (dice.chance(0.05)) headers.push(['Host', dice.pick(hosts)]);
  if (dice.chance(0.3)) headers.push(['Origin', dice.pick(origins)]);
  if (dice.chance(0.25))
    headers.push([
      dice.pick([
        'X-Forwarded-For',
        'Forwarded',
        'X-Real-IP',
        'X-Forwarded-Host',
        'X-Forwarded-Proto',
        'Tailscale-User-Login',
        'CF-Connecting-IP',
        'Via',
      ]),
      dice.pick(forwarded),
    ]);
  if (dice.chance(0.4)) headers.push(['Authorization', authorization(dice, credentials)]);
  if (dice.chance(0.15))
    headers.push([
      'Range',
      dice.pick([
        'bytes=0-0',
        'bytes=-1',
        'bytes=5-1',
        'bytes=0-99999999999999999999',
        'bytes=0-1,2-3,4-5',
        'rows=1',
        'bytes=',
        'bytes=a-b',
      ]),
    ]);
  if (dice.chance(0.1))
    headers.push([
      'traceparent',
      dice.pick(['00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', 'ff-0-0-0', '00', 'x'.repeat(500)]),
    ]);
  if (dice.chance(0.1)) headers.push(['Idempotency-Key', dice.pick(words)]);
  if (dice.chance(0.1)) headers.push(['Expect', dice.pick(['100-continue', '200-ok'])]);
  if (dice.chance(0.05)) headers.push(['Content-Encoding', dice.pick(['gzip', 'br', 'identity', 'zip'])]);
  if (dice.chance(0.05)) headers.push(['X-Long', 'a'.repeat(dice.below(20_000))]);
  if (dice.chance(0.03)) headers.push(...dice.times(300, (index): [string, string] => [`X-${index}`, 'v']));
  if (dice.chance(0.04))
    headers.push([
      dice.pick(['X Bad', 'X\u0000', 'X:', '', '__proto__', 'constructor']),
      dice.pick(['a\u0000b', 'a\rb', '\u00ff', ' ']),
    ]);
  if (isUpgrade) headers.push(...upgradeHeaders(dice));
  const body = isUpgrade ? '' : bodyOf(dice, words, headers, verb);
  const lines = headers.map(([name, value]) => `${name}: ${value}`);
  const end = dice.chance(0.97) ? '\r\n' : dice.pick(['\n', '\r', '\r\n ']);
  return `${verb} ${target(dice, words)} ${version}${end}${lines.join(end)}${lines.length > 0 ? end : ''}${end}${body}`;
}

/** A request that is right in everything but its body: it gets as far as requests get. */
function aimedRequest(dice: Dice, { credentials, words }: HttpKnowledge): Buffer {
  const body = Buffer.from(dice.chance(0.1) ? mutateText(dice, jsonBody(dice, words)) : jsonBody(dice, words));
  const path = dice.pick([
    '/v1/chat/completions',
    '/v1/responses',
    '/hooks/wake',
    '/hooks/agent',
    '/hooks/mine',
    '/media',
  ]);
  const headers = [
    'Host: 127.0.0.1',
    `Authorization: Bearer ${dice.pick(credentials)}`,
    `Content-Type: ${path === '/media' ? 'text/plain' : 'application/json'}`,
    `Content-Length: ${body.length}`,
  ];
  return Buffer.concat([Buffer.from(`POST ${path} HTTP/1.1\r\n${headers.join('\r\n')}\r\n\r\n`), body]);
}

function jsonBody(dice: Dice, words: readonly string[]): string {
  const values = new JsonValues(dice, words);
  const good = {
    model: 'openclaw',
    input: dice.pick([dice.pick(words), [{ role: 'user', content: [{ type: 'input_text', text: dice.pick(words) }] }]]),
    messages: [{ role: 'user', content: dice.pick([dice.pick(words), [{ type: 'text', text: dice.pick(words) }]]) }],
    message: dice.pick(words),
    text: dice.pick(words),
    stream: dice.chance(0.3),
    background: dice.chance(0.5),
  };
  return JSON.stringify(dice.chance(0.4) ? good : mutateValue(dice, values, good));
}

const goodUpgrade =
  'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n';

/** A frame with any opcode, any bits and any idea of its length; what is in it may be JSON, or no UTF-8. */
function webSocketFrame(dice: Dice): Buffer {
  const payload = dice.chance(0.5)
    ? Buffer.from(
        JSON.stringify({ type: 'req', id: '1', method: dice.pick(['connect', 'ping', 'health']), params: {} }),
      )
    : Buffer.from(dice.times(dice.below(200), () => dice.below(256)));
  const bits = dice.chance(0.6) ? 0x80 : dice.below(16) << 4;
  const opcode = dice.chance(0.6) ? dice.pick([1, 1, 2, 0]) : dice.below(16);
  const isMasked = dice.chance(0.9);
  const told = dice.chance(0.85) ? payload.length : dice.pick([0, 125, 126, 65_535, 2 ** 31, 2 ** 53]);
  const head = Buffer.alloc(told < 126 ? 2 : told < 65_536 ? 4 : 10);
  head[0] = bits | opcode;
  head[1] = (isMasked ? 0x80 : 0) | (told < 126 ? told : told < 65_536 ? 126 : 127);
  if (head.length === 4) head.writeUInt16BE(told, 2);
  if (head.length === 10) head.writeBigUInt64BE(BigInt(told), 2);
  // A mask of zeroes: the payload is what it is.
  return Buffer.concat([head, Buffer.alloc(isMasked ? 4 : 0), payload]);
}

function target(dice: Dice, words: readonly string[]): string {
  const path = dice.chance(0.6)
    ? dice.pick(paths)
    : dice.chance(0.7)
      ? dice.pick(traversals)
      : `/${encodeURIComponent(dice.pick(words).toWellFormed())}`;
  if (dice.chance(0.1)) return `${path}${encodeURIComponent(dice.pick(words).toWellFormed())}`;
  if (dice.chance(0.15))
    return `${path}?${dice.pick(['token=x', 'a=b&a=c', '=&=', '__proto__[x]=1', 'starting_after=-1', 'stream=true', '%', `q=${'x'.repeat(3_000)}`])}`;
  return dice.chance(0.02) ? `/${'a'.repeat(20_000)}` : path;
}

function authorization(dice: Dice, credentials: readonly string[]): string {
  const credential = dice.pick([...credentials, 'wrong', '', ' ', 'undefined', 'null', 'x'.repeat(5_000)]);
  return `${dice.pick(['Bearer', 'Bearer', 'bearer', 'Basic', 'Bearer ', '', 'Digest'])} ${credential}`;
}

function upgradeHeaders(dice: Dice): [string, string][] {
  const headers: [string, string][] = [
    ['Connection', dice.pick(['Upgrade', 'upgrade', 'keep-alive, Upgrade', 'close', 'Upgrade, close'])],
    ['Upgrade', dice.pick(['websocket', 'WebSocket', 'h2c', 'websocket, h2c', ''])],
    ['Sec-WebSocket-Key', dice.pick(['dGhlIHNhbXBsZSBub25jZQ==', '', 'short', 'x'.repeat(1_000), '!'.repeat(24)])],
    ['Sec-WebSocket-Version', dice.pick(['13', '13', '13', '8', '0', '13, 8', '-1', ''])],
  ];
  if (dice.chance(0.3))
    headers.push(['Sec-WebSocket-Protocol', dice.pick(['', ',', 'a,a', 'token.secret', '__proto__', 'a b'])]);
  if (dice.chance(0.3))
    headers.push([
      'Sec-WebSocket-Extensions',
      dice.pick([
        'permessage-deflate',
        'permessage-deflate; client_max_window_bits=99',
        '__proto__',
        'constructor; a="b',
        ';;;',
        'x; '.repeat(200),
      ]),
    ]);
  return headers.filter(() => dice.chance(0.95));
}

function bodyOf(dice: Dice, words: readonly string[], headers: [string, string][], verb: string): string {
  if (verb === 'GET' && dice.chance(0.85)) return '';
  if (dice.chance(0.6))
    headers.push([
      'Content-Type',
      dice.pick([
        'application/json',
        'text/plain',
        'multipart/form-data; boundary=x',
        'application/json; charset=utf-16',
        'image/png',
        '',
      ]),
    ]);
  const json = jsonBody(dice, words);
  const body = dice.pick([
    json,
    json,
    '{',
    '[]',
    'null',
    '',
    '{"__proto__":{"a":1}}',
    '['.repeat(5_000),
    '\u00ff\u00fe',
    '--x\r\ncontent-disposition: form-data; name="f"\r\n\r\na\r\n--x--',
  ]);
  switch (dice.below(12)) {
    case 0:
      headers.push([
        'Content-Length',
        dice.pick([
          '-1',
          '+5',
          '5, 5',
          '5, 6',
          '1e3',
          '0x5',
          '99999999999999999999',
          ' ',
          String(body.length + 10),
          '1073741824',
        ]),
      ]);
      return body;
    case 1:
      headers.push(['Content-Length', String(body.length)], ['Content-Length', String(body.length + 1)]);
      return body;
    case 2:
      headers.push(
        ['Content-Length', '4'],
        [
          'Transfer-Encoding',
          dice.pick(['chunked', 'Chunked', ' chunked', 'identity', 'chunked, identity', 'xchunked', 'gzip, chunked']),
        ],
      );
      return `5\r\nhello\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`;
    case 3:
      headers.push(['Transfer-Encoding', 'chunked']);
      return `${dice.pick(['5', '05', '5;a=b', 'ffffffffffffffff', '-1', 'g', '0x5'])}\r\n${dice.pick(['hello', 'hell', 'hello!'])}\r\n0\r\n\r\n`;
    case 4:
      return body;
    default:
      headers.push(['Content-Length', String(Buffer.byteLength(body, 'latin1'))]);
      return body;
  }
}
