/** What the buttons do. */
export type Fault = 'cut' | 'kill' | 'sleep';

/** What the page has to know; the supervisor gives it. */
export interface DemoSettings {
  /** The gateway, behind the fault proxy. */
  gatewayUrl: string;
  token: string;
  /** What the agent is asked. */
  question: string;
  /** How many parts the answer has: the numbers from 1 on. */
  count: number;
  /** SHA-256 of the whole answer, computed by the supervisor, hex. */
  expectedHash: string;
}

/** One side's result. */
export interface SideResult {
  received: number;
  expected: number;
  lost: number;
  doubled: number;
  reordered: number;
  /** Whether what streamed has the expected SHA-256. */
  hashMatches: boolean;
  /** How the answer ended for this client. */
  ended: 'yes' | 'no';
}

/** What `--auto` reads when the page is done. */
export interface DemoResult {
  left: SideResult;
  right: SideResult;
  /** Each fault, with the time until each side went on, in ms; undefined where it never did. */
  faults: { fault: Fault; leftMs: number | undefined; rightMs: number | undefined }[];
}
