import type { Result } from '@openclaw/protocol';
import { z } from 'zod';
import { configSchema } from './config-schema.ts';
import { isSecret, settingsOf } from './setting.ts';

/** What `config.schema` answers: a JSON Schema of the file, and hints for a form. */
export function configForm(): Pick<Result<'config.schema'>, 'schema' | 'uiHints'> {
  const schema = z.toJSONSchema(configSchema, {
    target: 'draft-7',
    io: 'input',
    unrepresentable: 'any',
    override: ({ zodSchema, jsonSchema }) => {
      if (!isSecret(zodSchema)) return;
      const { description } = jsonSchema;
      for (const key of Object.keys(jsonSchema)) delete (jsonSchema as Record<string, unknown>)[key];
      const one = (name: string) => ({
        type: 'object' as const,
        properties: { [name]: { type: 'string' as const, minLength: 1 } },
        required: [name],
        additionalProperties: false,
      });
      Object.assign(jsonSchema, {
        ...(description === undefined ? {} : { description }),
        anyOf: [{ type: 'string', minLength: 1 }, one('env'), one('file')],
      });
    },
  });
  const uiHints = Object.fromEntries(
    settingsOf(configSchema).map(({ path, about, isSecret: sensitive, isLive, isSection }) => [
      path,
      {
        label: labelOf(path),
        ...(about === '' ? {} : { help: about }),
        ...(sensitive ? { sensitive } : {}),
        ...(isLive || isSection ? {} : { advanced: true }),
      },
    ]),
  );
  return { schema, uiHints };
}

/** `http.allowedOrigins` → `Allowed origins`. */
function labelOf(path: string): string {
  const name = path.split('.').findLast((part) => part !== '*') ?? path;
  const words = name.replace(
    /([a-z])([A-Z])/g,
    (_, before: string, after: string) => `${before} ${after.toLowerCase()}`,
  );
  return words.charAt(0).toUpperCase() + words.slice(1);
}
