// A process that commits until it is killed, and says what was acknowledged: see kill.test.ts.
import { writeSync } from 'node:fs';
import { sqliteStore } from '../src/index.ts';

const [directory, rounds] = process.argv.slice(2) as [string, string];
const store = sqliteStore({ directory, limits: { foldRows: 40, walQuietBytes: 64 * 1024, walMaxBytes: 512 * 1024 } });
const { heads, isContinuous, ledger } = await store.open();
const say = (line: unknown) => writeSync(1, `${JSON.stringify(line)}\n`);
say({ heads, isContinuous, ledgerCount: ledger.length });
const next = new Map(heads.map(({ stream, head }) => [stream, head + 1]));
for (let round = 0; round < Number(rounds); round++) {
  const appends = ['system', `session:${round % 7}`].map((stream) => {
    const offset = next.get(stream) ?? 1;
    next.set(stream, offset + 1);
    const bytes = Buffer.from(`${stream} ${offset} ${'.'.repeat((round * 37) % 900)}`);
    return { stream, epoch: `epoch of ${stream}`, records: [{ offset, bytes }] };
  });
  const offset = appends[0]?.records[0]?.offset ?? 0;
  const row = { principal: 'p', method: 'chat.send', key: `${offset}`, paramsHash: 'h', createdAt: 1 };
  const committed = store.commit({
    appends,
    ledger: [row],
    documents: [],
    media: [],
    deletes: [],
    durable: round % 25 === 0,
  });
  // Three at a time are under way, so that a kill meets commits at every stage.
  const said = committed.then(() =>
    say({ acknowledged: appends.map(({ stream, records }) => [stream, records[0]?.offset]) }),
  );
  if (round % 3 === 0) await said;
}
