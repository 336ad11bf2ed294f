import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import JSON5 from 'json5';
import type { z } from 'zod';
import { settingIndex } from './config-index.ts';
import { shownConfig } from './config-redaction.ts';
import { type Config, configSchema } from './config-schema.ts';
import { type ConfigProblem, type Environment, resolveValues } from './config-values.ts';
import { ExitCode, StartError } from './exit.ts';

export type { Config } from './config-schema.ts';

/** A configuration that was read. */
export interface ReadConfig {
  config: Config;
  /** What may be shown of it: secrets as a mark. */
  shown: Record<string, unknown>;
  /** What a person should know, though it works. */
  warnings: string[];
  /** The files that its secrets were read from. */
  secretFiles: string[];
}

/** A configuration that is not valid: every problem, and one sentence for the person who starts the program. */
export class ConfigError extends StartError {
  readonly problems: readonly ConfigProblem[];

  constructor(path: string, problems: readonly ConfigProblem[]) {
    super(ExitCode.config, `The configuration ${path} is not valid: ${problemSentence(problems)}.`);
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

const shownProblems = 3;

/** The first problems in one sentence, without its full stop. */
export function problemSentence(problems: readonly ConfigProblem[]): string {
  const more = problems.length - shownProblems;
  return [
    ...problems
      .slice(0, shownProblems)
      .map(({ path, message }) => `${path === '' ? 'the file' : `"${path}"`} ${message.replace(/\.$/, '')}`),
    ...(more > 0 ? [`${more} more`] : []),
  ].join('; ');
}

/** {@link parseConfig} of a file. Throws a {@link StartError} when it can't be read. */
export function readConfig(path: string, env: Environment): ReadConfig {
  let source: string;
  try {
    source = readFileSync(path, 'utf8');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reason = code === 'ENOENT' ? 'there is no such file' : code === 'EACCES' ? 'no permission' : message;
    throw new StartError(ExitCode.config, `The configuration ${path} can't be read: ${reason}.`, { cause: error });
  }
  return parseConfig(source, env, path);
}

/** Reads JSON5, follows its references, and checks it. `path` is where the text is from. Throws a {@link ConfigError}. */
export function parseConfig(source: string, env: Environment, path: string): ReadConfig {
  return checkConfig(parseSource(source, path), env, path);
}

/** The text as it stands, references and all. Throws a {@link ConfigError} where it is no JSON5. */
export function parseSource(source: string, path: string): unknown {
  try {
    return JSON5.parse(source);
  } catch (error) {
    const reason = (error as Error).message.replace(/^JSON5: /, '');
    throw new ConfigError(path, [{ path: '', message: `is no JSON5: ${reason}` }]);
  }
}

/** {@link parseConfig} for what {@link parseSource} gave. */
export function checkConfig(source: unknown, env: Environment, path: string): ReadConfig {
  const { value, problems, warnings, secretFiles } = resolveValues(source, {
    env,
    directory: dirname(path),
    index: settingIndex(),
  });
  if (problems.length > 0) throw new ConfigError(path, problems);
  const result = configSchema.safeParse(value);
  if (!result.success)
    throw new ConfigError(
      path,
      result.error.issues.flatMap((issue) => problemsOf(issue, [])),
    );
  return { config: result.data, shown: shownConfig(result.data), warnings, secretFiles };
}

const kindNames: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a section: { … }',
  record: 'a section: { … }',
};

function problemsOf(issue: z.core.$ZodIssue, around: readonly string[]): ConfigProblem[] {
  const at = [...around, ...issue.path.map(String)];
  const path = at.join('.');
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => {
      // Known, but of another kind of this section, such as another `auth.mode`.
      if (settingIndex().namesIn(at).includes(key)) {
        return { path: [...at, key].join('.'), message: `does not go with what else "${path}" says; take it out` };
      }
      const meant = settingIndex().nearest(at, key);
      return {
        path: [...at, key].join('.'),
        message: `is not a setting${meant === undefined ? '' : `; did you mean "${meant}"?`}`,
      };
    });
  }
  if (issue.code === 'invalid_union' && issue.errors.length > 0) {
    // The kind that fits best has the fewest complaints; one that is wrong as a whole is not what was meant.
    const isOther = (issues: readonly z.core.$ZodIssue[]) =>
      Number(issues.some((inner) => inner.path.length === 0 && inner.code !== 'unrecognized_keys'));
    const [best = []] = [...issue.errors].sort(
      (one, other) => isOther(one) - isOther(other) || one.length - other.length,
    );
    return best.flatMap((inner) => problemsOf(inner, at));
  }
  if (issue.code === 'invalid_key') return [{ path, message: issue.issues[0]?.message ?? 'has a name that can’t be' }];
  return [{ path, message: complaint(issue) }];
}

function complaint(issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_type') {
    return issue.message.endsWith('received undefined')
      ? 'is missing'
      : `must be ${kindNames[issue.expected] ?? issue.expected}`;
  }
  if (issue.code === 'invalid_value') return mustBe(issue.values);
  // A section of several kinds, without the setting that tells which.
  if (issue.code === 'invalid_union' && 'options' in issue) return mustBe(issue.options as readonly unknown[]);
  if (issue.code === 'too_small' && issue.origin === 'number') return `must be at least ${issue.minimum}`;
  if (issue.code === 'too_big' && issue.origin === 'number') return `must be at most ${issue.maximum}`;
  if (issue.code === 'too_small' && issue.origin === 'string') return 'is empty; give it a value, or leave it out';
  if (issue.code === 'invalid_format' && issue.format === 'url') {
    return 'must be an address with its scheme, such as https://gateway.example';
  }
  return `is not right: ${issue.message.charAt(0).toLowerCase()}${issue.message.slice(1)}`;
}

function mustBe(values: readonly unknown[]): string {
  return `must be ${values.map((value) => `"${String(value)}"`).join(' or ')}`;
}
