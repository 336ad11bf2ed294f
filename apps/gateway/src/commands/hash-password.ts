import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { hashPassword } from '@openclaw/server';
import { ExitCode, StartError } from '../exit.ts';

/** What a command needs of the process. */
export interface HashPasswordSurroundings {
  input: NodeJS.ReadableStream & { isTTY?: boolean };
  /** A line of the result. */
  print: (line: string) => void;
  /** A word to the person at the terminal. */
  prompt: (text: string) => void;
}

/** Reads a password, the first line of the input, and prints what may stand in the configuration in its place. */
export async function hashPasswordCommand({ input, print, prompt }: HashPasswordSurroundings): Promise<void> {
  const isTyped = input.isTTY === true;
  if (isTyped) prompt('Password (not shown): ');
  const password = await firstLine(input, isTyped);
  if (isTyped) prompt('\n');
  if (password === '') {
    throw new StartError(ExitCode.usage, 'There is no password on the input. Type one, or pipe it in.');
  }
  print(await hashPassword(password));
}

/** The first line, without echo where it is typed; empty when there is none. */
function firstLine(input: NodeJS.ReadableStream, isTyped: boolean): Promise<string> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input, output: nowhere, terminal: isTyped });
  return new Promise((resolve) => {
    lines.once('line', (line) => {
      resolve(line);
      lines.close();
    });
    lines.once('close', () => resolve(''));
  });
}
