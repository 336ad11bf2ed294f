import { type ClientRequest, request as plainRequest } from 'node:http';
import { request as secureRequest } from 'node:https';
import { isIP, type Socket } from 'node:net';
import { ownFailure } from './dial-problem.ts';
import { retryAfterMs } from './http-answer.ts';
import { trusting } from './secured.ts';
import { type Attempt, authority } from './target.ts';

/** A socket to the gateway through a proxy, by CONNECT. Its credentials go to the proxy alone. */
export function tunnel(proxy: string, attempt: Attempt): Promise<Socket> {
  const { protocol, hostname, port, username, password } = new URL(proxy);
  const isSecure = protocol === 'https:';
  const host = hostname.replace(/^\[|\]$/g, '');
  const way = { host, port: Number(port) || (isSecure ? 443 : 80) };
  const place = authority(way);
  if (!isSecure && protocol !== 'http:') {
    return Promise.reject(ownFailure('proxy-unsupported', protocol.replace(':', '')));
  }
  attempt.enter(`the proxy ${place} connects to ${authority(attempt)}`);
  const credentials = `${decoded(username)}:${decoded(password)}`;
  return new Promise((resolve, reject) => {
    let request: ClientRequest;
    const failed = (error: NodeJS.ErrnoException) =>
      reject(ownFailure('proxy-unreachable', `${place}, ${error.code ?? error.message}`));
    try {
      request = (isSecure ? secureRequest : plainRequest)({
        method: 'CONNECT',
        ...way,
        path: authority(attempt),
        agent: false,
        // The certificate has to be the proxy's; Node would take the name of the header `host`, which is the gateway's.
        ...(isSecure ? { servername: isIP(host) ? '' : host } : {}),
        ...(isSecure && attempt.ca !== undefined ? { secureContext: trusting(attempt.ca) } : {}),
        signal: attempt.signal,
        headers: {
          host: authority(attempt),
          ...(username || password
            ? { 'proxy-authorization': `Basic ${Buffer.from(credentials).toString('base64')}` }
            : {}),
        },
      });
    } catch (error) {
      failed(error as Error);
      return;
    }
    request.once('error', failed);
    request.once('connect', ({ statusCode: status = 0, headers }, socket: Socket, early: Buffer) => {
      request.off('error', failed);
      request.on('error', () => {});
      socket.on('error', () => {});
      if (status >= 200 && status < 300) {
        socket.setNoDelay(true);
        if (early.length > 0) socket.unshift(early);
        resolve(socket);
        return;
      }
      socket.destroy();
      const code = status === 407 ? 'proxy-auth-required' : 'proxy-refused';
      reject(ownFailure(code, `${place}, HTTP ${status}`, { status, ...retryAfterMs(headers) }));
    });
    request.once('close', () => reject(ownFailure('proxy-unreachable', `${place}, closed`)));
    request.end();
  });
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
