import { existsSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import type { GatewayOptions } from '@openclaw/server';
import { type AgentChoice, chooseAgent } from './agent-choice.ts';
import { type Config, defaultConfig, readConfig, shownConfig } from './config.ts';
import { ExitCode, StartError } from './exit.ts';
import type { Flags } from './flags.ts';
import { defaultStateDirectory, keptToken, prepareStateDirectory, tokenPath } from './state-directory.ts';

/** Everything that a start needs to know, from flags, environment and configuration, checked. */
export interface Settings {
  host: string;
  port: number;
  stateDirectory: string;
  auth: GatewayOptions['auth'];
  http: Config['http'];
  agent: AgentChoice;
  agentName: string | undefined;
  /** Where the token is kept, if this gateway made it. */
  tokenFile: string | undefined;
  /** The file that was read, if there was one. */
  configPath: string | undefined;
  /** What `config.get` may show. */
  shown: Record<string, unknown>;
}

const defaultPort = 18_789;

/** Puts flags, environment and configuration together. Creates the state directory. Throws a {@link StartError}. */
export function resolveSettings(flags: Flags, env: Readonly<Record<string, string | undefined>>): Settings {
  // An explicit configuration is read first: a mistake in it must not leave a directory behind.
  const explicit = flags.config === undefined ? undefined : readConfig(flags.config, env);
  const stateDirectory = prepareStateDirectory(flags.stateDirectory ?? defaultStateDirectory());
  const usualPath = join(stateDirectory, 'config.json5');
  const configPath = flags.config ?? (existsSync(usualPath) ? usualPath : undefined);
  const config = explicit ?? (configPath === undefined ? defaultConfig() : readConfig(configPath, env));

  const host = hostOf(flags.bind ?? config.bind ?? 'loopback');
  if (config.auth.mode === 'none' && flags.token === undefined && !isLoopback(host)) {
    throw new StartError(
      ExitCode.config,
      `Without auth the gateway is for this machine only, and ${host} is wider. Set auth.mode to "token", or bind to loopback.`,
    );
  }
  const { auth, isKept } = authOf(config.auth, flags.token, stateDirectory);
  return {
    host,
    port: flags.port ?? config.port ?? defaultPort,
    stateDirectory,
    auth,
    http: config.http,
    agent: chooseAgent(config.agent, flags, env),
    agentName: config.agent.name,
    tokenFile: isKept ? tokenPath(stateDirectory) : undefined,
    configPath,
    shown: shownConfig(config),
  };
}

function authOf(
  auth: Config['auth'],
  token: string | undefined,
  stateDirectory: string,
): { auth: GatewayOptions['auth']; isKept: boolean } {
  const given = token ?? (auth.mode === 'token' ? auth.token : undefined);
  if (given === undefined && auth.mode !== 'token') return { auth, isKept: false };
  const password = auth.mode === 'none' || auth.password === undefined ? {} : { password: auth.password };
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
