// What `ws` does with nothing around it: JSON in, JSON out, the answer that `health` gives. The peer of the gateway's figures.
import type { AddressInfo } from 'node:net';
import { WebSocketServer } from 'ws';

const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false });
const health = {
  ok: true,
  ts: 0,
  durationMs: 0,
  defaultAgentId: 'main',
  sessions: { path: '', count: 0, recent: [] },
};
server.on('connection', (socket) => {
  socket.on('message', (data: Buffer) => {
    const { id } = JSON.parse(data.toString()) as { id: string };
    socket.send(JSON.stringify({ type: 'res', id, ok: true, payload: { ...health, ts: Date.now() } }));
  });
});
server.on('listening', () => console.log(`listening ${(server.address() as AddressInfo).port}`));
