/** What gathers bytes during a turn of the event loop and sends them at its end. */
export interface TurnMember {
  flush(): void;
}

/** The end of the current turn, shared by all sockets: one immediate per turn, however many of them write. */
export class Turn {
  #members: TurnMember[] = [];
  readonly #defer: (task: () => void) => void;

  /** `defer` runs a task at the end of the turn; default `setImmediate`. */
  constructor(defer: (task: () => void) => void = setImmediate) {
    this.#defer = defer;
  }

  /** Calls `member.flush()` once at the end of this turn. */
  add(member: TurnMember): void {
    this.#members.push(member);
    if (this.#members.length > 1) return;
    this.#defer(() => {
      const members = this.#members;
      this.#members = [];
      for (const each of members) each.flush();
    });
  }
}
