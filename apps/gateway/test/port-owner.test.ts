import { expect, test } from 'vitest';
import { portOwner } from '../src/port-owner.ts';

const answering =
  (body: string, asked: string[] = []): typeof fetch =>
  (url) => {
    asked.push(String(url));
    return Promise.resolve(new Response(body));
  };

test('a gateway is known by its health, asked at the address itself', async () => {
  const asked: string[] = [];
  const ask = answering('{"ok":true,"status":"live"}', asked);
  expect(await portOwner('127.0.0.1', 1, ask)).toBe('by a gateway that is running');
  expect(await portOwner('::1', 2, ask)).toBe('by a gateway that is running');
  expect(asked).toEqual(['http://127.0.0.1:1/health', 'http://[::1]:2/health']);
});

test.each(['<html>', '{"ok":true}', 'null', '[]'])('whoever answers %s is another web server', async (body) => {
  expect(await portOwner('127.0.0.1', 1, answering(body))).toBe('by another web server');
});

test('what does not speak HTTP is another program', async () => {
  expect(await portOwner('127.0.0.1', 1, () => Promise.reject(new TypeError('fetch failed')))).toBe(
    'by another program',
  );
});
