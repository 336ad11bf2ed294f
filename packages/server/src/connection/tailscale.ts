import type { Clock } from '@openclaw/protocol';
import type { TailscaleOptions } from './access-options.ts';
import { authRefusal } from './connect-refusal.ts';

/** Who has an address of the tailnet. */
export interface TailnetUser {
  login: string;
  name?: string;
}

/** How long an answer of whois is used again, in ms. */
const keptMs = 60_000;
const maxKept = 1_000;
const maxAsking = 8;
const whoisTimeoutMs = 2_000;

type Answer =
  | { is: 'known'; user: TailnetUser }
  | { is: 'nobody' }
  /** There is no program to ask. */
  | { is: 'absent' }
  | { is: 'failed' };

/** Asks who has an address, keeps what it was told for a minute, and never asks too much at a time. */
export class TailscaleUsers {
  readonly #clock: Clock;
  readonly #kept = new Map<string, { answer: Promise<Answer>; untilMs: number }>();
  #options: TailscaleOptions;
  #askingCount = 0;

  constructor({ clock, options = {} }: { clock: Clock; options?: TailscaleOptions }) {
    this.#clock = clock;
    this.#options = options;
  }

  /** Logins that may come in; undefined: everyone whom whois confirms. */
  get allowLogins(): readonly string[] | undefined {
    return this.#options.allowLogins;
  }

  /** Takes other options into use; what was answered before is asked again. */
  reconfigure(options: TailscaleOptions = {}): void {
    this.#options = options;
    this.#kept.clear();
  }

  /** Never rejects. */
  whois(address: string): Promise<Answer> {
    const nowMs = this.#clock.elapsed();
    const known = this.#kept.get(address);
    if (known && known.untilMs > nowMs) return known.answer;
    this.#kept.delete(address);
    if (this.#askingCount >= maxAsking) return Promise.resolve({ is: 'failed' });
    this.#askingCount++;
    const answer = this.#ask(address).then((found) => {
      this.#askingCount--;
      // A fault may be gone in a moment.
      if (found.is === 'failed' && this.#kept.get(address)?.answer === answer) this.#kept.delete(address);
      return found;
    });
    if (this.#kept.size >= maxKept) this.#kept.delete(this.#kept.keys().next().value ?? '');
    this.#kept.set(address, { answer, untilMs: nowMs + keptMs });
    return answer;
  }

  async #ask(address: string): Promise<Answer> {
    const { whois } = this.#options;
    if (!whois) return askProgram(address);
    try {
      const user = await whois(address);
      return user ? { is: 'known', user } : { is: 'nobody' };
    } catch (error) {
      return isMissingProgram(error) ? { is: 'absent' } : { is: 'failed' };
    }
  }
}

/**
 * The login that `tailscale serve` named for a request, confirmed: `tailscale whois` says that the client's address is that
 * user's. Where there is no such program on this machine, the header counts only from a peer that is a trusted proxy. Rejects
 * with `AUTH_TAILSCALE_WHOIS_FAILED`, `AUTH_TAILSCALE_IDENTITY_MISMATCH`, or `AUTH_VERIFIED_USER_REQUIRED` for a login that is
 * not allowed.
 */
export async function identifyTailscale(
  users: TailscaleUsers,
  { address, login, isPeerTrusted }: { address: string; login: string; isPeerTrusted: boolean },
): Promise<string> {
  const answer = await users.whois(address);
  if (answer.is === 'failed' || (answer.is === 'absent' && !isPeerTrusted)) {
    throw authRefusal(
      'AUTH_TAILSCALE_WHOIS_FAILED',
      'tailscale whois could not be asked on the gateway’s machine (see that "tailscale whois" works there, or send a token)',
    );
  }
  const isConfirmed = answer.is === 'absent' || (answer.is === 'known' && isSameLogin(answer.user.login, login));
  if (!isConfirmed) {
    throw authRefusal(
      'AUTH_TAILSCALE_IDENTITY_MISMATCH',
      `the address ${address} is not of the user whom the request names (connect through tailscale serve)`,
    );
  }
  const { allowLogins } = users;
  const allowed = allowLogins?.find((each) => isSameLogin(each, login));
  if (allowLogins && allowed === undefined) {
    throw authRefusal(
      'AUTH_VERIFIED_USER_REQUIRED',
      'this tailnet user may not come in (add the login to tailscale.allowLogins)',
    );
  }
  return allowed ?? login.toLowerCase();
}

function isSameLogin(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase();
}

async function askProgram(address: string): Promise<Answer> {
  const { execFile } = await import('node:child_process');
  return new Promise((resolve) => {
    const options = {
      timeout: whoisTimeoutMs,
      killSignal: 'SIGKILL',
      maxBuffer: 1024 * 1024,
      windowsHide: true,
    } as const;
    execFile('tailscale', ['whois', '--json', address], options, (error, stdout) => {
      if (error) resolve({ is: isMissingProgram(error) ? 'absent' : 'failed' });
      else resolve(readWhois(stdout));
    });
  });
}

function isMissingProgram(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === 'ENOENT';
}

/** What `tailscale whois --json` printed. Machines with tags have no user: their login is `tagged-devices`. */
function readWhois(text: string): Answer {
  try {
    const { UserProfile: profile } = JSON.parse(text) as {
      UserProfile?: { LoginName?: unknown; DisplayName?: unknown };
    };
    if (typeof profile?.LoginName !== 'string' || profile.LoginName === '') return { is: 'nobody' };
    const name = typeof profile.DisplayName === 'string' ? { name: profile.DisplayName } : {};
    return { is: 'known', user: { login: profile.LoginName, ...name } };
  } catch {
    return { is: 'failed' };
  }
}
