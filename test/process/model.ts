import { LLMock } from '@copilotkit/aimock';
import type { ConformancePrompts } from '@openclaw/plugin-sdk/testing';
import { modelAgent } from './chosen-agent.ts';

const longText = Array.from({ length: 60 }, (_, index) => `word${index + 1}`).join(' ');

/** A program that says a word; a tool of the model's. */
const sayTool = (name: string, word: string) => ({
  name,
  description: `Says ${word}.`,
  command: [process.execPath, '-e', `process.stdout.write(${JSON.stringify(word)})`],
});

/** A model endpoint that a third party's mock plays, over the OpenAI wire format, and the agent on it. */
export async function startModel() {
  const mock = new LLMock({ port: 0, host: '127.0.0.1', chunkSize: 6, latency: 10, logLevel: 'silent' });
  mock.on({ userMessage: 'hello' }, { reasoning: 'A greeting.', content: 'Good morning!' });
  mock.on({ userMessage: 'long' }, { content: longText });
  mock.on({ userMessage: 'fail' }, { error: { message: 'out of order' }, status: 400 });
  const call = (name: string) => [{ id: `call_${name}`, name, arguments: '{}' }];
  mock.on({ userMessage: 'steps', hasToolResult: false }, { content: 'I look. ', toolCalls: call('look') });
  mock.on({ userMessage: 'steps', toolResultContains: 'found it' }, { content: `It is there. ${longText}` });
  mock.on({ userMessage: 'ask', hasToolResult: false }, { content: '', toolCalls: call('write') });
  mock.on({ userMessage: 'ask', toolResultContains: 'written' }, { content: 'You said allow.' });
  mock.on({ userMessage: 'ask', hasToolResult: true }, { content: 'You said deny.' });
  await mock.start();
  const url = `${mock.url}/v1`;
  const tools = [
    { ...sayTool('look', 'found it'), safe: true },
    { ...sayTool('write', 'written'), needsApproval: true },
  ];
  return { mock, url, agent: modelAgent(url, tools), stop: () => mock.stop() };
}

/** What the model can be asked. */
export const modelPrompts: ConformancePrompts = {
  short: 'hello',
  shortText: 'Good morning!',
  long: 'long',
  longText,
  steps: 'steps',
  failing: 'fail',
  approval: 'ask',
};
