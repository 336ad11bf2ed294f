import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { seededRandom } from '@openclaw/protocol/testing';
import type { StreamHead } from '@openclaw/server';
import { expect, test } from 'vitest';
import { look, temporaryDirectory } from './state-directory.ts';

const child = join(import.meta.dirname, 'kill-child.ts');

interface Line {
  heads?: StreamHead[];
  isContinuous?: boolean;
  ledgerCount?: number;
  acknowledged?: [string, number][];
}

test('kill -9 at any moment loses nothing that was acknowledged, and epochs stay', { timeout: 180_000 }, async () => {
  const directory = temporaryDirectory();
  const random = seededRandom(20261122);
  const acknowledged = new Map<string, number>();
  for (let kill = 0; kill < 24; kill++) {
    const opened = await commitUntilKilled(directory, 1 + Math.floor(random() * 250), acknowledged);
    expect(opened.isContinuous).toBe(true);
    for (const { stream, epoch } of opened.heads ?? []) expect(epoch).toBe(`epoch of ${stream}`);
  }
  const { heads, isContinuous, records, ledger } = await look({ directory });
  expect(isContinuous).toBe(true);
  for (const { stream, epoch, head } of heads) {
    expect(epoch).toBe(`epoch of ${stream}`);
    expect(head).toBeGreaterThanOrEqual(acknowledged.get(stream) ?? 0);
    const texts = records.get(stream) ?? [];
    expect(texts.map((text) => text.split(' ', 2).join(' '))).toEqual(
      texts.map((_, index) => `${stream} ${index + 1}`),
    );
    expect(texts.length).toBe(head);
  }
  expect(ledger.length).toBe(heads.find(({ stream }) => stream === 'system')?.head);
  expect(acknowledged.get('system')).toBeGreaterThan(24);
});

/** Lets a child commit, kills it after some acknowledgements, and checks what it found against those of its forerunners. */
async function commitUntilKilled(directory: string, count: number, acknowledged: Map<string, number>): Promise<Line> {
  const process_ = spawn(process.execPath, ['--conditions=@openclaw/source', child, directory, '100000'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise((resolve) => process_.once('exit', resolve));
  let opened: Line | undefined;
  let seen = 0;
  for await (const text of createInterface({ input: process_.stdout })) {
    const line = JSON.parse(text) as Line;
    if (line.heads) {
      opened = line;
      const heads = new Map(line.heads.map(({ stream, head }) => [stream, head]));
      for (const [stream, offset] of acknowledged) expect(heads.get(stream) ?? 0).toBeGreaterThanOrEqual(offset);
    }
    for (const [stream, offset] of line.acknowledged ?? []) acknowledged.set(stream, offset);
    if (line.acknowledged && ++seen === count) process_.kill('SIGKILL');
  }
  await ended;
  expect(process_.signalCode).toBe('SIGKILL');
  return opened as Line;
}
