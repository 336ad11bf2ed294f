import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import type { ConnectParams } from '@openclaw/protocol';
import { type ClientOptions, WebSocket } from 'ws';
import { devicePayload } from '../src/connection/device.ts';

/** A frame as a test looks at it. */
// biome-ignore lint/suspicious/noExplicitAny: a test reads whatever came
export type AnyFrame = Record<string, any>;

/** A WebSocket that keeps what it gets until a test asks for it. */
export class RawClient {
  readonly socket: WebSocket;
  readonly closed: Promise<{ code: number; reason: string }>;
  pingCount = 0;
  #inbox: string[] = [];
  #waiting: ((text: string) => void)[] = [];

  constructor(url: string, options: ClientOptions = {}) {
    this.socket = new WebSocket(url, options);
    this.socket.on('message', (data) => {
      const text = String(data);
      const waiting = this.#waiting.shift();
      if (waiting) waiting(text);
      else this.#inbox.push(text);
    });
    this.socket.on('ping', () => this.pingCount++);
    this.socket.on('error', () => undefined);
    this.closed = new Promise((resolve) =>
      this.socket.on('close', (code, reason) => resolve({ code, reason: reason.toString() })),
    );
  }

  /** The next frame that came or comes. */
  async next(): Promise<AnyFrame> {
    const text = this.#inbox.shift() ?? (await new Promise<string>((resolve) => this.#waiting.push(resolve)));
    return JSON.parse(text) as AnyFrame;
  }

  send(frame: unknown): void {
    this.socket.send(typeof frame === 'string' ? frame : JSON.stringify(frame));
  }

  /** Frames that came and were not asked for. */
  get unread(): number {
    return this.#inbox.length;
  }
}

export function connectParams(changes: Partial<ConnectParams> = {}): ConnectParams {
  return {
    minProtocol: 4,
    maxProtocol: 4,
    client: { id: 'gateway-client', version: '1', platform: 'linux', mode: 'backend' },
    scopes: ['operator.read', 'operator.write'],
    auth: { token: 'right' },
    ...changes,
  };
}

export function connectFrame(changes: Partial<ConnectParams> = {}): AnyFrame {
  return { type: 'req', id: 'c1', method: 'connect', params: connectParams(changes) };
}

/** A device with a key of its own. */
export interface TestDevice {
  id: string;
  publicKey: string;
  privateKey: KeyObject;
}

export function makeDevice(): TestDevice {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const raw = Buffer.from(String(publicKey.export({ format: 'jwk' }).x), 'base64url');
  return { id: createHash('sha256').update(raw).digest('hex'), publicKey: raw.toString('base64url'), privateKey };
}

/** The params with the device's signature over them. */
export function signed(
  params: ConnectParams,
  device: TestDevice,
  { nonce, signedAt, version = 'v3' }: { nonce: string; signedAt: number; version?: 'v2' | 'v3' },
): ConnectParams {
  const unsigned = {
    ...params,
    device: { id: device.id, publicKey: device.publicKey, signature: '', signedAt, nonce },
  };
  const signature = sign(null, Buffer.from(devicePayload(version, unsigned)), device.privateKey).toString('base64url');
  return { ...unsigned, device: { ...unsigned.device, signature } };
}
