import { defineMethod } from '@openclaw/protocol';
import { z } from 'zod';

/** A method of this application, under its own prefix: the one place that says what it takes and gives. */
export const notesAdd = defineMethod({
  name: 'acme.notes.add',
  summary: 'Adds a note and tells how many there are.',
  since: '1.0',
  scope: 'operator.write',
  replay: 'never',
  params: z.strictObject({ text: z.string().min(1).max(200).describe('The note.') }),
  result: z.object({ count: z.int().min(1).describe('How many notes there are now.') }),
});

/** What a caller gives. */
export type NotesAddParams = z.input<typeof notesAdd.params>;
/** What a caller gets. */
export type NotesAddResult = z.output<typeof notesAdd.result>;
