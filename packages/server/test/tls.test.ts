import { createHash, X509Certificate } from 'node:crypto';
import { request as httpsRequest } from 'node:https';
import { connect as connectTcp } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createGateway } from '../src/gateway.ts';
import { certificatePin } from '../src/http/tls.ts';
import { listening } from './edge-fixture.ts';
import { connectFrame, RawClient } from './raw-client.ts';
import { selfSigned } from './self-signed.ts';

const auth = { mode: 'token', token: 'right' } as const;
const one = selfSigned();
const other = selfSigned();

/** A request to a certificate that is the only one believed. */
function ask(port: number, path: string, ca: string, headers: Record<string, string> = {}) {
  return new Promise<{ status: number; text: string; headers: object }>((resolve, reject) => {
    const request = httpsRequest({ host: '127.0.0.1', port, path, ca, headers, agent: false }, (response) => {
      let text = '';
      response.on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text, headers: response.headers }));
    });
    request.on('error', reject);
    request.end();
  });
}

async function secureEdge(options: Parameters<typeof listening>[0] = {}) {
  const fixture = await listening({ tls: one, ...options });
  const port = fixture.edge.address!.port;
  const dial = (ca: string, headers: Record<string, string> = {}) => {
    const client = new RawClient(`wss://127.0.0.1:${port}`, { ca, headers });
    onTestFinished(() => client.socket.terminate());
    return client;
  };
  return { ...fixture, port, dial };
}

describe('with a certificate of its own', () => {
  test('HTTP and WebSocket are served on one port, and the page of that very address is its own', async () => {
    const { port, dial, host } = await secureEdge();
    const answer = await ask(port, '/healthz', one.cert);
    expect(answer).toMatchObject({ status: 200, text: expect.stringContaining('live') });
    // A certificate of one's own may be gone tomorrow; browsers would refuse the name for as long as they were told.
    expect(answer.headers).not.toHaveProperty('strict-transport-security');
    const client = dial(one.cert, { origin: `https://127.0.0.1:${port}` });
    await client.next();
    client.send(connectFrame());
    expect((await client.next()).ok).toBe(true);
    expect(host.peers.length).toBe(1);
    const foreign = dial(one.cert, { origin: `http://127.0.0.1:${port}` });
    await foreign.next();
    foreign.send(connectFrame());
    expect((await foreign.next()).ok).toBe(false);
  });

  test('nobody speaks without TLS, or with an old one', async () => {
    const { port } = await secureEdge();
    const plain = connectTcp(port, '127.0.0.1');
    plain.write('GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n');
    const text = await new Promise<string>((resolve) => {
      let got = '';
      plain.on('data', (chunk) => {
        got += chunk;
      });
      plain.on('error', () => undefined);
      plain.on('close', () => resolve(got));
    });
    expect(text).not.toContain('live');
    const old = connectTls({
      port,
      host: '127.0.0.1',
      ca: one.cert,
      minVersion: 'TLSv1.1',
      maxVersion: 'TLSv1.1',
      ciphers: 'ALL@SECLEVEL=0',
    });
    const outcome = await new Promise<string>((resolve) => {
      old.on('secureConnect', () => resolve('connected'));
      old.on('error', () => resolve('refused'));
    });
    old.destroy();
    expect(outcome).toBe('refused');
    expect((await ask(port, '/healthz', one.cert)).status).toBe(200);
  });

  test('another one is taken into use without dropping a connection', async () => {
    const { port, dial, edge } = await secureEdge();
    const open = dial(one.cert);
    await open.next();
    open.send(connectFrame());
    expect((await open.next()).ok).toBe(true);
    const pinBefore = edge.certificatePin;
    edge.reconfigure({ auth, tls: other });
    expect(edge.certificatePin).not.toBe(pinBefore);
    await expect(ask(port, '/healthz', one.cert)).rejects.toThrow();
    expect((await ask(port, '/healthz', other.cert)).status).toBe(200);
    open.send({ type: 'req', id: 'r1', method: 'health' });
    expect(await open.next()).toMatchObject({ id: 'r1', ok: true });
    // Left out, it stays.
    edge.reconfigure({ auth });
    expect((await ask(port, '/healthz', other.cert)).status).toBe(200);
  });

  test('the pin is the one that a client sees', async () => {
    const { port, edge } = await secureEdge();
    const socket: TLSSocket = connectTls({ port, host: '127.0.0.1', ca: one.cert });
    await new Promise((resolve) => socket.once('secureConnect', resolve));
    const { raw } = socket.getPeerCertificate();
    socket.destroy();
    expect(edge.certificatePin).toBe(`sha256/${createHash('sha256').update(raw).digest('base64')}`);
    // Of a chain it is the first.
    expect(certificatePin({ ...one, cert: one.cert + other.cert })).toBe(edge.certificatePin);
    expect(certificatePin({ ...one, cert: new X509Certificate(one.cert).toString() })).toBe(edge.certificatePin);
  });

  test('the gateway tells the pin', async () => {
    const gateway = await createGateway({ auth, tls: one });
    expect(gateway.certificatePin()).toMatch(/^sha256\/[A-Za-z0-9+/]{43}=$/);
    await gateway.close();
    const plain = await createGateway({ auth });
    expect(plain.certificatePin()).toBeUndefined();
    await plain.close();
  });

  test('who never gets through the TLS handshake is cut', async () => {
    const { port } = await secureEdge({ limits: { headersTimeoutMs: 100 } });
    const silent = connectTcp(port, '127.0.0.1');
    silent.on('error', () => undefined);
    await new Promise((resolve) => silent.once('close', resolve));
    expect((await ask(port, '/healthz', one.cert)).status).toBe(200);
  });
});

describe('what is no certificate', () => {
  test.each([
    ['a key of another', { key: other.key, cert: one.cert }],
    ['no key', { key: 'nothing', cert: one.cert }],
    ['no certificate', { key: one.key, cert: 'nothing' }],
    ['nothing', { key: '', cert: '' }],
  ])('is refused and told without showing it: %s', async (_, tls) => {
    const failure = await createGateway({ auth, tls }).then(
      () => undefined,
      (error: Error) => error,
    );
    expect(failure).toMatchObject({ code: 'INVALID_REQUEST', message: expect.stringContaining('TLS') });
    expect(failure?.message).not.toContain(one.key.split('\n')[1]);
  });

  test('does not replace one that works, nor comes to a gateway without TLS', async () => {
    const { edge, port } = await secureEdge();
    expect(() => edge.reconfigure({ auth, tls: { key: other.key, cert: one.cert } })).toThrow();
    expect((await ask(port, '/healthz', one.cert)).status).toBe(200);
    const plain = await listening();
    expect(() => plain.edge.reconfigure({ auth, tls: one })).toThrow(
      expect.objectContaining({ code: 'INVALID_REQUEST', message: expect.stringContaining('restart') }),
    );
  });
});
