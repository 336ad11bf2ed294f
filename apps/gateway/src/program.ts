import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { homedir } from 'node:os';
import { isGatewayError, systemClock } from '@openclaw/protocol/wire';
import type { EventStore, Gateway, GatewayOptions } from '@openclaw/server';
import { sqliteStore } from '@openclaw/store-sqlite';
import { AgentWorker } from './agent-worker.ts';
import { ExitCode, StartError } from './exit.ts';
import type { Flags } from './flags.ts';
import { pageDirectory } from './page.ts';
import { portOwner } from './port-owner.ts';
import { isLoopback, resolveSettings, type Settings } from './settings.ts';

/** What the program needs of the process around it. */
export interface Surroundings {
  env: Readonly<Record<string, string | undefined>>;
  /** A line for the person who runs the gateway. */
  print: (line: string) => void;
  /** The same for what needs attention. */
  warn: (line: string) => void;
}

/** A gateway that serves. */
export interface RunningProgram {
  address: AddressInfo;
  /** Drains (S25), then stops; resolves when nothing of it is left. */
  stop(reason: string): Promise<void>;
}

/** How long clients are told that a restart takes, in ms. */
const restartExpectedMs = 1_000;

/** Starts the gateway and says how to reach it. Throws a {@link StartError} when it can't start; nothing is left running then. */
export async function runProgram(flags: Flags, { env, print, warn }: Surroundings): Promise<RunningProgram> {
  const clock = systemClock();
  const startedAtMs = clock.elapsed();
  const settings = resolveSettings(flags, env);
  const { page = pageDirectory(), ...http } = settings.http;
  const gateway = await openGateway(
    settings,
    { ...http, ...(page === undefined ? {} : { siteDirectory: page }) },
    warn,
  );
  let address: AddressInfo;
  try {
    address = await listen(gateway, settings);
  } catch (error) {
    await gateway.close();
    throw error;
  }
  const agent = new AgentWorker({
    choice: settings.agent,
    accept: (transport) => gateway.accept(transport, { role: 'agent', id: 'main' }),
    log: warn,
    clock,
  });
  agent.start();

  const code = settings.auth.mode === 'none' || !page ? undefined : await gateway.createBootstrapCode();
  for (const line of greeting({ settings, address, page, code, env, tookMs: clock.elapsed() - startedAtMs }))
    print(line);
  return {
    address,
    async stop(reason) {
      await gateway.drain({ reason, restartExpectedMs });
      agent.cease();
      await gateway.close();
      await agent.stop();
    },
  };
}

async function openGateway(
  settings: Settings,
  http: Partial<GatewayOptions>,
  warn: Surroundings['warn'],
): Promise<Gateway> {
  const { auth, stateDirectory, agentName, configPath, shown } = settings;
  try {
    const store = openingStore(stateDirectory);
    const { createGateway } = await import('@openclaw/server');
    return await createGateway({
      store,
      auth,
      agents: [{ id: 'main', ...(agentName === undefined ? {} : { name: agentName }) }],
      ...http,
      version: programVersion(),
      config: () => ({ path: configPath ?? '', exists: configPath !== undefined, values: shown }),
      onWarning: (warning, cause) => warn(cause === undefined ? warning : `${warning}: ${messageOf(cause)}`),
    });
  } catch (error) {
    if (!isGatewayError(error)) throw error;
    const isInUse = error.details?.reason === 'store_in_use';
    throw new StartError(isInUse ? ExitCode.stateInUse : ExitCode.config, error.message, { cause: error });
  }
}

/** The store, opening already in its own thread while this one still loads the server. */
function openingStore(directory: string): EventStore {
  const store = sqliteStore({ directory });
  const opened = store.open();
  // Whoever asks for it is told.
  opened.catch(() => undefined);
  store.open = () => opened;
  return store;
}

async function listen(gateway: Gateway, { host, port }: Settings): Promise<AddressInfo> {
  try {
    return await gateway.listen({ port, host });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const at = `port ${port} on ${host}`;
    const sentence =
      code === 'EADDRINUSE'
        ? `The ${at} is taken ${await portOwner(host, port)}. Stop that, or give another port with --port.`
        : code === 'EACCES'
          ? `The ${at} is not allowed for this user. Give a port above 1023 with --port.`
          : code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND'
            ? `The address ${host} is not one of this machine's. Give another with --bind.`
            : undefined;
    if (sentence === undefined && !isGatewayError(error)) throw error;
    throw new StartError(ExitCode.address, sentence ?? messageOf(error), { cause: error });
  }
}

/** What is printed after the start: where to go, and what to know. The token itself is never printed. */
function greeting(start: {
  settings: Settings;
  address: AddressInfo;
  page: string | undefined;
  code: string | undefined;
  env: Surroundings['env'];
  tookMs: number;
}): string[] {
  const { settings, address, page, code, env, tookMs } = start;
  const host =
    isLoopback(settings.host) || address.address === '0.0.0.0' || address.address === '::'
      ? '127.0.0.1'
      : address.address;
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${address.port}`;
  const tilde = settings.stateDirectory.replace(homedir(), '~');
  const lines = [
    `Gateway ${programVersion()} at ${url}, started in ${(tookMs / 1000).toFixed(2)} s. State: ${tilde}`,
    '',
  ];
  if (page) lines.push(`  Open   ${url}/${code === undefined ? '' : `#code=${code}`}`);
  if (env.OPENCLAW_STARTED_BY === 'npm start') lines.push(`  Type   ${chatCommand(settings, address)}`);
  if (lines.length > 2) lines.push('');
  if (code !== undefined) lines.push('The link works once, within ten minutes; the page is known after that.');
  if (settings.tokenFile) lines.push(`Other clients need the token in ${settings.tokenFile.replace(homedir(), '~')}.`);
  lines.push(
    settings.agent.kind === 'demo'
      ? 'No model is configured, so a demo agent answers. --help says how to name one.'
      : `The agent asks ${settings.agent.about}.`,
  );
  return lines;
}

/** The command that talks to this gateway, with what differs from the defaults. */
function chatCommand(settings: Settings, address: AddressInfo): string {
  const variables = [
    ...(address.port === 18_789 ? [] : [`OPENCLAW_GATEWAY_PORT=${address.port}`]),
    ...(settings.stateDirectory === `${homedir()}/.openclaw-ws-gateway`
      ? []
      : [`OPENCLAW_WS_STATE_DIR=${settings.stateDirectory}`]),
  ];
  return [...variables, 'npm run chat -- "hello"'].join(' ');
}

/** This program's version, from its package.json. */
export function programVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  return (manifest as { version: string }).version;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
