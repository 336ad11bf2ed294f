import { expect, test } from 'vitest';
import { asAgentTool, type CommandTool } from '../src/tool.ts';

const situation = { toolCallId: 't', runId: 'r', signal: new AbortController().signal };

function program(script: string, options: Partial<CommandTool> = {}) {
  return asAgentTool({ name: 'x', description: 'x', command: [process.execPath, '-e', script], ...options });
}

test('a program gets its arguments as JSON on its input, and its output is the result', async () => {
  const tool = program(`process.stdin.on('data', (data) => process.stdout.write('got ' + JSON.parse(data).city))`);
  expect(await tool.execute({ city: 'Oslo' }, situation)).toBe('got Oslo');
});

test('a program that fails throws what it complained about', async () => {
  await expect(program(`console.error('no disk'); process.exit(3)`).execute({}, situation)).rejects.toThrow(
    /code 3.*no disk/,
  );
});

test('an abort ends the program', async () => {
  const abort = new AbortController();
  const running = program('setInterval(() => {}, 1000)').execute({}, { ...situation, signal: abort.signal });
  abort.abort(new Error('stopped'));
  await expect(running).rejects.toThrow('stopped');
});

test('a program that is not safe asks a person, unless it is configured otherwise', () => {
  expect(program('').needsApproval).toBe(true);
  expect(program('', { safe: true }).needsApproval).toBe(false);
  expect(program('', { needsApproval: false }).needsApproval).toBe(false);
});

test('a program gets the variables that it was given, and none of the agent’s own but PATH and the like', async () => {
  process.env.OPENCLAW_TEST_SECRET = 'not for programs';
  try {
    const script = `process.stdout.write([process.env.OPENCLAW_TEST_SECRET, process.env.CITY, typeof process.env.PATH].join(' '))`;
    const tool = program(script, { env: { CITY: 'Oslo' } });
    expect(await tool.execute({}, situation)).toBe(' Oslo string');
  } finally {
    delete process.env.OPENCLAW_TEST_SECRET;
  }
});
