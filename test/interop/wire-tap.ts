import type { Direction } from '../fault-proxy.ts';
import type { SchemaOracle } from './schema-oracle.ts';
import { WebSocketReader } from './web-socket-reader.ts';

type JsonObject = Record<string, unknown>;

/** One message as it was on the wire, in the order of the whole tap. */
export interface TappedFrame {
  connection: number;
  direction: Direction;
  frame: JsonObject;
  /** Of an answer: the method of its request. */
  method?: string;
}

interface Connection {
  toClient: WebSocketReader;
  toServer: WebSocketReader;
  methods: Map<string, string>;
  lastSeq: number;
}

/** Listens at a fault proxy to every byte, keeps every frame, and has each frame of the gateway judged by the schema. */
export class WireTap {
  readonly frames: TappedFrame[] = [];
  readonly closes: { connection: number; direction: Direction; code: number; reason: string }[] = [];
  /** Everything that is wrong by the published schema or v4's rules of `seq`; to be empty. */
  readonly violations: string[] = [];
  readonly #oracle: SchemaOracle;
  readonly #connections = new Map<number, Connection>();

  constructor(oracle: SchemaOracle) {
    this.#oracle = oracle;
  }

  /** To be given to the proxy as `tap`. */
  readonly listen = (connection: number, direction: Direction, bytes: Buffer): void => {
    this.#connection(connection)[direction].push(bytes);
  };

  /** The events that the gateway sent, of one name or of all. */
  events(name?: string): JsonObject[] {
    return this.frames.flatMap(({ frame, direction }) =>
      direction === 'toClient' && frame.type === 'event' && (!name || frame.event === name) ? [frame] : [],
    );
  }

  #connection(number: number): Connection {
    let connection = this.#connections.get(number);
    if (!connection) {
      const reader = (direction: Direction) =>
        new WebSocketReader(direction === 'toServer', (message) => {
          if (message.type === 'text') this.#keep(number, direction, JSON.parse(message.text) as JsonObject);
          else this.closes.push({ connection: number, direction, code: message.code, reason: message.reason });
        });
      connection = { toClient: reader('toClient'), toServer: reader('toServer'), methods: new Map(), lastSeq: 0 };
      this.#connections.set(number, connection);
    }
    return connection;
  }

  #keep(number: number, direction: Direction, frame: JsonObject): void {
    const connection = this.#connection(number);
    if (direction === 'toServer') {
      connection.methods.set(String(frame.id), String(frame.method));
      this.frames.push({ connection: number, direction, frame });
      return;
    }
    const method = frame.type === 'res' ? connection.methods.get(String(frame.id)) : undefined;
    this.frames.push({ connection: number, direction, frame, ...(method === undefined ? {} : { method }) });
    this.violations.push(
      ...this.#oracle.frameProblems(frame, method).map((problem) => `${method ?? frame.event}: ${problem}`),
    );
    if (frame.type === 'event' && frame.event !== 'connect.challenge') this.#checkSeq(connection, frame);
    if (frame.type === 'res' && method === undefined)
      this.violations.push(`an answer to ${String(frame.id)}, which was not asked`);
  }

  /** v4 counts the events of a connection from 1, without gaps; only the challenge has no number. */
  #checkSeq(connection: Connection, { event, seq }: JsonObject): void {
    if (seq !== connection.lastSeq + 1)
      this.violations.push(`${String(event)}: seq ${String(seq)} after ${connection.lastSeq}`);
    connection.lastSeq = Number(seq);
  }
}
