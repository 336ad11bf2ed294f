import { type AddressInfo, connect as connectTcp, createServer, type Socket } from 'node:net';
import { connect } from '@openclaw/client';
import { type Figure, spread } from './figure.ts';
import type { GatewayProgram } from './gateway-program.ts';

const cutCount = 100;

/** From a cut of the connection to being live again, less the pause that the client makes by intention. */
export async function resumeFigures(program: GatewayProgram): Promise<Figure[]> {
  const { pathname, hostname, port } = new URL(program.url);
  const cable = await startCable(Number(port), hostname);
  // The answer that is on its way while the cable is cut, again and again.
  const talk = connect({ url: program.url, token: program.token });
  const run = talk.session('resume').send('count to 10000');
  await new Promise<void>((resolve) => talk.on('state', ({ state }) => state === 'live' && resolve()));
  const samples: number[] = [];
  for (let cut = 0; cut < cutCount; cut++) {
    // A client for each cut: the pause of one that is cut again and again grows. The smallest pause is 100 ms.
    const client = connect({ url: `ws://127.0.0.1:${cable.port}${pathname}`, token: program.token, random: () => 0 });
    const events = client.session('resume').events()[Symbol.asyncIterator]();
    await events.next();
    await events.next();
    let pauseMs = 0;
    let enteredAt = 0;
    const live = new Promise<void>((resolve) =>
      client.on('state', ({ state, previous }) => {
        if (previous === 'backoff') pauseMs += performance.now() - enteredAt;
        enteredAt = performance.now();
        if (state === 'live') resolve();
      }),
    );
    const cutAt = performance.now();
    cable.cut();
    await live;
    samples.push(performance.now() - cutAt - pauseMs);
    client.close();
  }
  run.abort().catch(() => undefined);
  await run.final.catch(() => undefined);
  talk.close();
  cable.close();
  return [
    {
      what: 'resume after a cut, on top of the backoff',
      value: spread(samples),
      goal: 'p99 300 / 100 ms',
      note: `${cutCount} cuts (RST) in a streamed answer; live = what was missed is there`,
    },
  ];
}

/** A TCP connection to somewhere that can be cut. */
async function startCable(targetPort: number, host: string) {
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (near) => {
    const far = connectTcp({ port: targetPort, host, noDelay: true });
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        sockets.delete(socket);
        near.destroy();
        far.destroy();
      });
    }
    near.pipe(far).pipe(near);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cut = () => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    cut,
    close() {
      cut();
      server.close();
    },
  };
}
