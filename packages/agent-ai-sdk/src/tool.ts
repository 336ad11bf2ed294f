import { spawn } from 'node:child_process';

/** A JSON Schema of an object: what a tool's arguments look like. */
export type ParametersSchema = Record<string, unknown>;

interface ToolDeclaration {
  /** Letters, digits, `_` and `-`, at most 64. */
  name: string;
  /** What it does and when to use it, for the model. */
  description: string;
  /** What a person is shown in place of the name. */
  title?: string;
  /** JSON Schema of the arguments. Default: none. */
  parameters?: ParametersSchema;
  /**
   * True when a call changes nothing in the world: it may be repeated after a crash, and runs from outside make it without a
   * question. Default false.
   */
  safe?: boolean;
  /** Whether a person is asked before each call. */
  needsApproval?: boolean;
}

/** What a tool's function is told beside its arguments. */
export interface ToolSituation {
  toolCallId: string;
  runId: string;
  /** Aborted with the run. */
  signal: AbortSignal;
}

/** A tool that is a function. `needsApproval` defaults to false. */
export interface AgentTool extends ToolDeclaration {
  execute(args: unknown, situation: ToolSituation): unknown;
}

/** A tool that is a program. `needsApproval` defaults to the opposite of `safe`. */
export interface CommandTool extends ToolDeclaration {
  /** The program and its arguments; no shell. It gets the call's arguments as JSON on its input, its output is the result. */
  command: [string, ...string[]];
  /** Where it runs. Default: where the agent runs. */
  cwd?: string;
  /** Variables of its environment, beside `PATH`, `HOME`, locale and the like. Others of the agent's own are not passed on. */
  env?: Record<string, string>;
  /** Default 60,000. */
  timeoutMs?: number;
}

/** What programs need of an environment, and what holds no secret. */
const plainVariables =
  /^(PATH|HOME|USER|LOGNAME|SHELL|TERM|TZ|TMPDIR|TEMP|TMP|LANG|LANGUAGE|LC_\w+|XDG_\w+|SystemRoot|SystemDrive|PATHEXT|ComSpec|windir|USERPROFILE|APPDATA|LOCALAPPDATA)$/i;

function programEnvironment(own: Record<string, string> | undefined): NodeJS.ProcessEnv {
  const plain = Object.entries(process.env).filter(([name]) => plainVariables.test(name));
  return { ...Object.fromEntries(plain), ...own };
}

/** Characters of a program's output that are kept. */
const maxOutputChars = 48_000;

/** The function of a tool, whichever kind it is. */
export function asAgentTool(tool: AgentTool | CommandTool): AgentTool {
  if ('execute' in tool) return tool;
  const { command, cwd, env, timeoutMs = 60_000, ...declaration } = tool;
  return {
    ...declaration,
    needsApproval: tool.needsApproval ?? tool.safe !== true,
    execute: (args, { signal }) =>
      runCommand(command, args, {
        cwd,
        env: programEnvironment(env),
        signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
      }),
  };
}

function runCommand(
  [program, ...programArgs]: readonly string[],
  args: unknown,
  options: { cwd: string | undefined; env: NodeJS.ProcessEnv; signal: AbortSignal },
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program as string, programArgs, { ...options, stdio: 'pipe' });
    let output = '';
    let problems = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (output.length < maxOutputChars) output += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      if (problems.length < 2_000) problems += text;
    });
    child.on('error', (error) => reject(options.signal.aborted ? options.signal.reason : error));
    child.on('close', (code) => {
      if (code === 0) resolve(output.slice(0, maxOutputChars));
      else reject(new Error(`${program} ended with code ${code}. ${problems.slice(0, 2_000)}`.trim()));
    });
    // A program that reads no input closes it early; its result is still what counts.
    child.stdin.on('error', () => undefined);
    child.stdin.end(JSON.stringify(args ?? {}));
  });
}
