import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const run = promisify(execFile);

test('importing the package, and making an agent, loads neither the AI SDK nor a provider nor MCP', async () => {
  const script = `
    import { registerHooks } from 'node:module';
    const loaded = [];
    registerHooks({ load(url, context, next) { loaded.push(url); return next(url, context); } });
    const { aiSdkAgent } = await import('@openclaw/agent-ai-sdk');
    aiSdkAgent({ baseUrl: 'http://127.0.0.1:9/v1', model: 'm' });
    console.log(JSON.stringify(loaded.filter((url) => /node_modules\\/(ai|@ai-sdk)\\//.test(url))));
    console.log(loaded.length);
  `;
  const { stdout } = await run(
    process.execPath,
    ['--conditions=@openclaw/source', '--input-type=module', '-e', script],
    {
      cwd: new URL('..', import.meta.url),
    },
  );
  const [heavy, count] = stdout.trim().split('\n');
  expect(Number(count)).toBeGreaterThan(5);
  expect(heavy).toBe('[]');
});
