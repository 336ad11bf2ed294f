import { createHash } from 'node:crypto';
import { isIP, type Socket } from 'node:net';
// As a whole: Node 20 does not export all that is used here.
import * as tls from 'node:tls';
import { ownFailure } from './dial-problem.ts';
import { type Attempt, authority } from './target.ts';

/**
 * The socket within TLS, once the gateway's certificate was judged: by `pin` alone, where there is one, else by its CA and its
 * name. Not a byte of the request is sent before.
 */
export function secured(socket: Socket, attempt: Attempt): Promise<Socket> {
  const { host, pin, ca, signal } = attempt;
  attempt.enter(`${authority(attempt)} shakes hands for TLS`);
  return new Promise((resolve, reject) => {
    const secure = tls.connect({
      socket,
      host,
      ...(isIP(host) ? {} : { servername: host }),
      ALPNProtocols: ['http/1.1'],
      // The pin is stricter than any CA: it names the one certificate.
      rejectUnauthorized: pin === undefined,
      ...(ca === undefined || pin !== undefined ? {} : { secureContext: trusting(ca) }),
    });
    const failed = (error: Error) => {
      secure.destroy();
      socket.destroy();
      reject(error);
    };
    const closed = () => failed(ownFailure('reset', authority(attempt)));
    secure.once('error', failed);
    secure.once('close', closed);
    signal.addEventListener('abort', closed, { once: true });
    secure.once('secureConnect', () => {
      const known = secure.getPeerX509Certificate()?.raw;
      const found = known && `sha256/${createHash('sha256').update(known).digest('base64')}`;
      if (pin !== undefined && found !== pin) {
        const detail = `${authority(attempt)} has ${found ?? 'none'}`;
        failed(ownFailure('tls-pin-mismatch', detail, { isFinal: true }));
        return;
      }
      secure.off('error', failed);
      secure.off('close', closed);
      signal.removeEventListener('abort', closed);
      secure.on('error', () => {});
      resolve(secure);
    });
  });
}

/** The context of the last list: reading the known CAs takes milliseconds. */
let last: { list: string; context: tls.SecureContext } | undefined;

/** Trusts these CAs beside those that Node knows; NODE_EXTRA_CA_CERTS counts among them where Node can tell (22.15). */
export function trusting(ca: string | readonly string[]): tls.SecureContext {
  const own = [ca].flat();
  const list = own.join('\n');
  if (last?.list !== list) {
    const known = typeof tls.getCACertificates === 'function' ? tls.getCACertificates('default') : tls.rootCertificates;
    last = { list, context: tls.createSecureContext({ ca: [...known, ...own] }) };
  }
  return last.context;
}
