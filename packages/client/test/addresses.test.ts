import { connect, type StateChange } from '@openclaw/client';
import { VirtualClock } from '@openclaw/protocol/testing';
import { afterEach, expect, test, vi } from 'vitest';

// As a bundle for browsers has it.
vi.mock('../src/node/socket.ts', () => import('../src/browser/socket.ts'));
afterEach(() => vi.unstubAllGlobals());

test('an address that the platform refuses to dial makes room for the next one, as ws:// does in a page of https://', async () => {
  const dialed: string[] = [];
  vi.stubGlobal(
    'WebSocket',
    class {
      constructor(url: string) {
        dialed.push(url);
        if (url.startsWith('ws:')) throw new DOMException('An insecure WebSocket connection', 'SecurityError');
      }

      close(): void {}
    },
  );
  const clock = new VirtualClock();
  const gateway = connect({ url: 'ws://10.0.0.1', urls: ['wss://gateway.example'], clock, page: {} });
  const states: StateChange[] = [];
  gateway.on('state', (change) => states.push(change));
  await clock.advance(1_000);
  expect(states.map(({ state }) => state)).toEqual(['dialing', 'backoff', 'dialing']);
  expect(dialed).toEqual(['ws://10.0.0.1', 'wss://gateway.example']);
  gateway.close();
});
