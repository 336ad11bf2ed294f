import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import { type McpServer, McpTools } from '../src/mcp-tools.ts';

const server: McpServer = {
  command: process.execPath,
  args: [fileURLToPath(new URL('./mcp-server.fixture.ts', import.meta.url))],
};
const situation = { toolCallId: 't', runId: 'r', signal: new AbortController().signal };
let open: McpTools | undefined;

afterEach(async () => {
  await open?.close();
});

async function toolsOf(servers: Record<string, McpServer>) {
  open = new McpTools(servers);
  const { tools, problems } = await open.load();
  return { tools, problems, byName: new Map(tools.map((tool) => [tool.name, tool])) };
}

test('a tool that only reads is safe and asks nobody; others ask a person', async () => {
  const { tools } = await toolsOf({ notes: server });
  expect(tools.map(({ name, safe, needsApproval }) => [name, safe, needsApproval])).toEqual([
    ['notes_read_note', true, false],
    ['notes_write_note', false, true],
  ]);
  expect(tools[1]?.title).toBe('notes: Write a note');
});

test('whether a person is asked can be configured per server', async () => {
  const { tools } = await toolsOf({ a: { ...server, approval: 'always' }, b: { ...server, approval: 'never' } });
  expect(tools.map(({ name, needsApproval }) => [name, needsApproval])).toEqual([
    ['a_read_note', true],
    ['a_write_note', true],
    ['b_read_note', false],
    ['b_write_note', false],
  ]);
});

test('a call gives its text, a failed one throws it', async () => {
  const { byName } = await toolsOf({ notes: server });
  const write = byName.get('notes_write_note');
  expect(await write?.execute({ text: 'milk' }, situation)).toBe('write_note: milk');
  await expect(write?.execute({ text: 'bad' }, situation)).rejects.toThrow('no paper left');
});

test('a server that cannot be had is told in words, the others work', async () => {
  const { tools, problems } = await toolsOf({ gone: { command: '/nonexistent/server' }, notes: server });
  expect(tools).toHaveLength(2);
  expect(problems).toEqual([expect.stringContaining('The MCP server gone is not available')]);
});

test('a server that died is started again for the next run', async () => {
  const { byName } = await toolsOf({ notes: server });
  const aborting = new AbortController();
  const call = byName.get('notes_write_note')?.execute({ text: 'die' }, { ...situation, signal: aborting.signal });
  await expect(call).rejects.toThrow();
  const again = await (open as McpTools).load();
  expect(again.problems).toEqual([]);
  expect(await again.tools[1]?.execute({ text: 'milk' }, situation)).toBe('write_note: milk');
});
