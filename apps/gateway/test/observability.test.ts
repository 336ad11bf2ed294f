import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from '@openclaw/client';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type GatewayProcess, Workshop } from './gateway-process.ts';

let workshop: Workshop;

beforeEach(() => {
  workshop = new Workshop();
});
afterEach(() => workshop.dispose());

/** The lines of the log among what the program printed. */
function logOf(program: GatewayProcess): Record<string, unknown>[] {
  const lines = program.output.split('\n').filter((line) => line.startsWith('{"level"'));
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}

function configured(settings: object): { path: string; write: (settings: object) => void } {
  const path = join(workshop.directory, 'c.json5');
  const write = (value: object) => writeFileSync(path, JSON.stringify(value));
  write(settings);
  return { path, write };
}

test('the program logs its life, and who was refused, as JSON where no person watches', async () => {
  const program = workshop.start();
  const url = await program.url();
  const stranger = connect({ url: url.replace('http', 'ws'), token: 'a-wrong-token' });
  await expect(stranger.request('health')).rejects.toThrow();
  stranger.close();
  await program.printed(/connect\.refused/);
  program.kill('SIGTERM');
  await program.exited;
  expect(logOf(program)).toMatchObject([
    { level: 'info', event: 'listening', port: Number(new URL(url).port), pid: program.pid },
    { level: 'warn', event: 'connect.refused', code: 'AUTH_TOKEN_MISMATCH', remoteIp: '127.0.0.1' },
    { level: 'info', event: 'stopping' },
    { level: 'info', event: 'stopped' },
  ]);
});

test('another level counts at once, and is itself in the log', async () => {
  const config = configured({});
  const program = workshop.start(['--config', config.path]);
  const url = await program.url();
  const gateway = connect({ url: url.replace('http', 'ws'), token: workshop.token });
  await gateway.request('health');
  config.write({ log: { level: 'trace' } });
  await program.printed(/config\.changed/);
  await gateway.request('health');
  await program.printed(/"method":"health"/);
  gateway.close();
  const log = logOf(program);
  expect(log.filter(({ method }) => method === 'health')).toHaveLength(1);
  expect(log).toContainEqual(
    expect.objectContaining({ event: 'config.changed', actor: 'config', reason: 'log.level' }),
  );
});

test('the metrics are served, and are gone as soon as they are turned off', async () => {
  const config = configured({});
  const program = workshop.start(['--config', config.path]);
  const url = await program.url();
  const answer = await fetch(`${url}/metrics`);
  expect(await answer.text()).toMatch(/^openclaw_gateway_connections\{role="agent",state="ready"\} [01]$/m);
  config.write({ metrics: false });
  await program.printed(/config\.changed/);
  expect((await fetch(`${url}/metrics`)).status).toBe(404);
});
