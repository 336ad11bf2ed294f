import type * as zlib from 'node:zlib';

/** A QR code as a picture and as text. */
export interface QrCode {
  /** A PNG as a `data:` URL. */
  dataUrl: string;
  /** In block characters, for a terminal with a dark background. */
  text: string;
}

type Packer = Pick<typeof zlib, 'crc32' | 'deflateSync'>;

const pixelsPerModule = 6;
/** Scanners need a quiet zone of four modules. */
const border = 4;

/** Draws a text of at most about 2,900 bytes. What it takes is loaded when the first code is drawn. */
export async function drawQrCode(text: string): Promise<QrCode> {
  const [{ encode, renderUnicodeCompact }, packer] = await Promise.all([import('uqr'), import('node:zlib')]);
  const { data } = encode(text, { ecc: 'L', border });
  return {
    dataUrl: `data:image/png;base64,${pngOf(data, packer).toString('base64')}`,
    text: renderUnicodeCompact(text, { ecc: 'L', border }),
  };
}

/** A PNG of one bit a pixel; true is black. */
function pngOf(modules: readonly (readonly boolean[])[], { crc32, deflateSync }: Packer): Buffer {
  const size = modules.length * pixelsPerModule;
  const header = Buffer.alloc(13);
  header.writeUInt32BE(size, 0);
  header.writeUInt32BE(size, 4);
  // One bit of grey; the other three: the only compression, filter and order that are simple.
  header[8] = 1;
  const rowBytes = 1 + Math.ceil(size / 8);
  const pixels = Buffer.alloc(rowBytes * size);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const isBlack = modules[Math.floor(y / pixelsPerModule)]?.[Math.floor(x / pixelsPerModule)] ?? false;
      if (!isBlack) pixels[y * rowBytes + 1 + (x >> 3)]! |= 0x80 >> (x & 7);
    }
  }
  return Buffer.concat([
    Buffer.from('89504e470d0a1a0a', 'hex'),
    chunk('IHDR', header, crc32),
    chunk('IDAT', deflateSync(pixels), crc32),
    chunk('IEND', Buffer.alloc(0), crc32),
  ]);
}

function chunk(type: string, content: Buffer, crc32: Packer['crc32']): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), content]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(content.length);
  const checksum = Buffer.alloc(4);
  checksum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, checksum]);
}
