import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import WebSocket from 'ws';
import type { DialFailure } from '../dial-codes.ts';
import { problemFailure } from './dial-problem.ts';
import { answerFailure, readBeginning } from './http-answer.ts';
import { openPath } from './path.ts';
import type { Attempt } from './target.ts';

/** A WebSocket that is open or opening. */
export interface OpenedSocket {
  readonly queuedBytes: number;
  send(text: string): void;
  close(code: number, reason: string): void;
  /** Drops it without a closing handshake. */
  terminate(): void;
}

/** What becomes of it. */
export interface SocketEvents {
  opened(): void;
  message(text: string): void;
  /** Why it will close. Told again when it is known better. */
  failed(failure: DialFailure): void;
  /** The end; exactly once. */
  closed(code: number, reason: string): void;
}

/** Opens a WebSocket by way of a proxy, TLS and a pin as the attempt asks for. Throws what can't be a request. */
export function openWebSocket(attempt: Attempt, events: SocketEvents): OpenedSocket {
  const { url, headers, signal } = attempt;
  let isOpened = false;
  let isAnswered = false;
  let problem = '';
  const socket = new WebSocket(url as string, [], {
    headers: { ...headers },
    perMessageDeflate: false,
    createConnection: ((_options: object, done: (error: Error | null, socket?: Socket) => void) => {
      openPath(attempt).then(
        (path) => {
          attempt.enter('waiting for the answer to the upgrade');
          if (signal.aborted) path.destroy();
          else done(null, path);
        },
        (error: Error) => {
          if (!signal.aborted) done(error);
        },
      );
    }) as never,
  });
  socket.binaryType = 'nodebuffer';
  socket.on('open', () => {
    isOpened = true;
    attempt.enter('waiting for the challenge');
    events.opened();
  });
  socket.on('message', (data) => events.message(String(data)));
  socket.on('unexpected-response', (_request, response: IncomingMessage) => {
    const { statusCode = 0, headers: answered } = response;
    const tell = (body: string) =>
      events.failed(answerFailure({ status: statusCode, headers: answered, body }, attempt));
    isAnswered = true;
    // Its body makes it more exact, but may never come to an end.
    tell('');
    readBeginning(response, (body) => {
      tell(body);
      socket.terminate();
    });
  });
  socket.on('error', (error) => {
    problem = error.message;
    if (isAnswered) return;
    const failure = problemFailure(error, attempt, isOpened);
    if (failure) events.failed(failure);
  });
  socket.on('close', (code, reason) => events.closed(code, String(reason) || (isOpened ? problem : '')));
  return {
    get queuedBytes() {
      return socket.bufferedAmount;
    },
    send(text) {
      if (socket.readyState === WebSocket.OPEN) socket.send(text);
    },
    close: (code, reason) => socket.close(code, reason),
    terminate: () => socket.terminate(),
  };
}
