import { rehearse } from '@openclaw/plugin-sdk/testing';
import type { Message } from '@openclaw/protocol';
import { expect, test } from 'vitest';
import { modelMessages } from '../src/conversation.ts';
import { aiSdkAgent } from '../src/index.ts';
import { recordingServer } from './recording-server.ts';

const mebibyte = 1_048_576;

function file(fileName: string, sizeBytes: number): Message['content'][number] {
  return { type: 'media', media: { id: fileName, mimeType: 'image/png', sizeBytes, fileName } };
}

function said(id: string, ...content: Message['content']): Message {
  return { id, role: 'user', timestamp: 1, content };
}

test('files of more than a provider takes are told by their names, the oldest first', async () => {
  const read: string[] = [];
  const messages = await modelMessages(
    [
      said('m1', file('huge.png', 100 * mebibyte), file('old.png', 9 * mebibyte), file('tiny.png', 10)),
      said('m2', file('new.png', 12 * mebibyte)),
    ],
    async ({ id }) => {
      read.push(id);
      return new Uint8Array(1);
    },
  );
  expect(read.sort()).toEqual(['new.png', 'tiny.png']);
  const told = JSON.stringify(messages);
  expect(told).toContain('[huge.png, image/png, 104857600 bytes: too long to read here]');
  expect(told).toContain('[old.png, image/png, 9437184 bytes: too long to read here]');
});

/** Continues a run that had asked a person about a call of `write` when its agent died; says what was carried out. */
async function continued(args: unknown, names = ['write']) {
  const server = await recordingServer(() => ({ status: 400, body: { error: { message: 'enough' } } }));
  const calls: string[] = [];
  const tools = names.map((name) => ({
    name,
    title: 'Write',
    description: 'Writes a file.',
    execute: () => calls.push(name),
  }));
  const config = { baseUrl: `${server.url}/v1`, model: 'm', apiKey: 'k', maxRetries: 0, tools };
  const asked = { approvalId: 'run-1:c1', title: 'Write', toolCallId: 'c1', args };
  const run = rehearse(aiSdkAgent(config), {
    journal: [{ stream: 'approval', data: { phase: 'requested', ...asked } }],
    approvals: [{ approvalId: asked.approvalId, decision: 'allow' }],
  });
  await run.ended;
  await server.close();
  return { calls, told: server.requests[0]?.body ?? '' };
}

test('a call that a person allowed is carried out after a restart, unless only a part of its arguments was kept', async () => {
  expect((await continued({ text: 'Once' })).calls).toEqual(['write']);
  const { calls, told } = await continued('{"text":"Once… (9 more)');
  expect(calls).toEqual([]);
  expect(told).toContain('too long to be kept over a restart');
});

test('a call that a person allowed is not carried out where several tools are shown by the same name', async () => {
  expect((await continued({ text: 'Once' }, ['erase', 'write'])).calls).toEqual([]);
});
