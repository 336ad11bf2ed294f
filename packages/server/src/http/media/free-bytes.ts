/**
 * Lets go of the memory of bytes that are nobody else's and not needed any more. The collector sees small objects and is in no
 * hurry: left to it, tens of megabytes of pieces pile up.
 */
export function freeBytes(bytes: Uint8Array): void {
  const { buffer } = bytes;
  // A slice of something larger is not all there is of it.
  if (buffer instanceof ArrayBuffer && buffer.byteLength === bytes.length) buffer.transfer(0);
}
