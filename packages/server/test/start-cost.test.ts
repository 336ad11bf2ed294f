import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';

/** Node's own modules that are loaded once `code` has run in a process of its own. */
function loadedBy(code: string): string[] {
  const script = `${code}\nprocess.stdout.write(JSON.stringify(process.moduleLoadList));`;
  const args = ['--conditions=@openclaw/source', '--input-type=module', '--eval', script];
  return JSON.parse(execFileSync(process.execPath, args, { cwd: import.meta.dirname, encoding: 'utf8' })) as string[];
}

const httpClient = 'NativeModule internal/deps/undici/undici';

test('importing the server does not load Node’s HTTP client, which would be a good part of the time to start', () => {
  expect(loadedBy(`await import('@openclaw/server');`)).not.toContain(httpClient);
});

test('neither does a message over a MessagePort', () => {
  const code = `
    import { portTransport } from '@openclaw/protocol/wire';
    const { port1, port2 } = new MessageChannel();
    await new Promise((message) => {
      portTransport(port2).open({ message, drained() {}, closed() {} });
      portTransport(port1).send('hello');
    });
    port1.close();`;
  expect(loadedBy(code)).not.toContain(httpClient);
});

test('a process that does use it is seen to', () => {
  expect(loadedBy('void fetch;')).not.toContain(httpClient);
  expect(loadedBy(`await fetch('data:,');`)).toContain(httpClient);
});
