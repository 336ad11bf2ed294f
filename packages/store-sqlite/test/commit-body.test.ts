import fc from 'fast-check';
import { expect, test } from 'vitest';
import { bodyChecksum, decodeBody, encodeBody, keepOf, placedRecords } from '../src/commit-body.ts';
import { batch } from './state-directory.ts';

const recordShape = fc.record({
  span: fc.integer({ min: 1, max: 5 }),
  keep: fc.constantFrom(undefined, 'message' as const, 'fact' as const),
  bytes: fc.uint8Array({ maxLength: 40 }),
});

test('what is encoded is found again, for any commit', () => {
  const shape = fc.array(fc.tuple(fc.string(), fc.integer({ min: 1, max: 1e9 }), fc.array(recordShape)), {
    maxLength: 6,
  });
  fc.assert(
    fc.property(shape, (streams) => {
      const appends = streams.map(([stream, first, parts]) => {
        let next = first;
        const records = parts.map(({ span, keep, bytes }) => {
          const from = next;
          next += span;
          return { offset: next - 1, bytes, ...(span > 1 ? { from } : {}), ...(keep ? { keep } : {}) };
        });
        return { stream, epoch: 'e', records };
      });
      const body = encodeBody(batch({ appends, deletes: ['x'] }));
      const { header, framesAt } = decodeBody(body);
      const found = [...placedRecords(header, framesAt)].map(([{ stream, epoch }, placed]) => ({
        stream,
        epoch,
        records: placed.map(({ offset, span, keep, at, length }) => ({
          offset,
          bytes: body.slice(at, at + length),
          ...(span > 1 ? { from: offset - span + 1 } : {}),
          ...(keep ? { keep: keepOf(keep) } : {}),
        })),
      }));
      expect(found).toEqual(appends);
      expect(header.deletes).toEqual(['x']);
    }),
  );
});

test('records that leave a gap are refused', () => {
  const bytes = new Uint8Array(1);
  const records = [
    { offset: 1, bytes },
    { offset: 3, bytes },
  ];
  expect(() => encodeBody(batch({ appends: [{ stream: 's', epoch: 'e', records }] }))).toThrow('does not follow');
});

test('the checksum changes with every byte and with the number of the row', () => {
  const body = encodeBody(batch({ documents: [{ kind: 'k', id: 'i', value: 'v' }] }));
  const checksum = bodyChecksum(body, 1);
  expect(bodyChecksum(body, 2)).not.toBe(checksum);
  for (let at = 0; at < body.length; at++) {
    const changed = body.slice();
    changed[at] = (changed[at] as number) ^ 1;
    expect(bodyChecksum(changed, 1)).not.toBe(checksum);
  }
});
