import { connect, type Gateway } from '@openclaw/client';
import type { AgentPart } from '@openclaw/plugin-sdk';
import { defineAgent, toolResult, toolStart } from '@openclaw/plugin-sdk';
import type { Approval } from '@openclaw/protocol';
import { afterEach, describe, expect, test } from 'vitest';
import { startGateway, type TestGateway, testToken } from './gateway.ts';

const hookToken = 'hook-token-of-the-tests';
const opened: { close(): unknown }[] = [];

afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

/** A gateway whose agent sends mail when it is told to, and an operator beside it. */
async function door(effects: object, agent = mailer()) {
  const running = await startGateway({ agent: agent.agent, hooks: { token: hookToken }, effects });
  opened.push(running);
  const operator = connect({ url: running.url, token: testToken });
  opened.push(operator);
  return { running, operator, sent: agent.sent };
}

function mailer() {
  const sent: string[] = [];
  const agent = defineAgent({
    resumable: true,
    async *run({ text, call }): AsyncIterable<AgentPart> {
      yield yield* call({ toolCallId: 'mail', name: 'mail', title: 'Send mail', args: { text } }, () => {
        sent.push(text);
        return 'It is sent.';
      });
    },
  });
  return { agent, sent };
}

async function hook({ port }: TestGateway, message: string): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}/hooks/agent`, {
    method: 'POST',
    headers: { authorization: `Bearer ${hookToken}`, 'content-type': 'application/json' },
    body: JSON.stringify({ message }),
  });
  expect(response.status).toBe(200);
  return ((await response.json()) as { runId: string }).runId;
}

async function nextApproval(operator: Gateway): Promise<Approval> {
  for await (const item of operator.stream('approvals').events()) {
    if (item.type === 'event' && item.event === 'approval.requested') return item.payload as Approval;
    const [waiting] = item.type === 'reset' && item.state?.kind === 'approvals' ? item.state.open : [];
    if (waiting) return waiting;
  }
  throw new Error('the stream of approvals ended');
}

async function outcome(operator: Gateway, runId: string) {
  return operator.request('agent.wait', { runId, timeoutMs: 20_000 });
}

describe('a run that a webhook started', () => {
  test('asks an operator before a tool with effects, and goes on with the answer', async () => {
    const { running, operator, sent } = await door({});
    const runId = await hook(running, 'mail everyone');
    const approval = await nextApproval(operator);
    expect(approval).toMatchObject({ runId, title: 'Send mail', toolCallId: 'mail' });
    expect(sent).toEqual([]);
    await operator.request('approvals.resolve', {
      id: approval.approvalId,
      decision: 'allow',
      idempotencyKey: 'the-answer',
    });
    expect(await outcome(operator, runId)).toMatchObject({ status: 'ok' });
    expect(sent).toEqual(['mail everyone']);
  });

  test('may do what its source was granted, without a question', async () => {
    const { running, operator, sent } = await door({ sources: { 'hook:agent': 'allow' } });
    const runId = await hook(running, 'mail everyone');
    expect(await outcome(operator, runId)).toMatchObject({ status: 'ok' });
    expect(sent).toEqual(['mail everyone']);
  });

  test('does nothing under deny', async () => {
    const { running, operator, sent } = await door({ hook: 'deny' });
    const runId = await hook(running, 'mail everyone');
    expect(await outcome(operator, runId)).toMatchObject({ status: 'error' });
    expect(sent).toEqual([]);
  });

  test('fails when its agent begins a tool with effects on its own, before the tool is carried out', async () => {
    const sent: string[] = [];
    const agent = defineAgent({
      async *run({ effects }): AsyncIterable<AgentPart> {
        // An agent that keeps to no rule, but for saying what it does before it does it.
        yield toolStart({ toolCallId: 'mail', name: 'mail' });
        yield toolResult({ toolCallId: 'mail', name: 'mail' }, `sent under ${effects}`);
      },
    });
    const { running, operator } = await door({}, { agent, sent });
    const runId = await hook(running, 'mail everyone');
    expect(await outcome(operator, runId)).toMatchObject({ status: 'error' });
    const { messages } = await operator.request('chat.history', { sessionKey: 'hook:agent', limit: 10 });
    expect(JSON.stringify(messages)).toContain('mail everyone');
    expect(JSON.stringify(messages)).not.toContain('sent under');
  });

  test('makes one call by one answer, also when its agent gives the next call the same id', async () => {
    const sent: string[] = [];
    const agent = defineAgent({
      async *run({ call }): AsyncIterable<AgentPart> {
        for (const to of ['Ada', 'everyone'])
          yield* call({ toolCallId: 'mail', name: 'mail', args: { to } }, () => sent.push(to));
      },
    });
    const { running, operator } = await door({}, { agent, sent });
    const runId = await hook(running, 'mail Ada');
    const { approvalId: id } = await nextApproval(operator);
    await operator.request('approvals.resolve', { id, decision: 'allow', idempotencyKey: 'the-answer' });
    expect(await outcome(operator, runId)).toMatchObject({ status: 'error' });
    expect(sent).toEqual(['Ada']);
  });

  test('an operator’s own message needs nobody’s approval', async () => {
    const { operator, sent } = await door({});
    await operator.session('main').send('mail Ada').final;
    expect(sent).toEqual(['mail Ada']);
  });
});
