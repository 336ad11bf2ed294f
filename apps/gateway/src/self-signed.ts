import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { isIP } from 'node:net';

/** A key and a certificate for it, both PEM. */
export interface KeyAndCertificate {
  key: string;
  cert: string;
}

/** What a {@link selfSignedCertificate} says. */
export interface CertificateTerms {
  /** The names and addresses that it is for; the first one is its common name. */
  names: readonly string[];
  notBefore: Date;
  notAfter: Date;
}

/**
 * Makes an ECDSA P-256 key and a certificate (X.509 v3, RFC 5280) for it that it signs itself. It is an end-entity
 * certificate for servers: a client pins it, or trusts it by hand.
 */
export function selfSignedCertificate({ names, notBefore, notAfter }: CertificateTerms): KeyAndCertificate {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const algorithm = sequence(ecdsaWithSha256);
  const name = sequence(set(sequence(commonName, der(0x0c, Buffer.from((names[0] ?? 'gateway').slice(0, 64))))));
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))), // version 3
    der(0x02, serialNumber()),
    algorithm,
    name,
    sequence(time(notBefore), time(notAfter)),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(
      0xa3,
      sequence(
        extension(basicConstraints, sequence(), true),
        extension(keyUsage, der(0x03, Buffer.from([7, 0x80])), true), // digitalSignature
        extension(extendedKeyUsage, sequence(serverAuth)),
        extension(subjectAltName, sequence(...names.map(generalName))),
      ),
    ),
  );
  const signature = sign('sha256', body, privateKey);
  const certificate = sequence(body, algorithm, der(0x03, Buffer.concat([Buffer.from([0]), signature])));
  const key = pem('PRIVATE KEY', privateKey.export({ type: 'pkcs8', format: 'der' }));
  return { key, cert: pem('CERTIFICATE', certificate) };
}

/** One value in DER: tag, length, content. */
function der(tag: number, ...content: readonly Buffer[]): Buffer {
  const bytes = Buffer.concat(content);
  const { length } = bytes;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), bytes]);
}

function sequence(...content: readonly Buffer[]): Buffer {
  return der(0x30, ...content);
}

function set(...content: readonly Buffer[]): Buffer {
  return der(0x31, ...content);
}

/** An object identifier; its content is given, since there are few. */
function oid(hex: string): Buffer {
  return der(0x06, Buffer.from(hex, 'hex'));
}

const ecdsaWithSha256 = oid('2a8648ce3d040302');
const commonName = oid('550403');
const basicConstraints = oid('551d13');
const keyUsage = oid('551d0f');
const extendedKeyUsage = oid('551d25');
const subjectAltName = oid('551d11');
const serverAuth = oid('2b06010505070301');

function extension(id: Buffer, content: Buffer, isCritical = false): Buffer {
  return sequence(id, ...(isCritical ? [der(0x01, Buffer.from([0xff]))] : []), der(0x04, content));
}

/** Positive, and without a needless zero in front. */
function serialNumber(): Buffer {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] as number) & 0x3f) | 0x40;
  return bytes;
}

/** UTCTime until 2049, GeneralizedTime after, as RFC 5280 wants it. */
function time(date: Date): Buffer {
  const digits = `${date.toISOString().replace(/\D/g, '').slice(0, 14)}Z`;
  return date.getUTCFullYear() < 2050 ? der(0x17, Buffer.from(digits.slice(2))) : der(0x18, Buffer.from(digits));
}

function generalName(name: string): Buffer {
  return isIP(name) === 0 ? der(0x82, Buffer.from(name, 'ascii')) : der(0x87, addressBytes(name));
}

function addressBytes(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split('.').map(Number));
  // The URL parser writes an address in one way only: without dots, at most one `::`.
  const [front = '', back] = new URL(`http://[${address.replace(/%.*/, '')}]`).hostname.slice(1, -1).split('::');
  const groups = (part: string) => (part === '' ? [] : part.split(':'));
  const ends = back === undefined ? [] : groups(back);
  const zeros = Array.from({ length: 8 - groups(front).length - ends.length }, () => '0');
  const all = back === undefined ? groups(front) : [...groups(front), ...zeros, ...ends];
  return Buffer.concat(all.map((group) => Buffer.from(group.padStart(4, '0'), 'hex')));
}

function pem(label: string, bytes: Buffer): string {
  const lines = bytes.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}
