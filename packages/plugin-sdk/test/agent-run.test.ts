import type { RunPart } from '@openclaw/protocol';
import { settle } from '@openclaw/protocol/testing';
import { describe, expect, test } from 'vitest';
import {
  DeniedError,
  defineAgent,
  end,
  fail,
  notice,
  type RunContext,
  step,
  thinking,
  toolStart,
} from '../src/index.ts';
import { rehearse } from '../src/testing.ts';

const kinds = (parts: readonly RunPart[]) => parts.map(({ stream }) => stream);

describe('the end of a run', () => {
  test('a run that returns ends well, with the terminal as the last part', async () => {
    const run = rehearse(
      defineAgent({
        async *run({ text }) {
          yield thinking('hm');
          yield `You said: ${text}`;
        },
      }),
    );
    expect(await run.ended).toEqual({ phase: 'end' });
    expect(kinds(run.parts)).toEqual(['thinking', 'assistant', 'lifecycle']);
    expect(run.text).toBe('You said: Hello');
  });

  test('end() ends at once, with its reason and usage', async () => {
    const run = rehearse(
      defineAgent({
        async *run() {
          yield end({ stopReason: 'length', usage: { outputTokens: 3 } });
          yield 'never';
        },
      }),
    );
    expect(await run.ended).toEqual({ phase: 'end', stopReason: 'length' });
    expect(kinds(run.parts)).toEqual(['usage', 'lifecycle']);
  });

  test('a run that throws fails with the words of its error and the kind it names', async () => {
    const run = rehearse(
      defineAgent({
        async *run() {
          yield 'so far';
          throw Object.assign(new Error('Too many requests; wait a minute.'), { errorKind: 'rate_limit' });
        },
      }),
    );
    expect(await run.ended).toEqual({
      phase: 'error',
      reason: 'failed',
      error: 'Too many requests; wait a minute.',
      errorKind: 'rate_limit',
    });
    expect(run.text).toBe('so far');
  });

  test('fail() fails with its words', async () => {
    const run = rehearse(
      defineAgent({
        run: async function* () {
          yield fail('no key');
        },
      }),
    );
    expect(await run.ended).toEqual({ phase: 'error', reason: 'failed', error: 'no key' });
  });

  test('an agent that throws before its first part fails the run', async () => {
    const run = rehearse(
      defineAgent({
        run() {
          throw new Error('broken');
        },
      }),
    );
    expect(await run.ended).toMatchObject({ phase: 'error', error: 'broken' });
  });
});

describe('abort', () => {
  test('reaches the signal with an Error, and nothing is said after it', async () => {
    let reason: unknown;
    const run = rehearse(
      defineAgent({
        async *run({ signal }) {
          yield 'working';
          await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
          reason = signal.reason;
          yield 'too late';
        },
      }),
    );
    await settle();
    run.abort('the person pressed stop');
    expect(await run.ended).toBeUndefined();
    await settle();
    expect(reason).toBeInstanceOf(Error);
    expect(run.text).toBe('working');
  });

  test('ends a run whose agent ignores it', async () => {
    const run = rehearse(
      defineAgent({
        run: async function* () {
          yield 'a';
          await new Promise(() => {});
        },
      }),
    );
    await settle();
    run.abort();
    expect(await run.ended).toBeUndefined();
  });
});

describe('steering', () => {
  const steered = (parts: readonly RunPart[]) =>
    parts.flatMap((part) => (part.stream === 'item' && part.data.kind === 'steered' ? [part.data.inputId] : []));

  test('a message counts as taken in when the agent takes it, once', async () => {
    const run = rehearse(
      defineAgent({
        async *run({ steering }) {
          yield 'ready';
          for await (const { text } of steering) {
            yield `[${text}]`;
            if (text === 'stop') return;
          }
        },
      }),
    );
    await settle();
    run.steer({ inputId: 'i1', text: 'left' });
    run.steer({ inputId: 'i1', text: 'left' });
    await settle();
    run.steer({ inputId: 'i2', text: 'stop' });
    await run.ended;
    expect(run.text).toBe('ready[left][stop]');
    expect(steered(run.parts)).toEqual(['i1', 'i2']);
  });

  test('a message that nobody takes is not said to be taken', async () => {
    const run = rehearse(
      defineAgent({
        run: async function* () {
          await settle();
          yield 'a';
        },
      }),
    );
    run.steer({ inputId: 'i1', text: 'left' });
    await run.ended;
    expect(steered(run.parts)).toEqual([]);
  });
});

describe('approvals', () => {
  const asks = defineAgent({
    resumable: true,
    async *run({ approve }) {
      yield `It was: ${await approve({ title: 'Send it?', toolCallId: 'mail' })}`;
    },
  });

  test('are asked once and answered by a person', async () => {
    const run = rehearse(asks);
    await settle();
    expect(run.parts).toEqual([
      {
        stream: 'approval',
        data: { phase: 'requested', approvalId: 'run-1:mail', title: 'Send it?', toolCallId: 'mail' },
      },
    ]);
    run.decide('run-1:mail', 'deny');
    await run.ended;
    expect(run.text).toBe('It was: deny');
  });

  test('are not asked again after a restart, and find the answer that came meanwhile', async () => {
    const first = rehearse(asks);
    await settle();
    first.abort();
    const again = rehearse(asks, {
      journal: first.parts,
      approvals: [{ approvalId: 'run-1:mail', decision: 'allow' }],
    });
    await again.ended;
    expect(kinds(again.parts)).toEqual(['assistant', 'lifecycle']);
    expect(again.text).toBe('It was: allow');
  });

  test('end with the run', async () => {
    let end: unknown;
    const run = rehearse(
      defineAgent({
        run: async function* ({ approve }) {
          await approve({ title: 'x' }).catch((error) => {
            end = error;
          });
          yield 'a';
        },
      }),
    );
    await settle();
    run.abort();
    await run.ended;
    await settle();
    expect(end).toBeInstanceOf(Error);
  });
});

describe('tool calls', () => {
  function mailer(executed: string[], safe = false) {
    return defineAgent({
      resumable: true,
      async *run({ call }: RunContext) {
        yield 'Sending. ';
        const id = yield* call({ name: 'mail', safe, args: { to: 'ann' } }, () => {
          executed.push('mail');
          return 'id-7';
        });
        yield `Sent as ${id}.`;
      },
    });
  }

  test('show start and result around the work', async () => {
    const run = rehearse(mailer([]));
    await run.ended;
    expect(run.parts.filter(({ stream }) => stream === 'tool')).toEqual([
      {
        stream: 'tool',
        data: { phase: 'start', toolCallId: 'tool-1', name: 'mail', safe: false, args: { to: 'ann' } },
      },
      { stream: 'tool', data: { phase: 'result', toolCallId: 'tool-1', name: 'mail', result: 'id-7' } },
    ]);
  });

  test('that are finished are not done again', async () => {
    const executed: string[] = [];
    const first = rehearse(mailer(executed));
    await first.ended;
    for (let cut = 1; cut < first.parts.length; cut++) {
      const journal = first.parts.slice(0, cut);
      const last = journal.at(-1);
      if (last?.stream === 'tool' && last.data.phase === 'start') continue;
      executed.length = 0;
      const again = rehearse(mailer(executed), { journal });
      expect(await again.ended).toEqual({ phase: 'end' });
      expect(again.text).toBe('Sending. Sent as id-7.');
      expect(executed).toEqual(cut > 2 ? [] : ['mail']);
    }
  });

  test('that were at work and are not safe end the run as interrupted, without asking the agent', async () => {
    const executed: string[] = [];
    const journal: RunPart[] = [
      { stream: 'tool', data: { phase: 'start', toolCallId: 'tool-1', name: 'mail', safe: false } },
    ];
    const run = rehearse(mailer(executed), { journal });
    expect(await run.ended).toMatchObject({
      phase: 'error',
      reason: 'interrupted',
      error: expect.stringContaining('mail'),
    });
    expect(executed).toEqual([]);
  });

  test('that were at work and are safe are done again under the same name', async () => {
    const executed: string[] = [];
    const journal: RunPart[] = [
      { stream: 'tool', data: { phase: 'start', toolCallId: 'tool-1', name: 'mail', safe: true } },
    ];
    const run = rehearse(mailer(executed, true), { journal });
    expect(await run.ended).toEqual({ phase: 'end' });
    expect(executed).toEqual(['mail']);
    expect(
      run.parts.filter(({ stream }) => stream === 'tool').map(({ data }) => (data as { phase: string }).phase),
    ).toEqual(['result']);
  });

  test('that a person denies do not begin', async () => {
    const run = rehearse(
      defineAgent({
        async *run({ call }) {
          try {
            yield* call({ name: 'mail', approval: { title: 'Send?' } }, () => 'sent');
          } catch (error) {
            yield error instanceof DeniedError ? 'not sent' : 'broken';
          }
        },
      }),
      { emitted: (part, { decide }) => part.stream === 'approval' && decide(part.data.approvalId, 'deny') },
    );
    await run.ended;
    expect(run.text).toBe('not sent');
    expect(kinds(run.parts)).not.toContain('tool');
  });
});

describe('a continued run', () => {
  const story = defineAgent({
    resumable: true,
    async *run({ journal }) {
      for (let chapter = journal.steps.length + 1; chapter <= 3; chapter++) {
        yield notice(`chapter ${chapter}`);
        yield thinking(`plan ${chapter}`);
        yield `This is `;
        yield `chapter ${chapter}. `;
        yield step();
      }
      yield 'The end.';
    },
  });

  test('ends with the same words wherever the first attempt was cut, and says nothing twice', async () => {
    const whole = rehearse(story);
    await whole.ended;
    for (let cut = 0; cut < whole.parts.length; cut++) {
      const journal = whole.parts.slice(0, cut);
      const again = rehearse(story, { journal, attempt: 2 });
      expect(await again.ended).toEqual({ phase: 'end' });
      expect([...journal, ...again.parts].filter(({ stream }) => stream !== 'lifecycle')).toEqual(
        whole.parts.filter(({ stream }) => stream !== 'lifecycle'),
      );
    }
  });

  test('gives an agent that is not resumable no journal', async () => {
    const run = rehearse(
      defineAgent({
        run: async function* ({ journal }) {
          yield `${journal.open.length}`;
        },
      }),
      {
        journal: [{ stream: 'assistant', data: { itemId: 'text-9', at: 0, delta: 'x' } }],
      },
    );
    await run.ended;
    expect(run.parts[0]).toEqual({ stream: 'assistant', data: { itemId: 'text-1', at: 0, delta: '0' } });
  });
});

test('files are read in pages and put together', async () => {
  const bytes = Uint8Array.from({ length: 200_000 }, (_, index) => index % 251);
  let read: Uint8Array | undefined;
  const run = rehearse(
    defineAgent({
      async *run({ attachments: [file], readMedia }) {
        if (file) read = await readMedia(file);
        yield file?.mimeType ?? '';
      },
    }),
    { attachments: [{ mimeType: 'image/png', bytes }] },
  );
  await run.ended;
  expect(read).toEqual(bytes);
});

test('a part that is none fails the run instead of the process', async () => {
  const run = rehearse(
    defineAgent({
      run: async function* () {
        yield toolStart({ toolCallId: 't', name: 'x', args: 1n });
      },
    }),
  );
  expect(await run.ended).toMatchObject({ phase: 'error', reason: 'failed' });
});

describe('a run whose message came from outside', () => {
  const mailer = (done: string[]) =>
    defineAgent({
      async *run({ call, source, effects }) {
        yield `${source?.kind}:${source?.id} ${effects} `;
        yield* call({ name: 'look', safe: true }, () => done.push('looked'));
        yield yield* call({ name: 'mail', title: 'Send mail', args: { to: 'ada' } }, () => {
          done.push('sent');
          return 'sent';
        });
      },
    });
  const source = { kind: 'hook' as const, id: 'github' };

  test('asks a person before each call that is not safe, though the agent did not', async () => {
    const done: string[] = [];
    const run = rehearse(mailer(done), {
      source,
      effects: 'ask',
      emitted: (part, { decide }) => {
        if (part.stream !== 'approval') return;
        done.push(`asked: ${part.data.title}`);
        decide(part.data.approvalId, 'allow');
      },
    });
    expect(await run.ended).toEqual({ phase: 'end' });
    expect(done).toEqual(['looked', 'asked: Send mail', 'sent']);
    expect(run.text).toBe('hook:github ask sent');
  });

  test('with deny nobody is asked, and nothing that is not safe is done', async () => {
    const done: string[] = [];
    const run = rehearse(mailer(done), { source, effects: 'deny' });
    expect(await run.ended).toMatchObject({ phase: 'error', error: expect.stringContaining('from outside') });
    expect(done).toEqual(['looked']);
    expect(kinds(run.parts)).not.toContain('approval');
  });

  test('an operator’s own run is as it was', async () => {
    const done: string[] = [];
    const run = rehearse(mailer(done));
    expect(await run.ended).toEqual({ phase: 'end' });
    expect(done).toEqual(['looked', 'sent']);
  });
});
