import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { hostname, networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls, createServer } from 'node:tls';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { certificateFile, keyAndCertificate } from '../src/certificate.ts';
import { selfSignedCertificate } from '../src/self-signed.ts';

const dayMs = 86_400_000;
const nowMs = Date.now();
let stateDirectory: string;

beforeEach(() => {
  stateDirectory = mkdtempSync(join(tmpdir(), 'certificate-'));
});
afterEach(() => rmSync(stateDirectory, { recursive: true, force: true }));

const given = (tls: Parameters<typeof keyAndCertificate>[0], at = nowMs) =>
  keyAndCertificate(tls, { stateDirectory, configPath: join(stateDirectory, 'config.json5'), nowMs: at });

const terms = (names: string[], days = 10) => ({
  names,
  notBefore: new Date(nowMs - dayMs),
  notAfter: new Date(nowMs + days * dayMs),
});

describe('a certificate that is made here', () => {
  test('says whom it is for, until when, and that it is a server’s and no CA', () => {
    const { key, cert } = selfSignedCertificate(terms(['box', 'localhost', '10.1.2.3', '::1', 'fd00::1:0:0:5']));
    const read = new X509Certificate(cert);
    expect(read.checkPrivateKey(createPrivateKey(key))).toBe(true);
    expect(read.verify(read.publicKey)).toBe(true);
    for (const name of ['box', 'localhost']) expect(read.checkHost(name)).toBe(name);
    for (const address of ['10.1.2.3', '::1', 'fd00::1:0:0:5']) expect(read.checkIP(address)).toBe(address);
    expect(read.checkHost('other')).toBeUndefined();
    expect({ subject: read.subject, isCa: read.ca, usage: read.keyUsage }).toEqual({
      subject: 'CN=box',
      isCa: false,
      usage: ['1.3.6.1.5.5.7.3.1'],
    });
    expect(Math.round((new Date(read.validTo).getTime() - nowMs) / dayMs)).toBe(10);
    expect(read.serialNumber).toMatch(/^[4-7][0-9A-F]{31}$/);
  });

  test('may end after 2049, where dates are written otherwise', () => {
    const { cert } = selfSignedCertificate({ ...terms(['box']), notAfter: new Date('2051-02-03T04:05:06Z') });
    expect(new Date(new X509Certificate(cert).validTo).toISOString()).toBe('2051-02-03T04:05:06.000Z');
  });

  test('is taken by a TLS client that knows it', async () => {
    const { key, cert } = selfSignedCertificate(terms(['localhost']));
    const server = createServer({ key, cert }, (socket) => socket.end('in'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    const text = await new Promise<string>((resolve, reject) => {
      const socket = connectTls({ host: '127.0.0.1', port, servername: 'localhost', ca: cert });
      socket.on('data', (data) => resolve(String(data))).on('error', reject);
    });
    server.close();
    expect(text).toBe('in');
  });

  test('is kept for its owner alone, for this machine’s names and addresses', () => {
    const { cert } = given('self-signed');
    expect(given('self-signed').cert).toBe(cert);
    expect(statSync(join(stateDirectory, certificateFile)).mode & 0o777).toBe(0o600);
    const read = new X509Certificate(cert);
    expect(read.checkHost(hostname().toLowerCase())).toBeDefined();
    const addresses = Object.values(networkInterfaces()).flatMap((found) => found ?? []);
    for (const { address, family } of addresses) if (family === 'IPv4') expect(read.checkIP(address)).toBe(address);
  });

  test('is made anew 30 days before its end, and where the kept one can’t be read', () => {
    const { cert } = given('self-signed');
    const endMs = new Date(new X509Certificate(cert).validTo).getTime();
    expect(given('self-signed', endMs - 31 * dayMs).cert).toBe(cert);
    const second = given('self-signed', endMs - 29 * dayMs);
    expect(second.cert).not.toBe(cert);
    writeFileSync(join(stateDirectory, certificateFile), 'not PEM');
    expect(given('self-signed').cert).toContain('BEGIN CERTIFICATE');
    expect(readFileSync(join(stateDirectory, certificateFile), 'utf8')).toContain('BEGIN PRIVATE KEY');
  });
});

describe('a certificate of one’s own', () => {
  const own = () => {
    const pair = selfSignedCertificate(terms(['gateway.example']));
    writeFileSync(join(stateDirectory, 'key.pem'), pair.key);
    writeFileSync(join(stateDirectory, 'cert.pem'), pair.cert);
    return pair;
  };
  const files = { key: './key.pem', cert: 'cert.pem' };

  test('is read from files beside the configuration', () => {
    const pair = own();
    expect(given(files)).toEqual(pair);
  });

  test.each([
    ['is missing', () => rmSync(join(stateDirectory, 'key.pem')), /"tls\.key" names .*key\.pem, which can't be read/],
    ['is no certificate', () => writeFileSync(join(stateDirectory, 'cert.pem'), 'x'), /"tls\.cert" is no certificate/],
  ])('that %s is refused with its place', (_, spoil, message) => {
    own();
    spoil();
    expect(() => given(files)).toThrow(
      expect.objectContaining({ exitCode: 78, message: expect.stringMatching(message) }),
    );
  });

  test('that has run out is refused', () => {
    own();
    expect(() => given(files, nowMs + 11 * dayMs)).toThrow(/has run out; renew it/);
  });
});
