// A small MCP server over stdio, written out so that the client is tested against the protocol and not against itself.
import { createInterface } from 'node:readline';

const tools = [
  { name: 'read_note', description: 'Reads.', inputSchema: { type: 'object' }, annotations: { readOnlyHint: true } },
  {
    name: 'write_note',
    title: 'Write a note',
    description: 'Writes.',
    inputSchema: { type: 'object', properties: { text: { type: 'string' } } },
  },
];

const answers: Record<
  string,
  (params: { name?: string; arguments?: { text?: string }; protocolVersion?: string }) => unknown
> = {
  initialize: ({ protocolVersion }) => ({
    protocolVersion,
    capabilities: { tools: {} },
    serverInfo: { name: 'notes', version: '1' },
  }),
  'tools/list': () => ({ tools }),
  'tools/call': ({ name, arguments: args }) => {
    if (args?.text === 'die') process.exit(1);
    if (args?.text === 'bad') return { isError: true, content: [{ type: 'text', text: 'no paper left' }] };
    return { content: [{ type: 'text', text: `${name}: ${args?.text ?? ''}` }] };
  },
};

createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, method, params } = JSON.parse(line) as { id?: number; method: string; params: object };
  if (id === undefined) return;
  const answer = answers[method];
  const body = answer ? { result: answer(params as never) } : { error: { code: -32601, message: `no ${method}` } };
  process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', id, ...body })}\n`);
});
