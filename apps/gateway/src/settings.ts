import { existsSync } from 'node:fs';
import { isIP } from 'node:net';
import { dirname, join, resolve } from 'node:path';
import type { AuthOptions, LiveOptions } from '@openclaw/server';
import { type AgentChoice, chooseAgent } from './agent-choice.ts';
import type { Config, ReadConfig } from './config.ts';
import type { Environment } from './config-values.ts';
import { defaultConfig } from './default-config.ts';
import { ExitCode, StartError } from './exit.ts';
import type { Flags } from './flags.ts';
import { defaultStateDirectory, keptToken, prepareStateDirectory, tokenPath } from './state-directory.ts';

/** Everything that a start needs to know, from flags, environment and configuration, checked. */
export interface Settings {
  host: string;
  port: number;
  stateDirectory: string;
  /** What can be changed while the gateway runs. */
  live: LiveOptions;
  /** What runs in the agent's worker; undefined when agents attach from outside only. */
  agent: AgentChoice | undefined;
  /** The directory that is served at `/`, if it is named. */
  page: string | undefined;
  /** Where the token is kept, if this gateway made it. */
  tokenFile: string | undefined;
  /** Where the configuration is, or would be. */
  configPath: string;
  /** The configuration as it was checked. */
  config: Config;
  /** What may be shown of it: secrets as a mark. */
  shown: Record<string, unknown>;
  /** What a person should know of it. */
  warnings: readonly string[];
  /** Files beside it that it rests on: of secrets, of the certificate. */
  files: readonly string[];
}

const defaultPort = 18_789;
/** What is read where there is no file. */
export const nothingRead: ReadConfig = {
  config: defaultConfig,
  shown: { ...defaultConfig },
  warnings: [],
  secretFiles: [],
};

/** Puts flags, environment and configuration together. Creates the state directory. Throws a {@link StartError}. */
export async function resolveSettings(flags: Flags, env: Environment, now: () => number = Date.now): Promise<Settings> {
  // The schema is loaded only where there is something to check.
  const read = async (path: string) => (await import('./config.ts')).readConfig(path, env);
  // An explicit configuration is read first: a mistake in it must not leave a directory behind.
  const explicit = flags.config === undefined ? undefined : await read(flags.config);
  const stateDirectory = prepareStateDirectory(flags.stateDirectory ?? defaultStateDirectory());
  const configPath = resolve(flags.config ?? join(stateDirectory, 'config.json5'));
  const found = explicit ?? (existsSync(configPath) ? await read(configPath) : nothingRead);
  return settingsOf(found, { flags, env, now, stateDirectory, configPath });
}

/** What stays the same from one configuration to the next. */
export type SettingsGround = { flags: Flags; env: Environment; now: () => number } & Pick<
  Settings,
  'stateDirectory' | 'configPath'
>;

/** The settings that a configuration stands for. Makes the token that is kept, and the certificate, if there is none yet. */
export async function settingsOf(
  { config, shown, warnings, secretFiles }: ReadConfig,
  ground: SettingsGround,
): Promise<Settings> {
  const { flags, env, stateDirectory, configPath } = ground;
  const host = hostOf(flags.bind ?? config.bind ?? 'loopback');
  if (config.auth.mode === 'none' && flags.token === undefined && !isLoopback(host)) {
    throw new StartError(
      ExitCode.config,
      `Without auth the gateway is for this machine only, and ${host} is wider. Set auth.mode to "token", or bind to loopback.`,
    );
  }
  const { auth, isKept } = authOf(config.auth, flags.token, stateDirectory);
  const { external, ...agent } = config.agent;
  const { page, publicUrl, allowedOrigins, allowedHosts, trustedProxies } = config.http;
  const pagePath = page === undefined ? undefined : resolve(dirname(configPath), page);
  if (pagePath !== undefined && !existsSync(join(pagePath, 'index.html'))) {
    throw new StartError(ExitCode.config, `"http.page" names ${pagePath}, and there is no index.html in it.`);
  }
  const certificate = config.tls && (await import('./certificate.ts')).certificateOf(config.tls, ground);
  return {
    host,
    port: flags.port ?? config.port ?? defaultPort,
    stateDirectory,
    live: {
      auth,
      tokens: Object.entries(config.tokens).map(([name, { token, scopes }]) => ({ name, token, scopes })),
      ...(config.tailscale === undefined ? {} : { tailscale: config.tailscale }),
      allowedOrigins,
      allowedHosts,
      trustedProxies,
      ...(publicUrl === undefined ? {} : { publicUrl }),
      ...(certificate === undefined ? {} : { tls: certificate.pair }),
      limits: config.limits,
      effects: config.effects,
      ...(config.hooks === undefined ? {} : { hooks: config.hooks }),
      openAi: config.openAi,
      uploads: config.uploads,
    },
    agent: external ? undefined : chooseAgent(agent, flags, env),
    page: pagePath,
    tokenFile: isKept ? tokenPath(stateDirectory) : undefined,
    configPath,
    config,
    shown,
    warnings,
    files: [...secretFiles, ...(certificate?.files ?? [])],
  };
}

function authOf(
  auth: Config['auth'],
  token: string | undefined,
  stateDirectory: string,
): { auth: AuthOptions; isKept: boolean } {
  const given = token ?? (auth.mode === 'token' ? auth.token : undefined);
  if (given === undefined && auth.mode !== 'token') return { auth, isKept: false };
  const password = 'password' in auth && auth.password !== undefined ? { password: auth.password } : {};
  return {
    auth: { mode: 'token', token: given ?? keptToken(stateDirectory), ...password },
    isKept: given === undefined,
  };
}

function hostOf(bind: string): string {
  if (bind === 'loopback') return '127.0.0.1';
  return bind === 'lan' ? '0.0.0.0' : bind;
}

/** True for an address that only this machine reaches. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}
