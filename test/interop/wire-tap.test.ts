import { expect, test } from 'vitest';
import { SchemaOracle } from './schema-oracle.ts';
import { WireTap } from './wire-tap.ts';

const oracle = new SchemaOracle();

const upgrade = Buffer.from('HTTP/1.1 101 Switching Protocols\r\n\r\n');

function frame(text: string, { mask, first = 0x81 }: { mask?: Buffer; first?: number } = {}): Buffer {
  const body = Buffer.from(text);
  const length = body.length < 126 ? [body.length] : [126, body.length >> 8, body.length & 255];
  length[0] = (length[0] as number) | (mask ? 0x80 : 0);
  const sent = mask ? body.map((byte, index) => byte ^ (mask[index % 4] as number)) : body;
  return Buffer.concat([Buffer.from([first, ...length]), ...(mask ? [mask] : []), sent]);
}

function heard(...frames: object[]): WireTap {
  const tap = new WireTap(oracle);
  tap.listen(1, 'toClient', Buffer.concat([upgrade, ...frames.map((one) => frame(JSON.stringify(one)))]));
  return tap;
}

const tick = (seq: number, more: object = {}) => ({ type: 'event', event: 'tick', payload: { ts: 1, ...more }, seq });
const agent = (more: object) => ({
  type: 'event',
  event: 'agent',
  payload: { runId: 'r', seq: 1, ts: 1, stream: 'usage', data: {}, ...more },
  seq: 1,
});

test('what is valid in v4 is no violation, the three fields that its gateway adds to agent events included', () => {
  const tap = heard(
    { type: 'event', event: 'connect.challenge', payload: { nonce: 'n' } },
    agent({ isHeartbeat: false, sessionKey: 'k', sessionId: 's', agentId: 'a' }),
    tick(2),
    { type: 'event', event: 'chat', payload: { runId: 'r', sessionKey: 'k', seq: 1, state: 'final' }, seq: 3 },
  );
  expect(tap.violations).toEqual([]);
  expect(tap.events('tick')).toHaveLength(1);
});

test.each([
  ['a field that the frame does not have', { ...tick(1), stream: 'system' }],
  ['a field that the payload does not have', tick(1, { more: 1 })],
  ['a field that agent events do not have', agent({ n: 3 })],
  [
    'a chat state that v4 does not know',
    { type: 'event', event: 'chat', payload: { runId: 'r', sessionKey: 'k', seq: 1, state: 'odd' }, seq: 1 },
  ],
  [
    'a chat event without its text',
    { type: 'event', event: 'chat', payload: { runId: 'r', sessionKey: 'k', seq: 1, state: 'delta' }, seq: 1 },
  ],
  ['an event number that is left out', tick(2)],
  ['an event without number', { type: 'event', event: 'tick', payload: { ts: 1 } }],
  ['an answer that nobody asked for', { type: 'res', id: '1', ok: true, payload: {} }],
  ['an error without message', { type: 'res', id: '1', ok: false, error: { code: 'X' } }],
  ['a frame of no known type', { type: 'note' }],
])('%s is a violation', (_name, sent) => {
  expect(heard(sent)).toMatchObject({ violations: expect.arrayContaining([expect.any(String)]) });
});

test('hello-ok is judged as the answer to connect, by the frame that asked', () => {
  const tap = new WireTap(oracle);
  const ask = frame(JSON.stringify({ type: 'req', id: '1', method: 'connect' }), { mask: Buffer.from([1, 2, 3, 4]) });
  tap.listen(1, 'toServer', Buffer.concat([Buffer.from('GET / HTTP/1.1\r\n\r\n'), ask]));
  tap.listen(1, 'toClient', upgrade);
  tap.listen(
    1,
    'toClient',
    frame(JSON.stringify({ type: 'res', id: '1', ok: true, payload: { type: 'hello-ok', protocol: 4 } })),
  );
  expect(tap.violations.join()).toContain("HelloOk must have required property 'policy'");
});

test('bytes may come in any pieces, long frames and fragments too', () => {
  const long = JSON.stringify(tick(1, {})).replace('}', `,"pad":"${'x'.repeat(300)}"}`);
  const parts = [
    frame(long.slice(0, 50), { first: 0x01 }),
    frame(long.slice(50), { first: 0x80 }),
    frame('', { first: 0x89 }),
  ];
  const tap = new WireTap(oracle);
  for (const byte of Buffer.concat([upgrade, ...parts])) tap.listen(7, 'toClient', Buffer.from([byte]));
  expect(tap.frames).toMatchObject([{ connection: 7, frame: { event: 'tick' } }]);
});
