import { describe, expect, test } from 'vitest';
import { type LogLevel, ProgramLog } from '../src/log.ts';

const esc = '\u001b';

function logOf({ level = 'info', format = 'json' }: { level?: LogLevel; format?: 'json' | 'text' } = {}) {
  const texts: string[] = [];
  const log = new ProgramLog({ level, format, write: (text) => texts.push(text), now: () => 1_700_000_000_000 });
  const lines = async () => {
    await log.settled();
    return texts;
  };
  return {
    log,
    lines,
    records: async () => (await lines()).map((text) => JSON.parse(text) as Record<string, unknown>),
  };
}

const refusal = {
  action: 'connect.refused',
  ts: 1,
  actor: 'unknown',
  remoteIp: '192.0.2.1',
  code: 'AUTH_TOKEN_MISMATCH',
} as const;
const connection = { connId: 'c1', role: 'operator', clientId: 'cli', clientVersion: '1' } as const;

describe('the log', () => {
  test('is one JSON object a line, with the time at which it happened', async () => {
    const { log, lines, records } = logOf();
    await log.open();
    log.observer.audited?.({ ...refusal, count: 3 });
    expect((await lines())[0]).toMatch(/^[^\n]*\n$/);
    expect(await records()).toEqual([
      {
        level: 'warn',
        time: '2023-11-14T22:13:20.000Z',
        event: 'connect.refused',
        actor: 'unknown',
        remoteIp: '192.0.2.1',
        code: 'AUTH_TOKEN_MISMATCH',
        count: 3,
        message: 'a connection was refused',
      },
    ]);
  });

  test('keeps what comes before its logger is loaded, in order', async () => {
    const { log, records } = logOf();
    log.warning('first');
    log.listening({ version: '1', address: '127.0.0.1', port: 1, tookMs: 5 });
    await log.open();
    log.warning('third');
    expect((await records()).map(({ event }) => event)).toEqual(['warning', 'listening', 'warning']);
    expect(log.unwritten()).toEqual([]);
  });

  test('gives a program that could not start its warnings, and nothing else', () => {
    const { log } = logOf();
    log.warning('the disk is nearly full');
    log.listening({ version: '1', address: '127.0.0.1', port: 1, tookMs: 5 });
    expect(log.unwritten()).toEqual([expect.stringContaining('the disk is nearly full')]);
  });

  test.each([
    ['silent', []],
    ['error', []],
    ['warn', ['run.ended']],
    ['info', ['run.ended', 'token.created']],
    ['debug', ['run.started', 'run.ended', 'token.created', 'connection.opened']],
    ['trace', ['run.started', 'run.ended', 'token.created', 'connection.opened', 'request']],
  ] as const)('at the level %s has what is worth that much', async (level, expected) => {
    const { log, records } = logOf({ level });
    await log.open();
    log.observer.runStarted?.({ runId: 'r', agentId: 'main' });
    log.observer.runEnded?.({ runId: 'r', agentId: 'main', outcome: 'failed' });
    log.observer.audited?.({ action: 'token.created', ts: 1, actor: 'token:shared' });
    log.observer.connectionOpened?.(connection);
    log.observer.requestAnswered?.({ method: 'health', outcome: 'ok', durationMs: 1, connId: 'c1' });
    expect((await records()).map(({ event }) => event)).toEqual(expected);
  });

  test('changes its level while it runs', async () => {
    const { log, records } = logOf();
    await log.open();
    log.observer.connectionOpened?.(connection);
    log.setLevel('debug');
    log.observer.connectionOpened?.(connection);
    expect(await records()).toHaveLength(1);
  });

  test('has of a trace its id alone', async () => {
    const { log, records } = logOf({ level: 'trace' });
    await log.open();
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    log.observer.requestAnswered?.({ method: 'health', outcome: 'ok', durationMs: 1.23456, connId: 'c1', traceparent });
    expect((await records())[0]).toMatchObject({ traceId: '0af7651916cd43dd8448eb211c80319c', durationMs: 1.23 });
    expect((await records())[0]).not.toHaveProperty('traceparent');
  });

  test('has of an error its words and where it happened, not what else it carries', async () => {
    const { log, records, lines } = logOf();
    await log.open();
    const cause = Object.assign(new Error('no answer'), { code: 'ECONNRESET', request: { key: 'sk-secret' } });
    log.observer.warning?.('the model is away', cause);
    expect((await records())[0]).toMatchObject({ error: 'no answer', errorName: 'Error', errorCode: 'ECONNRESET' });
    expect((await records())[0]?.stack).toContainEqual(expect.stringContaining('log.test.ts'));
    expect((await lines()).join()).not.toContain('sk-secret');
  });
});

describe('a secret that is known', () => {
  test('is in no line, wherever it came from and however early', async () => {
    const { log, lines } = logOf();
    log.warning('the agent stopped: wrong key sk-1234.567', new Error('no hush(hush here'));
    log.hide(['sk-1234.567', 'hush(hush']);
    await log.open();
    log.hide(['another one']);
    log.observer.audited?.({ action: 'token.created', ts: 1, actor: 'sk-1234.567', scopes: ['another one'] });
    log.warning('sk-1234x567 is none');
    expect((await lines()).join()).not.toMatch(/sk-1234\.567|hush\(hush|another one/);
    expect((await lines())[0]).toContain('wrong key [secret]');
    expect((await lines())[2]).toContain('sk-1234x567');
  });
});

describe('the log for a person', () => {
  const plain = (text = '') => text.replaceAll(new RegExp(`${esc}\\[\\d+m`, 'g'), '');

  test('is short lines', async () => {
    const { log, lines } = logOf({ format: 'text' });
    await log.open();
    log.observer.audited?.({ ...refusal, reason: 'token mismatch' });
    expect(plain((await lines())[0])).toBe(
      '22:13:20 warn  a connection was refused actor=unknown remoteIp=192.0.2.1 code=AUTH_TOKEN_MISMATCH reason="token mismatch"\n',
    );
  });

  test('does nothing to the terminal that somebody else wrote', async () => {
    const { log, lines } = logOf({ format: 'text', level: 'debug' });
    await log.open();
    log.observer.runStarted?.({ runId: `${esc}[2J\r\nfake line`, agentId: 'main' });
    expect(plain((await lines())[0])).toContain('runId=" [2J  fake line"');
    expect(plain((await lines())[0]).trimEnd()).not.toMatch(/[\r\n]/);
  });
});
