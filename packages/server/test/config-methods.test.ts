import { GatewayError } from '@openclaw/protocol';
import { describe, expect, test } from 'vitest';
import type { ConfigEdit, ConfigPort } from '../src/index.ts';
import { openDoor } from './door-fixture.ts';

const change = { hash: 'b', changed: ['http.allowedHosts', 'port'], needsRestart: ['port'] };

/** A configuration that keeps what it was asked. */
function port(edits: ConfigEdit[]): ConfigPort {
  const edited = async (edit: ConfigEdit) => {
    if (edit.baseHash !== 'a') {
      throw new GatewayError('INVALID_REQUEST', 'changed', { details: { code: 'CONFIG_CONFLICT', hash: 'a' } });
    }
    edits.push(edit);
    return { ok: true as const, path: '/c', config: { port: 1 }, ...change };
  };
  return {
    get: () => ({ path: '/c', exists: true, valid: true, config: { port: 1 }, hash: 'a' }),
    schema: async () => ({ schema: { type: 'object' }, uiHints: { port: { help: 'The port.' } } }),
    patch: edited,
    set: edited,
  };
}

describe('the configuration by method', () => {
  test('is empty and can’t be changed where the program has none', async () => {
    const caller = await (await openDoor()).dial();
    expect(await caller.ask('config.get', {})).toMatchObject({ payload: { path: '', exists: false, config: {} } });
    for (const method of ['config.schema', 'config.patch', 'config.set']) {
      expect(await caller.ask(method, { raw: '{}' })).toMatchObject({
        error: { message: `unknown method: ${method}` },
      });
    }
  });

  test('is what the program says, and a change carries who asks for it', async () => {
    const edits: ConfigEdit[] = [];
    const caller = await (await openDoor({ config: port(edits), version: '9.9.9' })).dial();
    expect(await caller.ask('config.get', {})).toMatchObject({ payload: { path: '/c', hash: 'a' } });
    expect(await caller.ask('config.schema', {})).toMatchObject({
      payload: { schema: { type: 'object' }, version: '9.9.9', generatedAt: expect.stringMatching(/^\d{4}-.*Z$/) },
    });
    expect(await caller.ask('config.patch', { raw: '{}' })).toMatchObject({
      error: { details: { code: 'CONFIG_CONFLICT', hash: 'a' } },
    });
    expect(await caller.ask('config.patch', { raw: '{ port: 1 }', baseHash: 'a' })).toMatchObject({ payload: change });
    expect(await caller.ask('config.set', { raw: '{ port: 2 }', baseHash: 'a' })).toMatchObject({ payload: change });
    expect(edits).toEqual([
      { raw: '{ port: 1 }', baseHash: 'a', by: expect.stringMatching(/./), assertAllowed: expect.any(Function) },
      { raw: '{ port: 2 }', baseHash: 'a', by: edits[0]?.by, assertAllowed: expect.any(Function) },
    ]);
  });

  test('tells every operator of a change and of a file that was refused, and the audit trail of all', async () => {
    const { gateway, clock, dial } = await openDoor();
    const caller = await dial();
    await caller.ask('streams.subscribe', { streams: [{ stream: 'system' }] });
    await gateway.configChanged({ ...change, by: 'device:ab' });
    await gateway.configChanged({ hash: 'c', changed: [], needsRestart: [], problem: 'an edit', by: 'device:ab' });
    // Alike refusals of one minute are one entry.
    await clock.advance(61_000);
    await gateway.configChanged({ hash: 'c', changed: [], needsRestart: [], problem: 'a file' });
    const { payload } = await caller.ask('audit.entries', {});
    expect(payload).toMatchObject({
      entries: [
        { action: 'config.refused', actor: 'config', reason: 'a file' },
        { action: 'config.refused', actor: 'device:ab', reason: 'an edit' },
        {
          action: 'config.changed',
          actor: 'device:ab',
          reason: 'http.allowedHosts, port; in use after a restart: port',
        },
      ],
    });
    const told = caller.events.filter(({ event }) => event === 'config.changed');
    expect(told.map(({ payload: event }) => event)).toEqual([
      { ...change, ts: expect.any(Number) },
      { hash: 'c', changed: [], needsRestart: [], problem: 'a file', ts: expect.any(Number) },
    ]);
  });
});
