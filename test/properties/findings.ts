import type { GatewayError } from '@openclaw/client';
import type { Message } from '@openclaw/protocol';

/** What went wrong in a world, by invariant, and what clients were told of their runs. */
export class Findings {
  readonly problems: { invariant: string; problem: string }[] = [];
  /** True once no more faults happen. */
  isHealed = false;
  readonly answers = new Map<string, Message[]>();
  readonly errors = new Map<string, GatewayError[]>();
  readonly heardTexts = new Map<string, string[]>();

  report(invariant: string, problem: string): void {
    if (this.problems.length < 50) this.problems.push({ invariant, problem });
  }

  /** A run's `final` resolved. */
  answered(key: string, message: Message): void {
    this.answers.set(key, [...(this.answers.get(key) ?? []), message]);
  }

  /** A run's `final` rejected. */
  ended(key: string, error: GatewayError): void {
    this.errors.set(key, [...(this.errors.get(key) ?? []), error]);
  }

  /** The iteration of a run's parts came to its end, without a reset. */
  heard(key: string, text: string): void {
    this.heardTexts.set(key, [...(this.heardTexts.get(key) ?? []), text]);
  }
}
