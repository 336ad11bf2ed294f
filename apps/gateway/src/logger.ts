import { styleText } from 'node:util';
import { type DestinationStream, type Logger, pino } from 'pino';
import { LogOutput } from './log-output.ts';

/**
 * The logger behind the log: JSON lines, or short ones for a terminal. Writing never blocks the event loop; what still waits
 * when the process ends is written then.
 */
export function openLogger(format: 'json' | 'text', write?: (text: string) => void): Logger {
  const options = {
    level: 'trace',
    base: null,
    messageKey: 'message',
    timestamp: false,
    formatters: { level: (level: string) => ({ level }) },
  } as const;
  const stderr = write ? { write } : stderrOutput();
  return pino(options, format === 'json' ? stderr : textStream(stderr));
}

function stderrOutput(): LogOutput {
  const output = new LogOutput();
  process.once('exit', () => output.flush());
  return output;
}

/** Turns JSON lines into lines for people. */
function textStream(stream: DestinationStream): DestinationStream {
  return {
    write(line) {
      stream.write(`${textOf(JSON.parse(line) as Record<string, unknown>)}\n`);
    },
  };
}

const colours = { error: 'red', warn: 'yellow', info: 'green', debug: 'blue', trace: 'gray' } as const;

function textOf({ level, time, event: _event, message, stack: _stack, ...fields }: Record<string, unknown>): string {
  const isKnown = typeof level === 'string' && level in colours;
  const colour = isKnown ? colours[level as keyof typeof colours] : 'gray';
  const about = Object.entries(fields).map(([name, value]) => `${name}=${plain(value)}`);
  const words = [String(time).slice(11, 19), styled(colour, String(level).padEnd(5)), plainText(String(message))];
  return [...words, ...(about.length === 0 ? [] : [styled('dim', about.join(' '))])].join(' ');
}

function styled(style: 'red' | 'yellow' | 'green' | 'blue' | 'gray' | 'dim', text: string): string {
  return styleText(style, text, { stream: process.stderr });
}

function plain(value: unknown): string {
  const text = Array.isArray(value) ? value.join(',') : plainText(String(value));
  return /[\s="]/.test(text) ? JSON.stringify(text) : text;
}

/** Nothing that a terminal would act on: an identifier may be whatever a client made of it. */
function plainText(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is taken out
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, ' ');
}
