/** The bounds of connections. All sizes in bytes, all times in ms. */
export interface ConnectionLimits {
  /** A message before the handshake is done. Default 64 KiB. */
  handshakeFrameBytes: number;
  /** How long a connection may take until its hello-ok. Default 15,000. */
  handshakeMs: number;
  /** A message from an operator. Default 25 MiB, as hello-ok tells. */
  operatorFrameBytes: number;
  /** A message from an agent. Default 25 MiB. */
  agentFrameBytes: number;
  /** Connections after hello, local peers not counted; more are refused with 4202. Default 10,000. */
  maxConnections: number;
  /** Sockets that have not shown who they are; more get HTTP 503. Default 1,000. */
  maxHandshaking: number;
  /** Messages held back for a connection whose requests are not read now; more close it. Default 1,024. */
  maxHeldFrames: number;
  /** The same in UTF-16 units. Default 32 Mi. */
  maxHeldLength: number;
}

export const defaultLimits: ConnectionLimits = {
  handshakeFrameBytes: 64 * 1024,
  handshakeMs: 15_000,
  operatorFrameBytes: 25 * 1024 * 1024,
  agentFrameBytes: 25 * 1024 * 1024,
  maxConnections: 10_000,
  maxHandshaking: 1_000,
  maxHeldFrames: 1_024,
  maxHeldLength: 32 * 1024 * 1024,
};

/** Bytes that an attachment may have, as hello-ok tells and `chat.send` holds to. */
export const attachmentLimits = { maxBytes: 19_464_192, maxImageBytes: 6_291_456 };
