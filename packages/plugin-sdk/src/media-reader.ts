import type { Message, Params, Result } from '@openclaw/protocol/wire';
import type { RunContext } from './agent.ts';
import { messageText } from './journal.ts';

type ReadPage = (params: Params<'media.read'>) => Promise<Result<'media.read'>>;

/** Reads files page by page and puts them together. */
export function mediaReader(readPage: ReadPage): RunContext['readMedia'] {
  return async ({ id }) => {
    const pages: Uint8Array[] = [];
    let at = 0;
    for (;;) {
      const page = await readPage({ id, at });
      const bytes = Uint8Array.from(atob(page.bytes), (character) => character.charCodeAt(0));
      pages.push(bytes);
      at += bytes.length;
      if (page.isLast || bytes.length === 0) break;
    }
    const whole = new Uint8Array(at);
    let offset = 0;
    for (const page of pages) {
      whole.set(page, offset);
      offset += page.length;
    }
    return whole;
  };
}

/** The text of a message; where a block was cut and its whole is kept, the whole. */
export async function wholeText(message: Message | undefined, readMedia: RunContext['readMedia']): Promise<string> {
  const blocks = message?.content ?? [];
  if (!blocks.some((block) => block.type === 'text' && block.cut && block.media)) return messageText(message);
  const texts = blocks.map(async (block) => {
    if (block.type !== 'text') return [];
    return [block.cut && block.media ? new TextDecoder().decode(await readMedia(block.media)) : block.text];
  });
  return (await Promise.all(texts)).flat().join('\n');
}
