import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from '@openclaw/client';
import { serve } from '@openclaw/plugin-sdk';
import { operatorScopes } from '@openclaw/protocol/wire';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { demoAgent } from '../src/demo-agent.ts';
import { Workshop } from './gateway-process.ts';

let workshop: Workshop;
let closing: (() => unknown)[];

beforeEach(() => {
  workshop = new Workshop();
  closing = [];
});
afterEach(async () => {
  for (const close of closing) await close();
  await workshop.dispose();
});

test('an agent in a process of its own answers where the configuration says so, over a restart of the gateway, too', async () => {
  const path = join(workshop.directory, 'c.json5');
  writeFileSync(path, '{ agent: { external: true } }');
  const first = workshop.start(['--config', path]);
  const url = await first.url();
  await first.printed(/No agent is started here/);
  const socketUrl = url.replace('http', 'ws');
  const gateway = connect({ url: socketUrl, token: workshop.token, scopes: [...operatorScopes] });
  closing.push(() => gateway.close());
  expect((await gateway.request('agents.list', {})).agents).toEqual([expect.objectContaining({ attached: false })]);

  const { token } = await gateway.request('tokens.create', { role: 'agent', id: 'main' });
  const serving = serve(demoAgent({ paceMs: 10 }), { url: socketUrl, token });
  closing.push(() => serving.close());
  await serving.ready;
  const run = gateway.session('main').send('count to 100');
  for await (const part of run) if (part.type === 'text') break;
  first.kill('SIGKILL');
  await first.exited;
  const second = workshop.start(['--config', path, '--port', new URL(url).port]);
  await second.url();
  const numbers = Array.from({ length: 100 }, (_, index) => index + 1).join(' ');
  expect(JSON.stringify((await run.final).content)).toContain(`"${numbers}"`);
});
