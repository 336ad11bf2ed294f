import { connect } from '@openclaw/client';
import { serve } from '@openclaw/plugin-sdk';
import { conformanceAgent } from '@openclaw/plugin-sdk/testing';
import { memoryTransportPair } from '@openclaw/protocol';
import { createGateway } from '@openclaw/server';

const gateway = await createGateway({ auth: { mode: 'token', token: 'secret' } } as never);
const { port } = await gateway.listen({ port: 0 });
import { webSocketDialer } from '../../../packages/client/src/dialer.ts';


const client = connect({ url: `ws://127.0.0.1:${port}`, token: "secret" });
const [a, b] = memoryTransportPair();
gateway.accept(a, { role: 'agent', id: 'main' });
const wrap = { ...b, send(t: string) {  b.send(t); }, get queuedBytes() { return b.queuedBytes; }, open(e: never) { const ev = e as { message(t: string): void; drained(): void; closed(c: number, r: string): void }; b.open({ message(t) {  ev.message(t); }, drained() {}, closed: (c, r) => ev.closed(c, r) }); }, close: (c: number, r: string) => b.close(c, r) };
const serving = serve(conformanceAgent(), wrap);
await serving.ready;
const log = (...x: unknown[]) => console.log(...x);
await Promise.all(
  [1, 2, 3].map(async (i) => {
    const s = client.session(`c${i}`);
    const it = s.events()[Symbol.asyncIterator]();
    const first = await Promise.race([it.next(), new Promise((r) => setTimeout(r, 2000, 'no reset'))]);
    log(i, 'first', JSON.stringify(first)?.slice(0, 80));
    const run = s.send('count 10');
    log(
      i,
      await Promise.race([
        run.final.then((m) => JSON.stringify(m.content)),
        new Promise((r) => setTimeout(r, 3000, 'no final')),
      ]),
    );
  }),
);
process.exit(0);
