import { agent, createGateway, memoryStore, op, settle } from './h.ts';
// 1. journal lost on restart
const store = memoryStore();
let g: any = await createGateway({ auth: { mode: 'none' }, store });
let o = await op(g); let a = await agent(g, 'main', { isLocal: false });
await o.req('chat.send', { sessionKey: 'main', message: 'hi', idempotencyKey: 'k1' });
console.log((await a.req('run.start', { runId: 'k1' })).ok);
for (let i = 0; i < 10; i++) await a.req('run.emit', { runId: 'k1', n: i + 1, parts: [{ stream: 'assistant', data: { itemId: `p${i}`, at: 0, delta: `<${i}>` + 'x'.repeat(3900) } }] });
await g.close();
g = await createGateway({ auth: { mode: 'none' }, store });
o = await op(g); a = await agent(g, 'main', { isLocal: false });
const s = await a.req('run.start', { runId: 'k1' });
console.log('start', s.ok, s.payload?.n, s.payload?.journal?.map((p: any) => p.data.delta?.slice(0, 3)));
console.log('append to p0:', JSON.stringify(await a.req('run.emit', { runId: 'k1', n: 11, parts: [{ stream: 'assistant', data: { itemId: 'p0', at: 3903, delta: 'more' } }] })).slice(0, 200));
await a.req('run.emit', { runId: 'k1', n: 11, parts: [{ stream: 'lifecycle', data: { phase: 'end' } }] });
const h = await o.req('chat.history', { sessionKey: 'main' });
console.log('final answer parts:', h.payload.messages.at(-1).content.map((b: any) => b.text.slice(0, 3)));
await g.close();
