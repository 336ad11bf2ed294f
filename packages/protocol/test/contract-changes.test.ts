import { describe, expect, test } from 'vitest';
import { type Contract, contractChanges, type Schema } from '../scripts/contract-changes.ts';
import { contractSnapshot } from '../scripts/contract-snapshot.ts';

const text: Schema = { type: 'string' };

function contract(params: Schema, result: Schema = { type: 'object' }, payload: Schema = { type: 'object' }): Contract {
  return {
    methods: { say: { scope: 'operator.write', replay: 'keyed', roles: ['operator', 'agent'], params, result } },
    events: { said: { streams: ['session'], payload } },
  };
}

function object(properties: Record<string, Schema>, required: string[] = [], rest: Partial<Schema> = {}): Schema {
  return { type: 'object', properties, required, ...rest };
}

const inParams = (before: Schema, after: Schema) => contractChanges(contract(before), contract(after));
const inResult = (before: Schema, after: Schema) => contractChanges(contract({}, before), contract({}, after));

test('the contract does not differ from itself', () => {
  expect(contractChanges(contractSnapshot(), contractSnapshot())).toEqual([]);
});

describe('methods and events', () => {
  const now = contract({ type: 'object' });
  const with_ = (change: Partial<Contract['methods'][string]>): Contract => ({
    ...now,
    methods: { say: { ...now.methods.say!, ...change } },
  });

  test('a method and an event that are gone are named', () => {
    expect(contractChanges(now, { methods: {}, events: {} })).toEqual(['method say is gone', 'event said is gone']);
  });

  test('a new method and a new event pass', () => {
    expect(contractChanges({ methods: {}, events: {} }, now)).toEqual([]);
  });

  test('a scope that the old callers do not have is named, one that they have passes', () => {
    expect(contractChanges(now, with_({ scope: 'operator.admin' }))).toHaveLength(1);
    expect(contractChanges(now, with_({ scope: 'operator.approvals' }))).toHaveLength(1);
    expect(contractChanges(now, with_({ scope: 'operator.read' }))).toEqual([]);
    expect(contractChanges(now, with_({ scope: 'any' }))).toEqual([]);
  });

  test('a role less is named, a role more passes', () => {
    expect(contractChanges(now, with_({ roles: ['operator'] }))).toEqual(['say is no longer for role agent']);
    expect(contractChanges(now, with_({ roles: ['operator', 'agent', 'channel'] }))).toEqual([]);
  });

  test('a weaker promise about sending again is named, a stronger one passes', () => {
    expect(contractChanges(now, with_({ replay: 'never' }))).toEqual(['say is never to send again, was keyed']);
    expect(contractChanges(now, with_({ replay: 'safe' }))).toEqual([]);
  });

  test('an event that leaves a kind of stream is named', () => {
    const moved: Contract = { ...now, events: { said: { streams: ['system'], payload: { type: 'object' } } } };
    expect(contractChanges(now, moved)).toEqual(['event said is no longer in session streams']);
  });
});

describe('params', () => {
  test('a new optional field passes, a new required one is named', () => {
    expect(inParams(object({ a: text }), object({ a: text, b: text }))).toEqual([]);
    expect(inParams(object({ a: text }), object({ a: text, b: text }, ['b']))).toEqual([
      'say params/b is now required',
    ]);
  });

  test('a field that becomes required is named, one that becomes optional passes', () => {
    expect(inParams(object({ a: text }), object({ a: text }, ['a']))).toEqual(['say params/a is now required']);
    expect(inParams(object({ a: text }, ['a']), object({ a: text }))).toEqual([]);
  });

  test('a field that is gone is named, at any depth', () => {
    const list = (field: Schema) => object({ list: { type: 'array', items: field } });
    expect(inParams(list(object({ a: text, b: text })), list(object({ a: text })))).toEqual([
      'say params/list[]/b is gone',
    ]);
  });

  test('a limit that is tighter or new is named, a wider one passes', () => {
    const at = (limits: Partial<Schema>) => object({ a: { type: 'string', ...limits } });
    expect(inParams(at({ maxLength: 10 }), at({ maxLength: 9 }))).toEqual(['say params/a: maxLength is 9, was 10']);
    expect(inParams(at({}), at({ maxLength: 9 }))).toEqual(['say params/a: maxLength is 9, was none']);
    expect(inParams(at({ minLength: 1 }), at({ minLength: 2 }))).toEqual(['say params/a: minLength is 2, was 1']);
    expect(inParams(at({ maxLength: 10, minLength: 2 }), at({ minLength: 1 }))).toEqual([]);
    expect(inParams(at({}), at({ minLength: 0 }))).toEqual([]);
  });

  test('an enum that loses a value is named, one that gains a value passes', () => {
    const of = (...values: string[]) => object({ a: { type: 'string', enum: values } });
    expect(inParams(of('x', 'y'), of('x'))).toEqual(['say params/a no longer has the value "y"']);
    expect(inParams(of('x'), of('x', 'y'))).toEqual([]);
  });

  test('a free text that becomes an enum is named, an enum that becomes free text passes', () => {
    expect(inParams(object({ a: text }), object({ a: { type: 'string', enum: ['x'] } }))).toHaveLength(1);
    expect(inParams(object({ a: { type: 'string', enum: ['x'] } }), object({ a: text }))).toEqual([]);
  });

  test('another type is named; number for integer passes', () => {
    expect(inParams(object({ a: text }), object({ a: { type: 'integer' } }))).toHaveLength(1);
    expect(inParams(object({ a: { type: 'integer' } }), object({ a: { type: 'number' } }))).toEqual([]);
    expect(inParams(object({ a: { type: 'number' } }), object({ a: { type: 'integer' } }))).toHaveLength(1);
  });

  test('closing an object is named, opening it passes', () => {
    const closed = object({ a: text }, [], { additionalProperties: false });
    expect(inParams(object({ a: text }), closed)).toEqual(['say params now refuses unknown fields']);
    expect(inParams(closed, object({ a: text }))).toEqual([]);
  });
});

describe('results and payloads', () => {
  test('a field that is gone is named, a new one passes, required or not', () => {
    expect(inResult(object({ a: text }, ['a']), object({}))).toEqual(['say result/a is gone']);
    expect(inResult(object({ a: text }), object({ a: text, b: text }, ['b']))).toEqual([]);
  });

  test('a field that may now be absent is named, one that is always there from now on passes', () => {
    expect(inResult(object({ a: text }, ['a']), object({ a: text }))).toEqual(['say result/a may now be absent']);
    expect(inResult(object({ a: text }), object({ a: text }, ['a']))).toEqual([]);
  });

  test('a wider type is named, since a reader does not expect it', () => {
    expect(inResult(object({ a: text }), object({ a: { type: ['string', 'null'] } }))).toHaveLength(1);
    expect(inResult(object({ a: { type: 'string', enum: ['x'] } }), object({ a: text }))).toHaveLength(1);
  });

  test('a tighter limit passes', () => {
    expect(inResult(object({ a: text }), object({ a: { type: 'string', maxLength: 3 } }))).toEqual([]);
  });

  test('an event payload is compared like a result', () => {
    const before = contract({}, {}, object({ a: text }, ['a']));
    expect(contractChanges(before, contract({}, {}, object({})))).toEqual(['event said/a is gone']);
  });
});

describe('unions', () => {
  const kind = (value: string, rest: Record<string, Schema> = {}) =>
    object({ kind: { type: 'string', const: value }, ...rest }, ['kind']);

  test('an option that is gone is named by what tells it apart, a new option passes', () => {
    expect(inResult({ oneOf: [kind('a'), kind('b')] }, { oneOf: [kind('a')] })).toEqual([
      'say result no longer has the option kind="b"',
    ]);
    expect(inResult({ oneOf: [kind('a')] }, { oneOf: [kind('a'), kind('b')] })).toEqual([]);
  });

  test('a change inside an option is named with the option', () => {
    const before = { oneOf: [kind('a', { text }), kind('b')] };
    expect(inResult(before, { oneOf: [kind('b'), kind('a')] })).toEqual(['say result (kind="a")/text is gone']);
  });

  test('a plain schema that becomes an option of a union passes', () => {
    expect(inParams(object({ a: text }), object({ a: { anyOf: [text, { type: 'integer' }] } }))).toEqual([]);
  });
});
