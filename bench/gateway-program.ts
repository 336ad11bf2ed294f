import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { connect as connectTcp } from 'node:net';
import { join } from 'node:path';
import { freePort, killed, type Workplace } from './workplace.ts';

const main = join(import.meta.dirname, '../apps/gateway/dist/main.js');

/** The built program as a user runs it, on a port and a state directory of its own. */
export interface GatewayProgram {
  readonly url: string;
  readonly token: string;
  /** Proportional set size of the process, its worker threads included, in bytes. Linux only. */
  pssBytes(): number;
  /** `kill -9`. */
  kill(): Promise<void>;
}

/** How {@link startProgram} runs it. */
export interface ProgramOptions {
  stateDirectory: string;
  flags?: readonly string[];
  env?: Record<string, string>;
}

/** Starts the program and resolves as soon as its port accepts; that is within 2 ms of the truth. */
export async function startProgram(
  workplace: Workplace,
  { stateDirectory, flags = [], env = {} }: ProgramOptions,
): Promise<GatewayProgram> {
  const port = await freePort();
  const token = 'figures';
  const args = ['--port', String(port), '--state-dir', stateDirectory, '--token', token, ...flags];
  const child = workplace.run(main, args, env);
  // Nobody reads what it prints; a full pipe must not stop it.
  child.stdout?.resume();
  while (!(await accepts(port))) {
    if (child.exitCode !== null) throw new Error(`The gateway ended with ${child.exitCode} at its start.`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  return { url: `ws://127.0.0.1:${port}`, token, pssBytes: () => pssBytes(child), kill: () => killed(child) };
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connectTcp(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}

function pssBytes({ pid }: ChildProcess): number {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  return Number(/^Pss:\s+(\d+) kB/m.exec(rollup)?.[1] ?? Number.NaN) * 1024;
}
