import { MessageChannel } from 'node:worker_threads';
import { describe, expect, test } from 'vitest';
import {
  allowsScope,
  canonicalSessionKey,
  memoryTransportPair,
  parseStreamName,
  portTransport,
  streamScope,
  type Transport,
} from '../src/wire.ts';

describe('names', () => {
  test('session keys have one canonical form', () => {
    expect(canonicalSessionKey('main')).toBe('agent:main:main');
    expect(canonicalSessionKey(' notes ', 'helper')).toBe('agent:helper:notes');
    expect(canonicalSessionKey('agent:main:a:b')).toBe('agent:main:a:b');
    for (const bad of ['', '  ', 'agent:', 'agent:x', 'agent:x:', 'a\u0000b', 'x'.repeat(513)])
      expect(canonicalSessionKey(bad)).toBeUndefined();
  });

  test('the kind of a stream names who may read it', () => {
    expect(parseStreamName('session:agent:main:main')).toEqual({ kind: 'session', id: 'agent:main:main' });
    expect(parseStreamName('system')).toEqual({ kind: 'system', id: '' });
    for (const bad of ['', 'session:', 'nope:x', ':x', 'toString']) expect(parseStreamName(bad)).toBeUndefined();
    expect([streamScope('session'), streamScope('audit'), streamScope('agent')]).toEqual([
      'operator.read',
      'operator.admin',
      undefined,
    ]);
  });

  test('admin allows all, write includes read', () => {
    expect(allowsScope(new Set(['operator.admin']), 'operator.pairing')).toBe(true);
    expect(allowsScope(new Set(['operator.write']), 'operator.read')).toBe(true);
    expect(allowsScope(new Set(['operator.read']), 'operator.write')).toBe(false);
  });
});

function collect(transport: Transport) {
  const seen: string[] = [];
  const closed = new Promise<[number, string]>((resolve) => {
    transport.open({
      message: (text) => seen.push(text),
      drained: () => {},
      closed: (code, reason) => resolve([code, reason]),
    });
  });
  return { seen, closed };
}

describe.each([
  ['an in-memory pair', () => memoryTransportPair()],
  [
    'a MessagePort',
    () => {
      const { port1, port2 } = new MessageChannel();
      return [portTransport(port1), portTransport(port2)] as [Transport, Transport];
    },
  ],
])('%s', (_name, make) => {
  test('carries messages in order, delivers what came before it was opened, and closes on both sides with code and reason', async () => {
    const [left, right] = make();
    const a = collect(left);
    left.send('one');
    left.send('two');
    const b = collect(right);
    right.send('back');
    left.send('three');
    left.close(4102, 'restarting');
    left.send('lost');
    expect(await b.closed).toEqual([4102, 'restarting']);
    expect(await a.closed).toEqual([4102, 'restarting']);
    expect(b.seen).toEqual(['one', 'two', 'three']);
  });
});

test('a port whose other end died closes with 1006', async () => {
  const { port1, port2 } = new MessageChannel();
  const { closed } = collect(portTransport(port1));
  port2.close();
  expect(await closed).toEqual([1006, 'the port was closed']);
});
