import { parentPort, workerData } from 'node:worker_threads';
import { systemClock } from '@openclaw/protocol/wire';
import { StoreEngine } from './store-engine.ts';
import {
  packError,
  packRecords,
  unpackRecords,
  type WorkerAnswer,
  type WorkerCall,
  type WorkerCalls,
  type WorkerRequest,
  type WorkerSettings,
} from './worker-messages.ts';

// The entry of the worker thread that `sqliteStore` starts; importing it anywhere else does nothing.
if (parentPort) await serve(parentPort, workerData as WorkerSettings);

async function serve(port: NonNullable<typeof parentPort>, settings: WorkerSettings): Promise<void> {
  const answer = (message: WorkerAnswer, transfer: ArrayBuffer[] = []) => port.postMessage(message, transfer);
  const opened = await StoreEngine.open({ ...settings, clock: systemClock(), sliceMs: 4 }).catch((error) => {
    answer({ id: 0, error: packError(error) });
    port.close();
  });
  if (!opened) return;
  const calls = callsOf(opened.engine);
  port.on('message', async ({ id, call, args }: WorkerRequest) => {
    try {
      const result = await (calls[call] as (...args: unknown[]) => unknown)(...args);
      answer({ id, result }, transferable(result));
    } catch (error) {
      answer({ id, error: packError(error) });
    }
    if (call === 'close') port.close();
  });
  answer({ id: 0, opened: opened.contents });
}

type Awaitable = {
  [C in WorkerCall]: (...args: Parameters<WorkerCalls[C]>) => MaybePromise<ReturnType<WorkerCalls[C]>>;
};
type MaybePromise<T> = T | Promise<T>;

function callsOf(engine: StoreEngine): Awaitable {
  return {
    commit: (commit) => engine.commit(commit),
    read: (stream, options) => packRecords(engine.read(stream, options)),
    readMessages: (stream, options) => packRecords(engine.readMessages(stream, options)),
    readState(stream) {
      const { records, ...state } = engine.readState(stream);
      return { ...state, records: packRecords(records) };
    },
    readMedia: (id, at, maxBytes) => engine.readMedia(id, at, maxBytes),
    openUpload: (upload) => engine.openUpload(upload),
    async writeUpload(upload, bytes, length) {
      await engine.writeUpload(upload, bytes.subarray(0, length));
      return { bytes };
    },
    finishUpload: (upload) => engine.finishUpload(upload),
    readUpload: async (upload, at, maxBytes) => ({ bytes: await engine.readUpload(upload, at, maxBytes) }),
    discardUpload: (upload) => engine.discardUpload(upload),
    checkpoint: (states) => engine.checkpoint(states),
    rewrite: (stream, from, to, records) => engine.rewrite(stream, from, to, unpackRecords(records)),
    trim: (stream, low, options) => engine.trim(stream, low, options),
    renewEpoch: (stream, epoch) => engine.renewEpoch(stream, epoch),
    pruneLedger: (endedBefore, receiveEndedBefore) => engine.pruneLedger(endedBefore, receiveEndedBefore),
    scrub: () => engine.scrub(),
    close: () => engine.close(),
  };
}

/** Buffers of an answer that belong to it alone. */
function transferable(result: unknown): ArrayBuffer[] {
  const { bytes, records } = (result ?? {}) as {
    bytes?: Uint8Array<ArrayBuffer>;
    records?: { bytes: Uint8Array<ArrayBuffer> };
  };
  const own = bytes ?? records?.bytes;
  return own ? [own.buffer] : [];
}
