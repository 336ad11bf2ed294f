import { dirname } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { GatewayError } from '@openclaw/protocol/wire';
import type { ConfigEdit } from '@openclaw/server';
import JSON5 from 'json5';
import { ConfigError, checkConfig, parseSource } from './config.ts';
import { mergePatch } from './config-changes.ts';
import type { ConfigText } from './config-file.ts';
import { settingIndex } from './config-index.ts';
import { keepSecrets, secretMark } from './config-redaction.ts';
import { resolveValues } from './config-values.ts';
import { type Settings, type SettingsGround, settingsOf } from './settings.ts';

/**
 * What an edit would make of the file: its text, and the settings that follow. `patch` merges into what the file says, with
 * its references unfollowed, and prints it anew; `set` takes the text as it is. Marks of secrets are replaced by what is
 * stored in their place. Throws a {@link ConfigError} or another `StartError`.
 */
export async function editedConfig(
  kind: 'patch' | 'set',
  raw: string,
  before: ConfigText,
  ground: SettingsGround,
): Promise<{ text: string; settings: Settings }> {
  const { configPath, env } = ground;
  const wanted = sectionOf(parseSource(raw, configPath), configPath);
  const stored = before.exists ? storedValue(kind, before.text, configPath) : {};
  const next = kind === 'patch' ? mergePatch(stored, wanted) : wanted;
  const resolved = resolveValues(stored, { env, directory: dirname(configPath), index: settingIndex() }).value;
  const { value, problems } = keepSecrets(next, stored, resolved);
  if (problems.length > 0) throw new ConfigError(configPath, problems);
  const settings = await settingsOf(checkConfig(value, env, configPath), ground);
  return { text: kind === 'patch' ? printed(value) : textWith(raw, value), settings };
}

function sectionOf(value: unknown, path: string): object {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  throw new ConfigError(path, [{ path: '', message: 'must be an object: { … }' }]);
}

/** What the file says; a whole that replaces one that can't be read has nothing to keep. */
function storedValue(kind: 'patch' | 'set', text: string, path: string): unknown {
  try {
    return parseSource(text, path);
  } catch (error) {
    if (kind === 'set') return {};
    const problems = error instanceof ConfigError ? error.problems : [];
    throw new ConfigError(
      path,
      problems.map(({ message }) => ({
        path: '',
        message: `on the disk ${message}, so there is nothing to merge into; mend it by hand, or send it whole with config.set`,
      })),
    );
  }
}

function printed(value: unknown): string {
  return `${JSON5.stringify(value, null, 2)}\n`;
}

/** `raw` with what stands for each mark put in its place, comments and all; printed anew where that can't be done surely. */
function textWith(raw: string, value: unknown): string {
  if (!raw.includes(secretMark)) return raw;
  const kept: unknown[] = [];
  collect(JSON5.parse(raw), value, kept);
  const quoted = /"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'/g;
  let next = 0;
  const text = raw.replace(quoted, (literal) =>
    literal.includes(secretMark) ? JSON5.stringify(kept[next++] ?? null) : literal,
  );
  try {
    if (next === kept.length && isDeepStrictEqual(JSON5.parse(text), value)) return text;
  } catch {
    // A mark stood where no value is, such as in a comment.
  }
  return printed(value);
}

/** What takes the place of each mark, in the order of the text. */
function collect(marked: unknown, value: unknown, kept: unknown[]): void {
  if (typeof marked === 'string') {
    if (marked.includes(secretMark)) kept.push(value);
  } else if (typeof marked === 'object' && marked !== null) {
    for (const [key, field] of Object.entries(marked)) collect(field, (value as Record<string, unknown>)[key], kept);
  }
}

/** The refusal of an edit that rests on another state of the file. */
export function conflict({ hash }: ConfigText, { baseHash }: ConfigEdit): GatewayError {
  const why =
    baseHash === undefined
      ? 'There is a configuration already, so a change needs the baseHash that config.get tells'
      : `The configuration changed since ${baseHash.slice(0, 12)}`;
  return new GatewayError('INVALID_REQUEST', `${why}; read it with config.get and send the change again.`, {
    details: { code: 'CONFIG_CONFLICT', hash },
  });
}
