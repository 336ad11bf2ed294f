import { checkValue } from '@openclaw/protocol';
import { z } from 'zod';
import type { EarlierTurn } from '../../sessions/earlier-turns.ts';
import { badRequest } from './problem.ts';

/** One turn of a conversation: text and files, whichever dialect it came in. */
export type Turn = EarlierTurn;

type File = Turn['attachments'][number];

/** The content of a message in either dialect: a text, or a list of parts. */
export const messageContent = z.union([z.string(), z.array(z.looseObject({ type: z.string() })).max(1_000)]).nullish();

const text = z.looseObject({ text: z.string() });
const refusal = z.looseObject({ refusal: z.string() });
const chatImage = z.looseObject({ image_url: z.looseObject({ url: z.string() }) });
const inputImage = z.looseObject({ image_url: z.string() });
const chatFile = z.looseObject({
  file: z.looseObject({ file_data: z.string(), filename: z.string().max(512).nullish() }),
});
const inputFile = z.looseObject({ file_data: z.string(), filename: z.string().max(512).nullish() });
const audio = z.looseObject({ input_audio: z.looseObject({ data: z.string(), format: z.string().max(32) }) });

/** The text and the files of a message's content; throws a 400 that names the part which can't be taken. */
export function readContent(
  content: z.infer<typeof messageContent>,
  where: string,
): Pick<Turn, 'text' | 'attachments'> {
  if (typeof content !== 'object' || content === null) return { text: content ?? '', attachments: [] };
  const texts: string[] = [];
  const attachments: File[] = [];
  content.forEach((part, index) => {
    const read = readPart(part, `${where}/${index}`);
    if (typeof read === 'string') texts.push(read);
    else attachments.push(read);
  });
  return { text: texts.join('\n'), attachments };
}

function readPart(part: { type: string }, where: string): string | File {
  switch (part.type) {
    case 'text':
    case 'input_text':
    case 'output_text':
      return parsed(text, part, where).text;
    case 'refusal':
      return parsed(refusal, part, where).refusal;
    case 'image_url':
      return dataFile(parsed(chatImage, part, where).image_url.url, where, 'image/png');
    case 'input_image':
      return dataFile(parsed(inputImage, part, where).image_url, where, 'image/png');
    case 'file': {
      const { file_data: data, filename } = parsed(chatFile, part, where).file;
      return dataFile(data, where, 'application/octet-stream', filename ?? undefined);
    }
    case 'input_file': {
      const { file_data: data, filename } = parsed(inputFile, part, where);
      return dataFile(data, where, 'application/octet-stream', filename ?? undefined);
    }
    case 'input_audio': {
      const { data, format } = parsed(audio, part, where).input_audio;
      return dataFile(data, where, `audio/${format}`);
    }
    default:
      throw badRequest(
        `${where}: parts of type '${part.type.slice(0, 64)}' are not supported; send text, images or files.`,
      );
  }
}

function parsed<T extends z.ZodType>(schema: T, part: unknown, where: string): z.infer<T> {
  const result = checkValue(schema, part);
  if (result.success) return result.data;
  throw badRequest(`${where}: ${result.problem}. Files are sent inline, never by id.`);
}

/** A file that came as a `data:` address or as plain base64. */
function dataFile(data: string, where: string, type: string, fileName?: string): File {
  if (/^https?:/i.test(data)) {
    throw badRequest(
      `${where}: the gateway fetches nothing from addresses; send the file as "data:<type>;base64,<bytes>".`,
    );
  }
  const [, declared, base64] = /^data:([^,]*),(.*)$/s.exec(data) ?? [undefined, undefined, data];
  if (declared !== undefined && !/;base64$/i.test(declared))
    throw badRequest(`${where}: the data: address must be base64.`);
  const mimeType = declared?.split(';', 1)[0] || type;
  if (mimeType.length > 256 || !/^[\w!#$&^.+*-]+\/[\w!#$&^.+*-]+$/.test(mimeType))
    throw badRequest(`${where}: '${mimeType.slice(0, 64)}' is no media type.`);
  if (!/^[A-Za-z0-9+/_-]*={0,2}\s*$/.test(base64 ?? '')) throw badRequest(`${where}: the bytes are not base64.`);
  return { mimeType, content: base64 ?? '', ...(fileName === undefined ? {} : { fileName }) };
}
