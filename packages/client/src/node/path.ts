import { connect, type Socket } from 'node:net';
import { ownFailure } from './dial-problem.ts';
import { proxyFor } from './proxy-choice.ts';
import { secured } from './secured.ts';
import { type Attempt, authority } from './target.ts';
import { tunnel } from './tunnel.ts';

/**
 * The way to the gateway: straight or through a proxy, and within TLS for `wss://`. Resolves when bytes may be sent; rejects
 * with why not.
 */
export async function openPath(attempt: Attempt): Promise<Socket> {
  const { proxy = proxyFor(attempt, process.env), isSecure, signal } = attempt;
  const path = proxy ? await tunnel(proxy, attempt) : await connected(attempt);
  if (signal.aborted) {
    path.destroy();
    throw ownFailure('unknown', 'given up');
  }
  return isSecure ? secured(path, attempt) : path;
}

function connected(attempt: Attempt): Promise<Socket> {
  const { host, port, signal } = attempt;
  attempt.enter(`connecting to ${authority(attempt)}`);
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true, signal });
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      // Whoever takes it over listens; until then its end is nobody's error.
      socket.on('error', () => {});
      resolve(socket);
    });
  });
}
