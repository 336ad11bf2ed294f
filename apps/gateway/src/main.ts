#!/usr/bin/env node
import { enableCompileCache, flushCompileCache } from 'node:module';
import { ExitCode, StartError } from './exit.ts';
import { helpText, readFlags } from './flags.ts';
import type { RunningProgram } from './program.ts';

/** Long enough for the agent to have started, and the first clients to have come. */
const flushAfterMs = 5_000;

// Compiled code is kept between starts; everything heavy is imported after this line.
enableCompileCache();

try {
  const commandLine = readFlags(process.argv.slice(2), process.env);
  const print = (line: string) => console.log(line);
  if (commandLine.kind === 'help') process.stdout.write(helpText);
  else if (commandLine.kind === 'hash-password') {
    const { hashPasswordCommand } = await import('./commands/hash-password.ts');
    await hashPasswordCommand({ input: process.stdin, print, prompt: (text) => process.stderr.write(text) });
  } else if (commandLine.kind === 'check-config') {
    const { checkConfigCommand } = await import('./commands/check-config.ts');
    await checkConfigCommand(commandLine.flags, process.env, { print, now: Date.now });
  } else if (commandLine.kind === 'devices') {
    const { devicesCommand } = await import('./commands/devices.ts');
    await devicesCommand(commandLine.flags, process.env, { order: commandLine.order, print });
  } else if (commandLine.kind === 'setup-code') {
    const { setupCodeCommand } = await import('./commands/setup-code.ts');
    await setupCodeCommand(commandLine.flags, process.env, { url: commandLine.url, print });
  } else {
    const { programVersion, runProgram } = await import('./program.ts');
    if (commandLine.kind === 'version') console.log(programVersion());
    else {
      // A greeting that nobody can read is no reason to stop: a closed terminal, a full disk.
      for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
      const started = runProgram(commandLine.flags, {
        env: process.env,
        print,
        warn: (line) => console.error(line),
        isTerminal: process.stderr.isTTY === true,
      });
      stopOnSignals(started);
      await started;
      // Node writes it at a clean end only; a gateway that is always killed would compile anew at every start.
      setTimeout(flushCompileCache, flushAfterMs).unref();
    }
  }
} catch (error) {
  if (error instanceof StartError) console.error(error.message);
  else console.error('The gateway could not start, and did not foresee why:', error);
  process.exit(error instanceof StartError ? error.exitCode : ExitCode.internal);
}

/** The first signal drains, a second one ends the process at once; what was accepted is on the disk either way. */
function stopOnSignals(started: Promise<RunningProgram>): void {
  let isStopping = false;
  for (const [signal, number] of [
    ['SIGTERM', 15],
    ['SIGINT', 2],
    ['SIGHUP', 1],
  ] as const) {
    process.on(signal, () => {
      if (isStopping) process.exit(128 + number);
      isStopping = true;
      console.error('Stopping: answers in progress have 30 s to end. Once more stops at once.');
      started
        .then((program) => program.stop('gateway stopping'))
        .then(
          () => process.exit(ExitCode.ok),
          (error: unknown) => {
            // A start that failed says so itself.
            if (error instanceof StartError) return;
            console.error('The gateway could not stop cleanly; the next start repairs what is needed:', error);
            process.exit(ExitCode.internal);
          },
        );
    });
  }
}
