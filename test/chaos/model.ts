import { LLMock } from '@copilotkit/aimock';

/** A model endpoint that streams one known answer slowly; a third party's mock, over the OpenAI wire format. */
export interface Model {
  /** The base URL, `/v1` included. */
  url: string;
  /** What a whole answer looks like. */
  answer: RegExp;
  stop(): Promise<void>;
}

export async function startModel(): Promise<Model> {
  const text = Array.from({ length: 120 }, (_, index) => `word${index + 1}`).join(' ');
  const mock = new LLMock({ port: 0, host: '127.0.0.1', chunkSize: 12, latency: 20, logLevel: 'silent' });
  mock.addFixture({ match: {}, response: { content: text } });
  await mock.start();
  return { url: `${mock.url}/v1`, answer: new RegExp(`^${text}$`), stop: () => mock.stop() };
}
