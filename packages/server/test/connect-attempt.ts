import type { ConnectParams } from '@openclaw/protocol';
import type { ClientOptions } from 'ws';
import type { EdgeFixture } from './edge-fixture.ts';
import { connectFrame, connectParams, signed, type TestDevice } from './raw-client.ts';

/** How a test connects. */
export interface Attempt {
  changes?: Partial<ConnectParams>;
  options?: ClientOptions;
  device?: TestDevice;
  version?: 'v2' | 'v3';
  /** What the device signs instead of the truth. */
  lie?: { nonce?: string; signedAt?: number };
  /** Changes what was signed. */
  tamper?: (params: ConnectParams) => ConnectParams;
}

/** Connects and gives the answer's payload or error, and the close. */
export async function attempt(
  { dial, host }: EdgeFixture,
  { changes, options, device, version = 'v3', lie, tamper }: Attempt = {},
) {
  const client = dial(options);
  const { nonce, ts } = (await client.next()).payload;
  let params = connectParams(changes);
  if (device) params = signed(params, device, { nonce, signedAt: ts, version, ...lie });
  if (tamper) params = tamper(params);
  client.send({ ...connectFrame(), params });
  const answer = await client.next();
  const close = answer.ok ? undefined : await client.closed;
  return { payload: answer.payload, error: answer.error, close, peer: answer.ok ? host.peers.at(-1) : undefined };
}
