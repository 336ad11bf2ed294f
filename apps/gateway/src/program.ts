import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { type Clock, isGatewayError, systemClock } from '@openclaw/protocol/wire';
import type { EventStore, Gateway, GatewayOptions } from '@openclaw/server';
import { sqliteStore } from '@openclaw/store-sqlite';
import { openingConfig } from './config-port.ts';
import { ConfiguredAgent } from './configured-agent.ts';
import { ExitCode, StartError } from './exit.ts';
import type { Flags } from './flags.ts';
import { greeting } from './greeting.ts';
import type { LiveConfig } from './live-config.ts';
import { ProgramLog } from './log.ts';
import { Metrics, metricsRoute } from './metrics.ts';
import { pageDirectory } from './page.ts';
import { portOwner } from './port-owner.ts';
import { resolveSettings, type Settings } from './settings.ts';

/** What the program needs of the process around it. */
export interface Surroundings {
  env: Readonly<Record<string, string | undefined>>;
  /** A line for the person who runs the gateway. */
  print: (line: string) => void;
  /** The same for what needs attention. */
  warn: (line: string) => void;
  /** Whether a person reads the log as it is written. Default false. */
  isTerminal?: boolean;
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
export async function runProgram(flags: Flags, surroundings: Surroundings): Promise<RunningProgram> {
  const clock = systemClock();
  const startedAtMs = clock.elapsed();
  const settings = await resolveSettings(flags, surroundings.env);
  const { level, format = surroundings.isTerminal ? 'text' : 'json' } = settings.config.log;
  const log = new ProgramLog({ level, format, now: () => clock.now() });
  try {
    return await startProgram({ flags, surroundings, settings, log, clock, startedAtMs });
  } catch (error) {
    const { knownSecrets } = await import('./known-secrets.ts');
    log.hide(knownSecrets(settings, flags, surroundings.env));
    for (const line of log.unwritten()) surroundings.warn(line);
    throw error;
  }
}

interface Start {
  flags: Flags;
  surroundings: Surroundings;
  settings: Settings;
  log: ProgramLog;
  clock: Clock;
  startedAtMs: number;
}

async function startProgram({
  flags,
  surroundings,
  settings,
  log,
  clock,
  startedAtMs,
}: Start): Promise<RunningProgram> {
  const { env, print } = surroundings;
  const warn = (line: string) => log.warning(line);
  const page = settings.page ?? pageDirectory();
  let agent: ConfiguredAgent | undefined;
  let config: LiveConfig | undefined;
  const opened = Promise.withResolvers<LiveConfig>();
  for (const warning of settings.warnings) warn(warning);
  const metrics = new Metrics();
  const gateway = await openGateway(settings, {
    config: openingConfig(opened.promise),
    ...(page === undefined ? {} : { siteDirectory: page }),
    observer: [log.observer, metrics, { runEnded: () => agent?.look() }],
    routes: [
      metricsRoute(metrics, {
        version: programVersion(),
        isEnabled: () => (config?.settings ?? settings).config.metrics,
      }),
    ],
  });
  let address: AddressInfo;
  try {
    address = await listen(gateway, settings);
  } catch (error) {
    await gateway.close();
    throw error;
  }
  if (settings.agent) agent = new ConfiguredAgent({ choice: settings.agent, gateway, log: warn, clock });
  const code = settings.live.auth.mode === 'none' || !page ? undefined : await gateway.createBootstrapCode();
  const tookMs = clock.elapsed() - startedAtMs;
  const start = { settings, address, version: programVersion(), hasPage: page !== undefined, code, env, tookMs };
  for (const line of greeting(start)) print(line);
  log.listening({ version: start.version, address: address.address, port: address.port, tookMs });
  const [{ LiveConfig }, { knownSecrets }] = await Promise.all([
    import('./live-config.ts'),
    import('./known-secrets.ts'),
  ]);
  log.hide(knownSecrets(settings, flags, env));
  await log.open();
  const live = new LiveConfig({
    settings,
    ground: {
      flags,
      env,
      now: () => clock.now(),
      stateDirectory: settings.stateDirectory,
      configPath: settings.configPath,
    },
    apply(next) {
      const { tls, ...others } = next.live;
      // Whether the port speaks TLS is fixed at the start.
      gateway.reconfigure(tls && settings.live.tls ? next.live : others);
      log.hide(knownSecrets(next, flags, env));
      log.setLevel(next.config.log.level);
    },
    changed(change) {
      if (change.problem === undefined) agent?.use(live.settings.agent);
      else if (change.by === undefined) log.configRefused(change.problem);
      gateway.configChanged(change).catch((error: unknown) => warn(`A change could not be told: ${messageOf(error)}`));
    },
    warn,
    clock,
  });
  config = live;
  opened.resolve(live);
  live.start();
  return {
    address,
    async stop(reason) {
      live.close();
      await gateway.drain({ reason, restartExpectedMs });
      agent?.cease();
      await gateway.close();
      await agent?.stop();
      log.stopped();
      await log.settled();
    },
  };
}

async function openGateway(settings: Settings, options: Partial<GatewayOptions>): Promise<Gateway> {
  const { live, stateDirectory, config } = settings;
  const { name } = config.agent;
  try {
    const store = openingStore(stateDirectory);
    const { createGateway } = await import('@openclaw/server');
    return await createGateway({
      store,
      agents: [{ id: 'main', ...(name === undefined ? {} : { name }) }],
      ...live,
      retention: config.retention,
      ...(config.runs.silenceMs === undefined ? {} : { runSilenceMs: config.runs.silenceMs }),
      ...(config.runs.agentGraceMs === undefined ? {} : { agentGraceMs: config.runs.agentGraceMs }),
      ...options,
      version: programVersion(),
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

/** This program's version, from its package.json. */
export function programVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  return (manifest as { version: string }).version;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
