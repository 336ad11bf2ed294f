import published from '@asyncapi/specs';
import { Ajv } from 'ajv';
import { describe, expect, test } from 'vitest';
import { asyncApiDocument } from '../src/asyncapi.ts';
import { events, methods } from '../src/methods.ts';

// biome-ignore lint/suspicious/noExplicitAny: the document is looked at as its readers do
const document = asyncApiDocument() as Record<string, any>;

/** What a reference within the document stands for. */
function at(pointer: string): unknown {
  return pointer
    .slice(2)
    .split('/')
    .reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], document);
}

function references(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, each]) => (key === '$ref' ? [each as string] : references(each)));
}

/** A check of the frames of a message. */
function checkOf(message: string) {
  const ajv = new Ajv({ strict: false, validateFormats: false });
  ajv.addSchema({ $id: 'document', components: document.components });
  return ajv.compile({ $ref: `document#/components/messages/${message}/payload` });
}

describe('the AsyncAPI document', () => {
  test('is valid by the schema of AsyncAPI 3.0 as published', () => {
    const ajv = new Ajv({ strict: false, validateFormats: false, allErrors: true });
    const check = ajv.compile(published.schemasWithoutId['3.0.0'] as object);
    check(document);
    expect(check.errors ?? []).toEqual([]);
    expect(check({ ...document, operations: { x: { action: 'reply' } } })).toBe(false);
  });

  test('has an operation for every method and every event, and no reference that leads nowhere', () => {
    const names = [...Object.keys(methods), ...Object.keys(events).map((name) => `${name}.event`)];
    expect(Object.keys(document.operations).sort()).toEqual(names.sort());
    const all = references(document);
    expect(all.length).toBeGreaterThan(names.length * 3);
    expect(all.filter((pointer) => at(pointer) === undefined)).toEqual([]);
  });

  test('pairs each request with its result and the refusal, and says who may ask', () => {
    expect(document.operations['chat.send']).toMatchObject({
      action: 'receive',
      messages: [{ $ref: '#/channels/gateway/messages/chat.send.request' }],
      reply: {
        messages: [
          { $ref: '#/channels/gateway/messages/chat.send.result' },
          { $ref: '#/channels/gateway/messages/error' },
        ],
      },
      'x-scope': 'operator.write',
      'x-replay': 'keyed',
      'x-roles': ['operator'],
    });
    expect(document.operations['session.message.event']).toMatchObject({ action: 'send', 'x-streams': ['session'] });
  });

  test('describes the frames that go over the wire', () => {
    const request = checkOf('chat.send.request');
    const params = { sessionKey: 'main', message: 'hi', idempotencyKey: 'k' };
    expect(request({ type: 'req', id: '1', method: 'chat.send', params })).toBe(true);
    expect(request({ type: 'req', id: '1', method: 'chat.send', params: { ...params, mesage: 'hi' } })).toBe(false);
    expect(request({ type: 'req', id: '1', method: 'chat.send' })).toBe(false);
    expect(request({ type: 'req', id: '1', method: 'chat.abort', params })).toBe(false);
    expect(checkOf('health.request')({ type: 'req', id: '1', method: 'health' })).toBe(true);
    const refusal = { code: 'INVALID_REQUEST', message: 'no' };
    expect(checkOf('error')({ type: 'res', id: '1', ok: false, error: refusal })).toBe(true);
    expect(checkOf('error')({ type: 'res', id: '1', ok: false })).toBe(false);
  });

  test('names the gateway that serves it', () => {
    const { servers } = asyncApiDocument({ host: 'gateway.example', protocol: 'wss' }) as typeof document;
    expect(servers.gateway).toMatchObject({ host: 'gateway.example', protocol: 'wss' });
  });
});
