import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** The two ways through the proxy. */
export type Direction = 'toClient' | 'toServer';

/** How bytes of one direction travel. Absent fields mean that nothing is done to them. */
export interface FlowFaults {
  /** How long every byte is under way, in ms. */
  latencyMs?: number;
  /** How many bytes one write holds at most; 1 writes byte by byte. */
  writeBytes?: number;
  /** How many bytes pass per second at most. */
  bytesPerSecond?: number;
  /** Holds bytes back, as a full network buffer does; they go on when this is taken away. */
  isStalled?: boolean;
}

export interface FaultProxyOptions {
  /** The port on 127.0.0.1 that is behind the proxy. May be changed later by `retarget`. */
  targetPort: number;
  /** Default 0: any free one. */
  port?: number;
  /** Shown every chunk as it comes from one end, before any fault, with the number of its connection (1, 2, 3, …). */
  tap?: (connection: number, direction: Direction, bytes: Buffer) => void;
}

/** A TCP proxy on 127.0.0.1 that does to connections what networks do. Every fault can be called at any time. */
export interface FaultProxy {
  readonly port: number;
  /** `ws://127.0.0.1:<port>`. */
  readonly url: string;
  /** Connections that are open now. */
  readonly connectionCount: number;
  /** Connections that were ever accepted. */
  readonly acceptedCount: number;
  /** Ends every open connection with FIN to both sides; what is under way is lost. */
  cut(): void;
  /** Ends every open connection with RST to both sides. */
  reset(): void;
  /**
   * From now on bytes of open connections vanish: in one direction, or, without one, in both. Neither side learns anything,
   * not even that the other one closes: half-open. For good; new connections are whole.
   */
  blackHole(direction?: Direction): void;
  /** Sets how bytes of a direction travel (both without one), for open and new connections, in place of what was set. */
  shape(faults: FlowFaults, direction?: Direction): void;
  /** Closes new connections at once while true, as a gateway that is down does. */
  refuse(isRefusing: boolean): void;
  /** Sends new connections to another port. */
  retarget(targetPort: number): void;
  /** Resets what is open and frees the port. */
  close(): Promise<void>;
}

/** Starts a proxy. Rejects with Node's error when the port is taken. */
export async function startFaultProxy({ targetPort, port = 0, tap }: FaultProxyOptions): Promise<FaultProxy> {
  const links = new Set<Link>();
  const shapes: Record<Direction, FlowFaults> = { toClient: {}, toServer: {} };
  let acceptedCount = 0;
  let isRefusing = false;
  let target = targetPort;
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (client) => {
    if (isRefusing) {
      client.on('error', () => undefined);
      client.resetAndDestroy();
      return;
    }
    const number = ++acceptedCount;
    const upstream = connect({ port: target, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
    const link: Link = {
      toServer: new Flow(client, upstream, shapes.toServer, (bytes) => tap?.(number, 'toServer', bytes)),
      toClient: new Flow(upstream, client, shapes.toClient, (bytes) => tap?.(number, 'toClient', bytes)),
      sockets: [client, upstream],
      isBlackHole: false,
    };
    links.add(link);
    const end = (other: Socket) => () => {
      if (!link.isBlackHole) other.resetAndDestroy();
      if (client.destroyed && upstream.destroyed) links.delete(link);
    };
    // An error, a refused dial among them, is a reset for the other side.
    client.on('error', end(upstream));
    upstream.on('error', end(client));
    for (const socket of link.sockets) {
      socket.on('close', () => {
        if (client.destroyed && upstream.destroyed) links.delete(link);
      });
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve());
  });
  const bound = (server.address() as AddressInfo).port;
  const endAll = (end: (socket: Socket) => void) => {
    for (const link of links) {
      link.toClient.stop();
      link.toServer.stop();
      for (const socket of link.sockets) end(socket);
    }
    links.clear();
  };
  const directions = (direction?: Direction): Direction[] => (direction ? [direction] : ['toClient', 'toServer']);
  return {
    port: bound,
    url: `ws://127.0.0.1:${bound}`,
    get connectionCount() {
      return links.size;
    },
    get acceptedCount() {
      return acceptedCount;
    },
    cut: () => endAll((socket) => socket.destroy()),
    reset: () => endAll((socket) => socket.resetAndDestroy()),
    blackHole(direction) {
      for (const link of links) {
        link.isBlackHole = true;
        for (const way of directions(direction)) link[way].swallow();
      }
    },
    shape(faults, direction) {
      for (const way of directions(direction)) {
        shapes[way] = faults;
        for (const link of links) link[way].shape(faults);
      }
    },
    refuse(refusing) {
      isRefusing = refusing;
    },
    retarget(next) {
      target = next;
    },
    close() {
      endAll((socket) => socket.resetAndDestroy());
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

interface Link {
  toServer: Flow;
  toClient: Flow;
  sockets: [Socket, Socket];
  isBlackHole: boolean;
}

/** Bytes that one flow holds before it stops reading. */
const heldBytes = 64 * 1024;
/** How often a throttled flow writes, in ms. */
const throttleMs = 20;

/** One direction of one connection. */
class Flow {
  readonly #source: Socket;
  readonly #target: Socket;
  #faults: FlowFaults;
  #queue: { bytes: Buffer; dueMs: number }[] = [];
  #queuedBytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #isWriting = false;
  #hasEnded = false;
  #isSwallowing = false;
  #isStopped = false;

  constructor(source: Socket, target: Socket, faults: FlowFaults, tap: (bytes: Buffer) => void) {
    this.#source = source;
    this.#target = target;
    this.#faults = faults;
    source.on('data', (bytes) => {
      tap(bytes);
      if (this.#isSwallowing || this.#isStopped) return;
      this.#queue.push({ bytes, dueMs: performance.now() + (this.#faults.latencyMs ?? 0) });
      this.#queuedBytes += bytes.length;
      if (this.#queuedBytes > heldBytes) source.pause();
      this.#pump();
    });
    source.on('end', () => {
      this.#hasEnded = true;
      this.#pump();
    });
  }

  shape(faults: FlowFaults): void {
    this.#faults = faults;
    this.#pump();
  }

  swallow(): void {
    this.#isSwallowing = true;
    this.#clear();
    this.#source.resume();
  }

  stop(): void {
    this.#isStopped = true;
    this.#clear();
  }

  #clear(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#queue = [];
    this.#queuedBytes = 0;
  }

  #pump(): void {
    if (this.#isWriting || this.#timer || this.#isStopped || this.#isSwallowing || this.#faults.isStalled) return;
    const next = this.#queue[0];
    if (!next) {
      if (this.#hasEnded) this.#target.end();
      return;
    }
    const waitMs = next.dueMs - performance.now();
    if (waitMs > 0) {
      this.#wait(waitMs);
      return;
    }
    const { writeBytes = Number.POSITIVE_INFINITY, bytesPerSecond } = this.#faults;
    const budget =
      bytesPerSecond === undefined ? writeBytes : Math.max(1, Math.floor((bytesPerSecond * throttleMs) / 1_000));
    const bytes = next.bytes.subarray(0, Math.min(writeBytes, budget));
    if (bytes.length === next.bytes.length) this.#queue.shift();
    else next.bytes = next.bytes.subarray(bytes.length);
    this.#queuedBytes -= bytes.length;
    this.#isWriting = true;
    this.#target.write(bytes, () => {
      this.#isWriting = false;
      if (this.#queuedBytes <= heldBytes) this.#source.resume();
      if (bytesPerSecond === undefined) this.#pump();
      else this.#wait((bytes.length / bytesPerSecond) * 1_000);
    });
  }

  #wait(ms: number): void {
    if (this.#isStopped || this.#isSwallowing || this.#timer) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#pump();
    }, ms);
  }
}
