import { settle } from '@openclaw/protocol/testing';
import { test } from 'vitest';
import { collect, FakeGateway } from './fake-gateway.ts';
test('dbg', async () => {
    const fake = new FakeGateway();
    const { gateway } = fake.connect({ limits: { bufferedEvents: 16 } });
    await settle();
    const run = gateway.session('main').send('hi');
    await settle();
    fake.start(run.id);
    for (let at = 0; at < 100; at++) fake.text(run.id, at, String(at % 10));
    fake.finish(run.id, 'x');
    await run.final;
    const seen = collect(run);
    await settle(400);
    console.log(seen.items.length, seen.error, JSON.stringify(fake.last.sent.map((s) => [s.method, s.params])), JSON.stringify(seen.items.at(-1)));
});
