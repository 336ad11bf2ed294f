import { parseArgs } from 'node:util';
import type { DevicesOrder } from './commands/devices.ts';
import { ExitCode, StartError } from './exit.ts';

/** What the command line and its twins in the environment say; undefined where they say nothing. */
export interface Flags {
  port?: number;
  bind?: string;
  token?: string;
  stateDirectory?: string;
  config?: string;
  agentUrl?: string;
  agentModel?: string;
  agentKey?: string;
}

/** The flags of a start or of a command, or a text that was asked for. */
export type CommandLine =
  | { kind: 'run' | 'hash-password' | 'check-config'; flags: Flags }
  | { kind: 'setup-code'; flags: Flags; url: string | undefined }
  | { kind: 'devices'; flags: Flags; order: DevicesOrder | undefined }
  | { kind: 'help' }
  | { kind: 'version' };

const options = {
  port: { type: 'string' },
  bind: { type: 'string' },
  token: { type: 'string' },
  'state-dir': { type: 'string' },
  config: { type: 'string' },
  'agent-url': { type: 'string' },
  'agent-model': { type: 'string' },
  'agent-key': { type: 'string' },
  url: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean', short: 'v' },
} as const;

/** The text of `--help`. */
export const helpText = `openclaw-ws-gateway: a gateway between people and an AI agent that loses nothing.

Usage: openclaw-ws-gateway [flags]                      runs the gateway
       openclaw-ws-gateway setup-code [--url <url>]     a code, as text and QR, that lets one phone into the running gateway;
                                                        --url is where the phone reaches it
       openclaw-ws-gateway devices                      the devices that wait to be let in, and those that were
       openclaw-ws-gateway devices approve <request>    lets one in; reject <request>, remove <device>
       openclaw-ws-gateway hash-password                reads a password, prints what may stand in the configuration for it
       openclaw-ws-gateway check-config                 checks the configuration; exit code 78 when it is not valid

  --port <n>            Port for WebSocket and HTTP; 0 picks a free one.     OPENCLAW_GATEWAY_PORT   18789
  --bind <address>      loopback, lan (every interface), or an address.      OPENCLAW_GATEWAY_BIND   loopback
  --token <text>        The token that clients need. Without one, a token    OPENCLAW_GATEWAY_TOKEN
                        is made and kept in the state directory.
  --state-dir <path>    Where conversations are kept.                        OPENCLAW_WS_STATE_DIR   ~/.openclaw-ws-gateway
  --config <path>       Configuration (JSON5). Default: config.json5 in      OPENCLAW_WS_CONFIG
                        the state directory, if there is one.

  --agent-url <url>     OpenAI-compatible address of a model, with /v1.      OPENCLAW_AGENT_URL
  --agent-model <name>  The model to ask for.                                OPENCLAW_AGENT_MODEL
  --agent-key <text>    Its key. Better in the environment: other users of   OPENCLAW_AGENT_KEY
                        the machine can see the flags of a process.

  -h, --help            This text.
  -v, --version         The version.

A flag wins over the environment, the environment over the configuration. With no model configured a demo agent answers, which
needs no key and calls nobody.

Examples:
  openclaw-ws-gateway
  openclaw-ws-gateway --agent-url http://127.0.0.1:11434/v1 --agent-model llama3.2
  ANTHROPIC_API_KEY=… openclaw-ws-gateway --port 8080 --state-dir ./state

SIGTERM or Ctrl-C waits up to 30 s for answers in progress; a second one stops at once.
Exit codes: 0 stopped · 64 bad flag · 69 port taken · 75 state directory in use · 78 bad configuration or state directory.
`;

/** Reads the command line (without node and script) and the environment. Throws a {@link StartError} that names the bad flag. */
export function readFlags(args: readonly string[], env: Readonly<Record<string, string | undefined>>): CommandLine {
  const { values, positionals } = parse(args);
  if (values.help) return { kind: 'help' };
  if (values.version) return { kind: 'version' };
  // An empty variable is as good as none: service managers and CI set such.
  const pick = (
    flag: Exclude<keyof typeof options, 'help' | 'version' | 'url'>,
    variable: string,
  ): string | undefined => values[flag] ?? (env[variable] || undefined);
  const port = pick('port', 'OPENCLAW_GATEWAY_PORT');
  const flags = {
    port: port === undefined ? undefined : portNumber(port),
    bind: pick('bind', 'OPENCLAW_GATEWAY_BIND'),
    token: pick('token', 'OPENCLAW_GATEWAY_TOKEN'),
    stateDirectory: pick('state-dir', 'OPENCLAW_WS_STATE_DIR'),
    config: pick('config', 'OPENCLAW_WS_CONFIG'),
    agentUrl: pick('agent-url', 'OPENCLAW_AGENT_URL'),
    agentModel: pick('agent-model', 'OPENCLAW_AGENT_MODEL'),
    agentKey: pick('agent-key', 'OPENCLAW_AGENT_KEY'),
  };
  for (const [name, value] of Object.entries(values)) {
    if (value === '') throw usage(`--${name} is empty; give it a value.`);
  }
  const given = Object.fromEntries(Object.entries(flags).filter(([, value]) => value !== undefined));
  return commandOf(positionals, given, values.url);
}

function commandOf(words: readonly string[], flags: Flags, url: string | undefined): CommandLine {
  const [kind, surplus] = words;
  if (kind === 'devices' && url === undefined) return { kind, flags, order: devicesOrder(words.slice(1)) };
  if (surplus !== undefined) throw usage(`"${surplus}" is one word too many.`);
  if (kind === 'setup-code') return { kind, flags, url };
  if (url !== undefined) throw usage('--url is for setup-code only.');
  if (kind === undefined) return { kind: 'run', flags };
  if (kind === 'hash-password' || kind === 'check-config') return { kind, flags };
  throw usage(`There is no command "${kind}".`);
}

function devicesOrder([action, id, surplus]: readonly string[]): DevicesOrder | undefined {
  if (action === undefined) return undefined;
  if (action !== 'approve' && action !== 'reject' && action !== 'remove')
    throw usage(`devices knows approve, reject and remove, not "${action}".`);
  if (id === undefined) throw usage(`devices ${action} needs the ${action === 'remove' ? 'device' : 'request'}.`);
  if (surplus !== undefined) throw usage(`"${surplus}" is one word too many.`);
  return { action, id };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options, strict: true, allowPositionals: true });
  } catch (error) {
    // Node's sentence names the flag; what follows it is advice about "--" that does not fit here.
    const [sentence] = (error instanceof Error ? error.message : String(error)).split(/(?<=['"])\. /);
    throw usage(`${sentence?.replace(/\.$/, '')}.`);
  }
}

function portNumber(text: string): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port <= 65_535) return port;
  throw usage(`The port "${text}" is not a number from 0 to 65535.`);
}

function usage(sentence: string): StartError {
  return new StartError(ExitCode.usage, `${sentence} See openclaw-ws-gateway --help.`);
}
