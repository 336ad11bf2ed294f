import { type AuditEntry, methods, type Result } from '@openclaw/protocol';
import { implement, type MethodImplementation } from '../dispatch/method.ts';
import type { LogRecord, Stream, StreamLog } from '../streams/stream-log.ts';

const pageRecords = 512;
const pageBytes = 262_144;
/** Entries that one request looks through for those of the wanted actions; the next request goes on where it ended. */
const maxLooks = 20_000;

/** `audit.entries`. */
export function auditMethods({ log }: { log: StreamLog }): MethodImplementation[] {
  return [
    implement(methods['audit.entries'], async ({ limit = 100, before, actions }): Promise<Result<'audit.entries'>> => {
      const stream = await log.open('audit');
      const wanted = actions && new Set(actions);
      const entries: Result<'audit.entries'>['entries'] = [];
      let looks = 0;
      let lastOffset = 0;
      for await (const { offset, frame } of newestFirst(log, stream, before)) {
        if (entries.length === limit || looks++ === maxLooks) return { entries, nextBefore: lastOffset };
        const { payload } = JSON.parse(frame.text) as { payload: AuditEntry };
        if (!wanted || wanted.has(payload.action)) entries.push({ ...payload, offset });
        lastOffset = offset;
      }
      return { entries };
    }),
  ];
}

/** Committed records before an offset, newest first: all of them down to `low`, below it those that outlive retention. */
async function* newestFirst(
  log: StreamLog,
  stream: Stream,
  before = Number.POSITIVE_INFINITY,
): AsyncGenerator<LogRecord> {
  let ceiling = Math.min(before, stream.committedHead + 1);
  while (ceiling > stream.low) {
    const first = Math.max(stream.low, ceiling - pageRecords);
    yield* (await between(log, stream, first, ceiling)).reverse();
    ceiling = first;
  }
  for (;;) {
    const page = await log.readMessages(stream, ceiling, pageRecords, pageBytes);
    const [oldest] = page;
    if (!oldest) return;
    yield* page.reverse();
    ceiling = oldest.offset;
  }
}

async function between(log: StreamLog, stream: Stream, first: number, end: number): Promise<LogRecord[]> {
  const records: LogRecord[] = [];
  for (let at = first - 1; at < end - 1; ) {
    const page = await log.read(stream, at, end - 1 - at, pageBytes);
    const last = page.at(-1);
    // Retention overtook it.
    if (!last) break;
    for (const record of page) if (record.offset < end) records.push(record);
    at = last.offset;
  }
  return records;
}
