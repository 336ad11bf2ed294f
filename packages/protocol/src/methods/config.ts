import { z } from 'zod';
import { defineMethod } from '../contract.ts';

const raw = z.string().min(1).max(1_048_576);
const baseHash = z
  .string()
  .min(1)
  .max(128)
  .optional()
  .describe('The hash that config.get told; refused when it is another by now. Needed when there is a file.');

const configSnapshot = z.looseObject({
  path: z.string().describe('Where it was read; empty when there is no file.'),
  exists: z.boolean().describe('Whether that file exists.'),
  valid: z.boolean().describe('False when the file was changed to something that is not valid: it is not in use.'),
  config: z.record(z.string(), z.unknown()).describe('The values in use, secrets replaced by a mark.'),
  hash: z.string().describe('Of the file; changes when it does.'),
  problem: z.string().optional().describe('Present when the file is not valid: why.'),
});

export const configGetMethod = defineMethod({
  name: 'config.get',
  summary: 'The configuration in use, with secrets left out.',
  since: 'v4',
  scope: 'operator.read',
  replay: 'safe',
  params: z.looseObject({}),
  result: configSnapshot,
});

export const configSchemaMethod = defineMethod({
  name: 'config.schema',
  summary: 'The JSON Schema of the configuration, with hints for a form.',
  since: 'v4',
  scope: 'operator.read',
  replay: 'safe',
  params: z.looseObject({}),
  result: z.looseObject({
    schema: z.unknown().describe('JSON Schema.'),
    uiHints: z
      .record(
        z.string(),
        z.looseObject({
          label: z.string().optional().describe('A name for people.'),
          help: z.string().optional().describe('A sentence.'),
          sensitive: z.boolean().optional().describe('True for a secret.'),
          advanced: z.boolean().optional().describe('True for what most people leave alone, and what needs a restart.'),
        }),
      )
      .describe('By path, such as `auth.token`; `*` stands for any key or index.'),
    version: z.string().describe('The version of the gateway.'),
    generatedAt: z.string().describe('When, ISO 8601.'),
  }),
});

const changeResult = z.looseObject({
  ok: z.literal(true).describe('Always true.'),
  path: z.string().describe('The file that was written.'),
  hash: z.string().describe('Of the file as it is now.'),
  changed: z.array(z.string()).describe('The settings that differ from before.'),
  needsRestart: z.array(z.string()).describe('Those of them that are in use only after a restart.'),
  config: z.record(z.string(), z.unknown()).describe('The values now, secrets replaced by a mark.'),
});

export const configPatchMethod = defineMethod({
  name: 'config.patch',
  summary:
    'Merges a change into the configuration file (JSON merge patch; null deletes) and takes it into use. A secret mark keeps the secret.',
  since: 'v4',
  scope: 'operator.admin',
  replay: 'never',
  params: z.looseObject({ raw: raw.describe('The change as JSON5: an object.'), baseHash }),
  result: changeResult,
});

export const configSetMethod = defineMethod({
  name: 'config.set',
  summary: 'Replaces the configuration file and takes it into use. A secret mark keeps the secret.',
  since: 'v4',
  scope: 'operator.admin',
  replay: 'never',
  params: z.looseObject({ raw: raw.describe('The whole configuration as JSON5.'), baseHash }),
  result: changeResult,
});
