import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import type { SettingIndex } from './setting-index.ts';

/** Environment variables, as `process.env` holds them. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** What is wrong with a configuration: where, and a sentence without values. */
export interface ConfigProblem {
  /** `http.allowedOrigins`; empty for the file as a whole. */
  path: string;
  message: string;
}

/** A configuration whose references are followed. */
export interface ResolvedValues {
  value: unknown;
  problems: ConfigProblem[];
  /** What a person should know: a secret that others can read. */
  warnings: string[];
  /** The files that secrets were read from. */
  secretFiles: string[];
}

const maxSecretBytes = 65_536;

/**
 * Puts values in place of references: `${NAME}` and `${NAME:-default}` in any text are that variable of the environment
 * (`$${` stands for `${`), and, where a secret belongs, `{ env: 'NAME' }` is a variable and `{ file: './path' }` the trimmed
 * text of a file, relative to `directory`. What was put in is not looked at again.
 */
export function resolveValues(
  source: unknown,
  { env, directory, index }: { env: Environment; directory: string; index: SettingIndex },
): ResolvedValues {
  const problems: ConfigProblem[] = [];
  const warnings: string[] = [];
  const secretFiles: string[] = [];

  const visit = (value: unknown, path: readonly string[]): unknown => {
    if (typeof value === 'string') return expand(value, path);
    if (typeof value !== 'object' || value === null) return value;
    if (Array.isArray(value)) return value.map((item, at) => visit(item, [...path, String(at)]));
    if (index.isSecret(path)) return follow(value as Record<string, unknown>, path);
    return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, visit(field, [...path, key])]));
  };

  const expand = (value: string, path: readonly string[]): string =>
    value.replace(
      /\$(\$\{)|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}/g,
      (_, escaped: string | undefined, name: string, fallback: string | undefined) => {
        if (escaped) return escaped;
        const found = env[name] || fallback;
        if (found !== undefined) return found;
        const advice = 'Set it, give a default with ${NAME:-default}, or write $${ for a plain ${.';
        problems.push({
          path: path.join('.'),
          message: `uses \${${name}}, which is not set in the environment. ${advice}`,
        });
        return '-';
      },
    );

  const follow = (reference: Record<string, unknown>, path: readonly string[]): string => {
    const problem = (message: string): string => {
      problems.push({ path: path.join('.'), message });
      return '-';
    };
    const [kind, name] = Object.entries(reference)[0] ?? [];
    if (Object.keys(reference).length !== 1 || typeof name !== 'string' || name === '') {
      return problem("must be a text, { env: 'NAME' } or { file: './path' }");
    }
    if (kind === 'env') {
      return env[name] || problem(`names the variable ${name}, which is not set in the environment`);
    }
    if (kind !== 'file') return problem("must be a text, { env: 'NAME' } or { file: './path' }");
    const file = resolve(directory, name);
    secretFiles.push(file);
    try {
      const { mode, size } = statSync(file);
      if (size > maxSecretBytes) return problem(`names the file ${file}, which is too large for a secret`);
      if ((mode & 0o004) !== 0) {
        warnings.push(`Every user of this machine can read ${file}, the secret of "${path.join('.')}"; chmod 600 it.`);
      }
      return readFileSync(file, 'utf8').trim() || problem(`names the file ${file}, which is empty`);
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      const reason =
        code === 'ENOENT' ? 'does not exist' : code === 'EACCES' ? 'can’t be read: no permission' : message;
      return problem(`names the file ${file}, which ${reason}`);
    }
  };

  return { value: visit(source, []), problems, warnings, secretFiles };
}
