// A method of your own: declared once, implemented in the gateway, called with types. Asserts what it shows; exits 0 or 1.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { connect, isGatewayError } from '@openclaw/client';
import { createGateway, implement } from '@openclaw/server';
import { type NotesAddParams, type NotesAddResult, notesAdd } from './methods.ts';

const notes: string[] = [];
const token = randomBytes(32).toString('base64url');
const gateway = await createGateway({
  auth: { mode: 'token', token },
  methods: [
    implement(notesAdd, ({ text }) => {
      notes.push(text);
      return { count: notes.length };
    }),
  ],
});
const { port } = await gateway.listen({ port: 0 });

const client = connect({ url: `ws://127.0.0.1:${port}`, token });
const addNote = (params: NotesAddParams) => client.request<NotesAddResult>(notesAdd.name, params);

const { count } = await addNote({ text: 'water the plants' });
console.log(`${count} note: ${notes.join(', ')}`);
assert.equal(count, 1);
assert.ok(client.hello?.features.methods.includes('acme.notes.add'), 'hello-ok lists the method');

// Params are checked by the declaration, before the implementation sees them.
await assert.rejects(addNote({ text: '' }), (error) => isGatewayError(error) && error.code === 'INVALID_REQUEST');
assert.deepEqual(notes, ['water the plants']);

// The scope is checked too: a token that may only read can't write.
const readerToken = await gateway.createToken({ role: 'operator', id: 'reader', scopes: ['operator.read'] });
const reader = connect({ url: `ws://127.0.0.1:${port}`, token: readerToken });
await assert.rejects(
  reader.request(notesAdd.name, { text: 'no' }),
  (error) => isGatewayError(error) && error.details?.code === 'MISSING_SCOPE',
);

reader.close();
client.close();
await gateway.close();
