import { type Agent, defineAgent } from '@openclaw/plugin-sdk';
import { rehearse } from '@openclaw/plugin-sdk/testing';
import type { Message, RunPart } from '@openclaw/protocol';
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

test('a call of whose arguments only a part was kept over a restart is not carried out', async () => {
  const server = await recordingServer(() => ({ status: 400, body: { error: { message: 'enough' } } }));
  const calls: unknown[] = [];
  const tool = { name: 'write', description: 'Writes a file.', execute: (args: unknown) => calls.push(args) };
  const agent: Agent = aiSdkAgent({
    baseUrl: `${server.url}/v1`,
    model: 'm',
    apiKey: 'k',
    maxRetries: 0,
    tools: [tool],
  });
  const approval = { approvalId: 'run-1:c1', title: 'write', toolCallId: 'c1', args: '{"text":"Once… (9 more)' };
  const journal: RunPart[] = [{ stream: 'approval', data: { phase: 'requested', ...approval } }];
  const approvals = [{ approvalId: approval.approvalId, decision: 'allow' as const }];
  const run = rehearse(defineAgent(agent), { journal, approvals });
  await run.ended;
  await server.close();
  expect(calls).toEqual([]);
  expect(server.requests[0]?.body).toContain('too long to be kept over a restart');
});
