import type { RunPart, RunWork } from '@openclaw/protocol';
import { describe, expect, test } from 'vitest';
import { assertEffectAllowed, effectsOf, isStricter, strictestEffects } from '../src/runs/effects.ts';

const hook = { kind: 'hook', id: 'github' } as const;
const work: RunWork = {
  runId: 'r1',
  sessionKey: 'agent:main:main',
  sessionId: 's',
  agentId: 'main',
  requestedAt: 0,
  attempt: 1,
  steers: [],
  approvals: [],
};

function start(safe: boolean, toolCallId = 'c1'): RunPart {
  return { stream: 'tool', data: { phase: 'start', toolCallId, name: 'mail', safe } };
}

describe('what a run may do', () => {
  test('an operator’s message may do everything, one from outside is asked about where nothing is granted', () => {
    expect(effectsOf(undefined, { hook: 'deny' })).toBe('allow');
    expect(effectsOf(hook, {})).toBe('ask');
    expect(effectsOf({ kind: 'http', id: 'token:ci' }, { hook: 'allow' })).toBe('ask');
  });

  test('a source is granted by its name before its kind', () => {
    expect(effectsOf(hook, { hook: 'deny', sources: { 'hook:github': 'allow' } })).toBe('allow');
    expect(effectsOf({ kind: 'hook', id: 'other' }, { hook: 'deny', sources: { 'hook:github': 'allow' } })).toBe(
      'deny',
    );
  });

  test('a source that is named like a part of every object is granted nothing by that', () => {
    const sources = JSON.parse('{"hook:x":"allow"}') as Record<string, 'allow'>;
    expect(effectsOf({ kind: 'hook', id: '__proto__' }, { sources })).toBe('ask');
  });

  test('a run of several messages may do what the least trusted of them may', () => {
    const chat = { kind: 'channel', id: 'telegram/main' } as const;
    expect(strictestEffects([{}, { source: hook }], {})).toBe('ask');
    expect(strictestEffects([{}, { source: hook }, { source: chat }], { hook: 'allow', channel: 'deny' })).toBe('deny');
    expect(strictestEffects([{}, { source: hook }], { hook: 'allow' })).toBe('allow');
  });

  test('deny is stricter than ask, ask than allow', () => {
    expect([isStricter('deny', 'ask'), isStricter('ask', 'allow'), isStricter('ask', 'ask')]).toEqual([
      true,
      true,
      false,
    ]);
  });
});

describe('the start of a tool call', () => {
  test('is refused in a run from outside unless it is safe or was allowed under its own name', () => {
    const refused = { code: 'FORBIDDEN', details: { code: 'EFFECT_NOT_ALLOWED', effects: 'ask', toolCallId: 'c1' } };
    const asking: RunWork = { ...work, effects: 'ask' };
    expect(() => assertEffectAllowed(asking, start(false), [])).toThrow(expect.objectContaining(refused));
    const answered = (toolCallId: string, decision: 'allow' | 'deny'): RunWork => ({
      ...asking,
      approvals: [{ approvalId: 'a', decision, toolCallId }],
    });
    expect(() => assertEffectAllowed(answered('c2', 'allow'), start(false), [])).toThrow(/approval of an operator/);
    expect(() => assertEffectAllowed(answered('c1', 'deny'), start(false), [])).toThrow(/approval of an operator/);
    assertEffectAllowed(answered('c1', 'allow'), start(false), []);
    assertEffectAllowed(asking, start(true), []);
    assertEffectAllowed(work, start(false), []);
  });

  test('is refused a second time under an id whose call was made: an answer is for one call', () => {
    const allowed: RunWork = {
      ...work,
      effects: 'ask',
      approvals: [{ approvalId: 'a', decision: 'allow', toolCallId: 'c1' }],
    };
    expect(() => assertEffectAllowed(allowed, start(false), [start(false)])).toThrow(/allowed once, and made/);
    assertEffectAllowed(allowed, start(false), [start(false, 'c2'), start(true)]);
    assertEffectAllowed(work, start(false), [start(false)]);
  });

  test('is refused under deny, whatever anybody answered', () => {
    const denied: RunWork = {
      ...work,
      effects: 'deny',
      approvals: [{ approvalId: 'a', decision: 'allow', toolCallId: 'c1' }],
    };
    expect(() => assertEffectAllowed(denied, start(false), [])).toThrow(/is not allowed/);
  });
});
