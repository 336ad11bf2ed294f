/** What the process ends with; the README lists them. Numbers as in sysexits.h where one fits. */
export const ExitCode = {
  ok: 0,
  /** Something unforeseen; a defect. */
  internal: 70,
  /** A flag that does not exist or has a bad value. */
  usage: 64,
  /** The address can't be bound: the port is taken, or not allowed. */
  address: 69,
  /** Another gateway uses the state directory. Trying again later may help. */
  stateInUse: 75,
  /** The configuration or the state directory can't be used as they are. */
  config: 78,
} as const;

/** A reason not to start: one sentence for the person, and the exit code. */
export class StartError extends Error {
  readonly exitCode: number;

  constructor(exitCode: number, message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.name = 'StartError';
    this.exitCode = exitCode;
  }
}
