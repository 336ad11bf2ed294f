import type { AddressInfo } from 'node:net';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { isLoopback, type Settings } from './settings.ts';

/** What a greeting tells of. */
export interface Start {
  settings: Settings;
  address: AddressInfo;
  version: string;
  hasPage: boolean;
  /** The one-use code of the page's link. */
  code: string | undefined;
  env: Readonly<Record<string, string | undefined>>;
  tookMs: number;
}

/** What is printed after the start: where to go, and what to know. The token itself is never printed. */
export function greeting({ settings, address, version, hasPage, code, env, tookMs }: Start): string[] {
  const { host, stateDirectory, tokenFile, agent, config } = settings;
  const isWide = address.address === '0.0.0.0' || address.address === '::';
  const shownHost = isLoopback(host) || isWide ? '127.0.0.1' : address.address;
  const scheme = config.tls === undefined ? 'http' : 'https';
  const url = `${scheme}://${shownHost.includes(':') ? `[${shownHost}]` : shownHost}:${address.port}`;
  const home = homedir();
  // The home of a service may be `/`.
  const tilde = (path: string) => (home !== '/' && path.startsWith(`${home}/`) ? `~${path.slice(home.length)}` : path);
  const lines = [
    `Gateway ${version} at ${url}, started in ${(tookMs / 1000).toFixed(2)} s. State: ${tilde(stateDirectory)}`,
    '',
  ];
  if (hasPage) lines.push(`  Open   ${url}/${code === undefined ? '' : `#code=${code}`}`);
  if (env.OPENCLAW_STARTED_BY === 'npm start') lines.push(`  Type   ${chatCommand(settings, address)}`);
  if (!isLoopback(host)) lines.push(`  Phone  ${phoneCommand(settings, address, env)}   shows a code to scan`);
  if (lines.length > 2) lines.push('');
  if (code !== undefined) lines.push('The link works once, within ten minutes; the page is known after that.');
  if (tokenFile) lines.push(`Other clients need the token in ${tilde(tokenFile)}.`);
  lines.push(
    agent === undefined
      ? 'No agent is started here; one in a process of its own attaches with a token of tokens.create.'
      : agent.kind === 'demo'
        ? 'No model is configured, so a demo agent answers. --help says how to name one.'
        : `The agent asks ${agent.about}.`,
  );
  return lines;
}

/** The command that talks to this gateway, with what differs from the defaults. */
function chatCommand(settings: Settings, address: AddressInfo): string {
  const variables = [
    ...(address.port === 18_789 ? [] : [`OPENCLAW_GATEWAY_PORT=${address.port}`]),
    ...(isUsual(settings) ? [] : [`OPENCLAW_WS_STATE_DIR=${settings.stateDirectory}`]),
  ];
  return [...variables, 'npm run chat -- "hello"'].join(' ');
}

/** The command that lets a phone in, with what differs from the defaults. */
function phoneCommand(settings: Settings, address: AddressInfo, env: Start['env']): string {
  return [
    env.OPENCLAW_STARTED_BY === 'npm start' ? 'node apps/gateway/dist/main.js' : 'openclaw-ws-gateway',
    'setup-code',
    ...(address.port === 18_789 ? [] : [`--port ${address.port}`]),
    ...(isUsual(settings) ? [] : [`--state-dir ${settings.stateDirectory}`]),
    ...(settings.configPath === join(settings.stateDirectory, 'config.json5')
      ? []
      : [`--config ${settings.configPath}`]),
  ].join(' ');
}

function isUsual({ stateDirectory }: Settings): boolean {
  return stateDirectory === `${homedir()}/.openclaw-ws-gateway`;
}
