import type { Environment } from './config-values.ts';
import type { Flags } from './flags.ts';
import type { Settings } from './settings.ts';

/** A text shorter than this is no secret, and hiding it would spoil sentences. */
const minLength = 8;
const secretVariable = /(KEY|TOKEN|SECRET|PASSWORD)$/;

/**
 * The secrets that the program was given, by flags, environment and configuration: what no line of its log may hold, whoever
 * put it there. In the configuration that is everything that `config.get` does not show as it is.
 */
export function knownSecrets({ config, shown, live }: Settings, flags: Flags, env: Environment): string[] {
  const variables = Object.entries(env).flatMap(([name, value]) => (secretVariable.test(name) ? [value] : []));
  const { auth } = live;
  const secrets = [
    ...hidden(config, shown),
    ...variables,
    flags.token,
    flags.agentKey,
    'token' in auth ? auth.token : undefined,
    'password' in auth ? auth.password : undefined,
  ];
  const texts = secrets.flatMap((secret) => (secret === undefined ? [] : [secret, ...partsOf(secret)]));
  return [...new Set(texts)].filter(({ length }) => length >= minLength);
}

/** What is secret in a header or an address by itself. */
function partsOf(text: string): string[] {
  const credential = /^(?:bearer|basic|token) +(.+)$/i.exec(text)?.[1];
  if (credential !== undefined) return [credential];
  if (!/^[a-z]+:\/\//i.test(text) || !URL.canParse(text)) return [];
  const { password, searchParams } = new URL(text);
  return [password, ...searchParams.values()];
}

/** The texts of `value` that are another text in `shown`. */
function hidden(value: unknown, shown: unknown): string[] {
  if (typeof value === 'string') return value === shown ? [] : [value];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, field]) => {
    const counterpart =
      typeof shown === 'object' && shown !== null ? (shown as Record<string, unknown>)[name] : undefined;
    return hidden(field, counterpart);
  });
}
