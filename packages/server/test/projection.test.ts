import type { RunPart } from '@openclaw/protocol';
import { settle, VirtualClock } from '@openclaw/protocol/testing';
import { beforeEach, describe, expect, test } from 'vitest';
import { V4Projection } from '../src/projection/v4-projection.ts';
import { committed, joined, type RecordingPeer, recordingPeer, scriptedRun, sessionKey } from './projection-peer.ts';

let clock: VirtualClock;
let journal: RunPart[];
let projection: V4Projection;
let peer: RecordingPeer;

beforeEach(() => {
  clock = new VirtualClock();
  journal = [];
  projection = new V4Projection({ clock, journalOf: () => journal });
  peer = recordingPeer();
  projection.join(peer);
});

const chat = (state: string) => peer.payloads('chat').filter((payload) => payload.state === state);
const user = { id: 'm1', role: 'user', content: [{ type: 'text', text: 'Hi' }], timestamp: 5, idempotencyKey: 'run-1' };
const message = (words: object = user) =>
  committed('session.message', { sessionKey, sessionId: 's1', agentId: 'main', messageSeq: 1, message: words, n: 3 });

describe('a run as v4 sees it', () => {
  test('goes from status over deltas to a final message, in the order and words of v4', () => {
    const run = scriptedRun('run-1');
    projection.publish([run.lifecycle({ phase: 'queued' })]);
    projection.publish([run.lifecycle({ phase: 'start', startedAt: 10, attempt: 1 })]);
    projection.publish([run.text('text-1', 'Hello')]);
    projection.publish([run.part({ stream: 'usage', data: { outputTokens: 1 } })]);
    projection.publish([run.lifecycle({ phase: 'end', endedAt: 20 })]);

    expect(
      peer.sent.map(
        ({ event, payload }) =>
          `${event} ${payload.state ?? payload.stream} ${payload.phase ?? payload.data?.phase ?? ''}`,
      ),
    ).toEqual([
      'chat status preparing_context',
      'agent run_status preparing_context',
      'agent lifecycle start',
      'chat status starting_model',
      'agent assistant ',
      'chat delta ',
      'agent usage ',
      'agent lifecycle end',
      'chat final ',
    ]);
    expect(peer.payloads('agent', 'assistant')).toEqual([
      {
        runId: 'run-1',
        stream: 'assistant',
        data: { text: 'Hello', delta: 'Hello', itemId: 'text-1' },
        sessionKey,
        sessionId: 'session-1',
        agentId: 'main',
        seq: 3,
        ts: 1_700_000_000_003,
        isHeartbeat: false,
      },
    ]);
    expect(peer.payloads('agent', 'lifecycle').at(-1).data).toEqual({
      phase: 'end',
      stopReason: 'stop',
      aborted: false,
      startedAt: 10,
      endedAt: 20,
    });
    expect(chat('final')).toEqual([
      {
        runId: 'run-1',
        sessionKey,
        agentId: 'main',
        seq: 5,
        state: 'final',
        stopReason: 'stop',
        message: { role: 'assistant', content: [{ type: 'text', text: 'Hello' }], timestamp: 1_700_000_000_005 },
      },
    ]);
  });

  test('has one text over all its parts in chat, and one per part in agent events', () => {
    const run = scriptedRun('run-1');
    projection.publish([run.thinking('thinking-1', 'Hm.'), run.text('text-1', 'Let me look. ')]);
    projection.publish([run.tool({ phase: 'start', toolCallId: 't1', name: 'look', safe: true })]);
    projection.publish([run.text('text-2', 'It rains.'), run.lifecycle({ phase: 'end' })]);

    expect(peer.payloads('agent', 'thinking')[0].data).toEqual({ text: 'Hm.', delta: 'Hm.', itemId: 'thinking-1' });
    expect(peer.payloads('agent', 'assistant').map(({ data }) => data.text)).toEqual(['Let me look. ', 'It rains.']);
    expect(chat('delta').map(({ deltaText }) => deltaText)).toEqual(['Let me look. ', 'It rains.']);
    expect(chat('final')[0].message.content[0].text).toBe('Let me look. It rains.');
  });

  test('that was aborted ends in aborted with the partial text', () => {
    const run = scriptedRun('run-1');
    projection.publish([run.text('text-1', 'Half')]);
    projection.publish([run.lifecycle({ phase: 'error', reason: 'aborted', aborted: true })]);
    expect(peer.payloads('agent', 'lifecycle')[0].data).toMatchObject({
      phase: 'error',
      aborted: true,
      stopReason: 'aborted',
    });
    expect(chat('aborted')).toMatchObject([{ stopReason: 'rpc', message: { content: [{ text: 'Half' }] } }]);
  });

  test.each([
    [{ reason: 'failed', error: 'no key', errorKind: 'rate_limit' }, 'no key', 'rate_limit'],
    [{ reason: 'timeout' }, 'The run ended: timeout.', 'timeout'],
    [{ reason: 'interrupted' }, 'The run ended: interrupted.', 'unknown'],
  ] as const)('that failed (%j) ends in error with words and a kind', (data, errorMessage, errorKind) => {
    const run = scriptedRun('run-1');
    projection.publish([run.lifecycle({ phase: 'error', ...data })]);
    expect(chat('error')).toMatchObject([{ errorMessage, errorKind }]);
    expect(chat('error')[0]).not.toHaveProperty('message');
  });

  test('that another agent took over shows that as a status, not as a second start', () => {
    const run = scriptedRun('run-1');
    projection.publish([run.lifecycle({ phase: 'recovering' }), run.lifecycle({ phase: 'start', attempt: 2 })]);
    expect(peer.payloads('agent', 'lifecycle')).toEqual([]);
    expect(peer.payloads('agent', 'run_status').map(({ data }) => data.phase)).toEqual([
      'preparing_context',
      'starting_model',
    ]);
  });

  test('sets its text anew with replace only when the old text is not its beginning', async () => {
    const run = scriptedRun('run-1');
    projection.publish([run.text('text-1', 'It will ')]);
    await clock.advance(200);
    projection.publish([run.text('text-1', 'It will rain', true)]);
    await clock.advance(200);
    projection.publish([run.text('text-1', 'Sun!', true)]);
    expect(chat('delta').map(({ deltaText, replace }) => [deltaText, replace])).toEqual([
      ['It will ', undefined],
      ['rain', undefined],
      ['Sun!', true],
    ]);
    expect(peer.payloads('agent', 'assistant').map(({ data }) => data)).toEqual([
      { text: 'It will ', delta: 'It will ', itemId: 'text-1' },
      { text: 'It will rain', delta: 'rain', itemId: 'text-1' },
      { text: 'Sun!', delta: 'Sun!', itemId: 'text-1', replace: true },
    ]);
  });
});

describe('deltas', () => {
  test('leave at once after a pause, are joined to one per 100 ms, and leave no timer behind', async () => {
    const run = scriptedRun('run-1');
    projection.publish([run.text('text-1', 'a'), run.text('text-1', 'b')]);
    expect(chat('delta').map(({ deltaText }) => deltaText)).toEqual(['ab']);
    for (const letter of 'cdefgh') {
      projection.publish([run.text('text-1', letter)]);
      await clock.advance(30);
    }
    expect(chat('delta').map(({ deltaText }) => deltaText)).toEqual(['ab', 'cdef']);
    expect(clock.timerCount).toBe(1);
    await clock.advance(500);
    expect(chat('delta').map(({ deltaText }) => deltaText)).toEqual(['ab', 'cdef', 'gh']);
    expect(clock.timerCount).toBe(0);
    projection.publish([run.text('text-1', 'i')]);
    expect(chat('delta').at(-1)).toMatchObject({ deltaText: 'i', message: { content: [{ text: 'abcdefghi' }] } });
  });

  test('that wait leave before the next event of their run, and seq never goes back', () => {
    const run = scriptedRun('run-1');
    projection.publish([run.text('text-1', 'a')]);
    projection.publish([run.text('text-1', 'b')]);
    projection.publish([run.part({ stream: 'item', data: { itemId: 'item-1', kind: 'step' } })]);
    projection.publish([run.text('text-2', 'c'), run.thinking('thinking-1', 'd'), run.lifecycle({ phase: 'end' })]);
    const agent = peer.payloads('agent');
    expect(agent.map(({ stream, data }) => data.delta ?? stream)).toEqual(['a', 'b', 'item', 'c', 'd', 'lifecycle']);
    expect(agent.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(chat('delta').map(({ deltaText }) => deltaText)).toEqual(['a', 'b', 'c']);
    expect(clock.timerCount).toBe(0);
  });

  test('of a long text are sent less often', async () => {
    const run = scriptedRun('run-1');
    projection.publish([run.text('text-1', 'x'.repeat(32_768))]);
    projection.publish([run.text('text-1', 'y')]);
    await clock.advance(150);
    expect(chat('delta')).toHaveLength(1);
    await clock.advance(100);
    expect(chat('delta')).toHaveLength(2);
  });
});

describe('who gets what', () => {
  test('only operators who may read and have no streams; without any, nothing is made', () => {
    projection.leave(peer);
    for (const other of [
      recordingPeer({ hasStreams: true }),
      recordingPeer({ role: 'agent' }),
      recordingPeer({ scopes: ['operator.pairing'] }),
    ]) {
      projection.join(other);
    }
    expect(projection.peerCount).toBe(0);
    projection.publish([scriptedRun('run-1').text('text-1', 'a')]);
    expect(clock.timerCount).toBe(0);
    projection.join(recordingPeer({ scopes: ['operator.write'] }));
    expect(projection.peerCount).toBe(1);
  });

  test('tools go to peers with tool-events as v4 writes them, and to subscribers as session.tool', () => {
    const withTools = recordingPeer({ caps: ['tool-events'] });
    projection.join(withTools);
    const run = scriptedRun('run-1');
    const call = { toolCallId: 't1', name: 'look' };
    projection.publish([
      run.tool({ phase: 'start', ...call, args: { at: 'sky' }, safe: true }),
      run.tool({ phase: 'update', ...call, partialResult: 'clouds' }),
      run.tool({ phase: 'result', ...call, result: { sky: 'grey' } }),
    ]);
    expect(peer.sent).toEqual([]);
    expect(withTools.payloads('agent', 'tool').map(({ data }) => data)).toEqual([
      { phase: 'start', ...call, args: { at: 'sky' } },
      { phase: 'update', ...call, partialResult: { content: [{ type: 'text', text: 'clouds' }] } },
      {
        phase: 'result',
        ...call,
        isError: false,
        result: { content: [{ type: 'text', text: '{"sky":"grey"}' }], details: { sky: 'grey' } },
      },
    ]);
    projection.subscribeMessages(peer, sessionKey);
    projection.publish([run.tool({ phase: 'start', ...call })]);
    expect(peer.sent.map(({ event }) => event)).toEqual(['session.tool']);
  });

  test('messages and changes go to subscribers only, until they unsubscribe', () => {
    const change = committed('sessions.changed', { sessionKey, reason: 'run', ts: 7, hasActiveRun: true }, 'system');
    projection.publish([message(), change]);
    expect(peer.sent).toEqual([]);
    projection.subscribeMessages(peer, sessionKey);
    projection.publish([message(), change]);
    expect(peer.sent).toMatchObject([
      {
        event: 'session.message',
        payload: {
          sessionKey,
          sessionId: 's1',
          agentId: 'main',
          messageSeq: 1,
          message: { role: 'user', content: 'Hi', idempotencyKey: 'run-1:user', __openclaw: { id: 'm1', seq: 1 } },
        },
      },
    ]);
    expect(peer.sent[0]?.payload).not.toHaveProperty('n');
    projection.unsubscribeMessages(peer, sessionKey);
    projection.subscribeSessions(peer);
    projection.publish([message(), change]);
    expect(peer.sent.map(({ event }) => event)).toEqual(['session.message', 'session.message', 'sessions.changed']);
    projection.unsubscribeSessions(peer);
    projection.publish([message(), change]);
    expect(peer.sent).toHaveLength(3);
  });

  test('a connection that asks for too many sessions is refused by name of the limit', () => {
    const strict = new V4Projection({ clock, journalOf: () => [], maxSessionKeys: 1 });
    strict.join(peer);
    strict.subscribeMessages(peer, 'a');
    strict.subscribeMessages(peer, 'a');
    expect(() => strict.subscribeMessages(peer, 'b')).toThrow(/1 sessions.*unsubscribe/);
  });

  test('every payload is stringified once for all peers', () => {
    const other = recordingPeer();
    projection.join(other);
    const stringify = JSON.stringify;
    let count = 0;
    JSON.stringify = ((...args: Parameters<typeof stringify>) => {
      count++;
      return stringify(...args);
    }) as typeof stringify;
    try {
      projection.publish([scriptedRun('run-1').text('text-1', 'a')]);
    } finally {
      JSON.stringify = stringify;
    }
    expect(count).toBe(2);
    expect(other.json).toEqual(peer.json);
    expect(other.json).toHaveLength(2);
  });
});

describe('in the middle of a run', () => {
  test('a peer that joins gets nothing unasked, then the whole text with the next delta', async () => {
    const run = scriptedRun('run-1');
    projection.publish([run.text('text-1', 'Hello ')]);
    await clock.advance(500);
    const late = recordingPeer();
    projection.join(late);
    await clock.advance(500);
    expect(late.sent).toEqual([]);
    projection.publish([run.text('text-1', 'world')]);
    expect(late.payloads('chat')).toMatchObject([
      { deltaText: 'world', message: { content: [{ text: 'Hello world' }] } },
    ]);
    expect(late.sent[0]).toMatchObject({
      event: 'agent',
      payload: { data: { text: 'Hello world', delta: 'world' } },
      seq: 1,
    });
  });

  test('a projection that starts then takes what was said from the journal, which may be ahead of the event', () => {
    const run = scriptedRun('run-1', 40);
    run.said('text-2', 6);
    journal = [
      { stream: 'assistant', data: { itemId: 'text-1', at: 0, delta: 'First. ' } },
      { stream: 'tool', data: { phase: 'start', toolCallId: 't', name: 'look' } },
      { stream: 'assistant', data: { itemId: 'text-2', at: 0, delta: 'Secondly' } },
      { stream: 'assistant', data: { itemId: 'text-3', at: 0, delta: 'Thirdly' } },
    ];
    projection.publish([run.text('text-2', 'ly')]);
    expect(chat('delta')).toMatchObject([{ deltaText: 'ly', message: { content: [{ text: 'First. Secondly' }] } }]);
    projection.publish([run.text('text-3', 'Thirdly'), run.lifecycle({ phase: 'end' })]);
    expect(chat('delta').map(({ deltaText }) => deltaText)).toEqual(['ly', 'Thirdly']);
    expect(chat('final')[0].message.content[0].text).toBe('First. SecondlyThirdly');
  });

  test('a text that is set anew there says so, since readers may have the old one', () => {
    journal = [{ stream: 'assistant', data: { itemId: 'text-1', at: 0, delta: 'New words' } }];
    projection.publish([scriptedRun('run-1', 9).text('text-1', 'New words', true)]);
    expect(chat('delta')).toMatchObject([{ deltaText: 'New words', replace: true }]);
  });

  test('a run of which only the end is seen has its answer from the message, else from the journal', () => {
    const answer = {
      id: 'm2',
      role: 'assistant',
      content: [{ type: 'text', text: 'Whole' }],
      timestamp: 6,
      runId: 'run-1',
    };
    projection.publish([message(answer), scriptedRun('run-1', 50).lifecycle({ phase: 'end' })]);
    journal = [{ stream: 'assistant', data: { itemId: 'text-1', at: 0, delta: 'Partial' } }];
    projection.publish([scriptedRun('run-2', 50).lifecycle({ phase: 'error', reason: 'aborted' })]);
    expect(chat('final')[0].message.content[0].text).toBe('Whole');
    expect(chat('aborted')[0].message.content[0].text).toBe('Partial');
  });

  test('a peer that joins when nobody was there has the whole text, even if the run ends in the same commit', () => {
    projection.leave(peer);
    const run = scriptedRun('run-1');
    projection.publish([
      run.lifecycle({ phase: 'queued' }),
      run.lifecycle({ phase: 'start', startedAt: 3, attempt: 1 }),
    ]);
    projection.publish([run.text('text-1', 'One ')]);
    projection.publish([run.text('text-1', 'two ')]);
    expect(clock.timerCount).toBe(0);
    projection.join(peer);
    projection.publish([run.text('text-1', 'three.'), run.lifecycle({ phase: 'end' })]);
    expect(chat('delta')).toMatchObject([{ deltaText: 'three.', message: { content: [{ text: 'One two three.' }] } }]);
    expect(chat('final')).toMatchObject([{ message: { content: [{ text: 'One two three.' }] } }]);
    expect(peer.payloads('agent', 'lifecycle')[0].data.startedAt).toBe(3);
  });

  test.each([{ phase: 'recovering' }, { phase: 'start', attempt: 2 }] as const)(
    'a run that goes on after a restart is met at once (%j), with what its journal holds then',
    (data) => {
      journal = [{ stream: 'assistant', data: { itemId: 'text-1', at: 0, delta: 'One ' } }];
      const run = scriptedRun('run-1', 9);
      run.said('text-1', 4);
      projection.publish([run.lifecycle(data)]);
      journal = [];
      projection.publish([run.text('text-1', 'two.'), run.lifecycle({ phase: 'end' })]);
      expect(chat('final')).toMatchObject([{ message: { content: [{ text: 'One two.' }] } }]);
    },
  );

  test('without peers nothing is stringified', () => {
    projection.leave(peer);
    const run = scriptedRun('run-1');
    const stringify = JSON.stringify;
    let count = 0;
    JSON.stringify = ((...args: Parameters<typeof stringify>) => {
      count++;
      return stringify(...args);
    }) as typeof stringify;
    try {
      projection.publish([run.lifecycle({ phase: 'start' }), run.text('text-1', 'a'), message()]);
      projection.publish([
        run.tool({ phase: 'start', toolCallId: 't', name: 'look' }),
        run.lifecycle({ phase: 'end' }),
      ]);
    } finally {
      JSON.stringify = stringify;
    }
    expect(count).toBe(0);
  });

  test('the last peer that leaves takes timers with it; so does the end of a session', async () => {
    const run = scriptedRun('run-1');
    projection.publish([run.text('text-1', 'Hello')]);
    projection.publish([committed('sessions.changed', { sessionKey, reason: 'delete', ts: 1 }, 'system')]);
    expect(clock.timerCount).toBe(0);
    projection.publish([scriptedRun('run-2').text('text-1', 'Hello')]);
    expect(clock.timerCount).toBe(1);
    projection.leave(peer);
    expect(clock.timerCount).toBe(0);
    await settle();
  });
});

describe('a slow peer', () => {
  const highBytes = 1024 * 1024;

  test('gets no deltas until its queue has drained, then what it missed in one piece', async () => {
    const run = scriptedRun('run-1');
    projection.publish([run.text('text-1', 'a')]);
    await clock.advance(200);
    peer.queuedBytes = highBytes + 1;
    for (const letter of 'bcd') {
      projection.publish([run.text('text-1', letter)]);
      await clock.advance(200);
    }
    peer.queuedBytes = highBytes / 2;
    projection.publish([run.text('text-1', 'e')]);
    await clock.advance(200);
    expect(chat('delta').map(({ deltaText }) => deltaText)).toEqual(['a']);
    peer.queuedBytes = 0;
    projection.publish([run.text('text-1', 'f')]);
    projection.drained(peer);
    projection.publish([run.text('text-1', 'g'), run.lifecycle({ phase: 'end' })]);
    expect(chat('delta').map(({ deltaText }) => deltaText)).toEqual(['a', 'bcdef', 'g']);
    expect(peer.payloads('agent', 'assistant').map(({ data }) => [data.delta, data.text])).toEqual([
      ['a', 'a'],
      ['bcdef', 'abcdef'],
      ['g', 'abcdefg'],
    ]);
    expect(peer.sent.map(({ seq }) => seq)).toEqual(peer.sent.map((_, index) => index + 1));
  });

  test('gets tools and ends all the same, never before the text that precedes them', () => {
    projection.leave(peer);
    peer = recordingPeer({ caps: ['tool-events'] });
    projection.join(peer);
    const run = scriptedRun('run-1');
    peer.queuedBytes = highBytes + 1;
    projection.publish([run.text('text-1', 'a'), run.text('text-1', 'b')]);
    projection.publish([run.tool({ phase: 'start', toolCallId: 't', name: 'look' })]);
    projection.publish([run.text('text-2', 'c')]);
    projection.publish([run.lifecycle({ phase: 'end' })]);
    expect(peer.payloads('agent').map(({ stream, data }) => data.delta ?? stream)).toEqual([
      'ab',
      'tool',
      'c',
      'lifecycle',
    ]);
    expect(peer.payloads('agent').map(({ seq }) => seq)).toEqual([2, 3, 4, 5]);
    expect(chat('delta').map(({ deltaText }) => deltaText)).toEqual(['abc']);
    expect(chat('final')).toHaveLength(1);
  });

  test('whose text was set anew meanwhile gets the new one with replace', async () => {
    const run = scriptedRun('run-1');
    projection.publish([run.text('text-1', 'old')]);
    await clock.advance(200);
    peer.queuedBytes = highBytes + 1;
    projection.publish([run.text('text-1', 'new', true)]);
    await clock.advance(200);
    peer.queuedBytes = 0;
    projection.drained(peer);
    expect(joined(chat('delta').map(({ deltaText: delta, replace }) => ({ delta, replace })))).toBe('new');
  });
});
