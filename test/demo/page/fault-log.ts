import type { Fault } from './settings.ts';
import type { Side } from './side.ts';

const names: Readonly<Record<Fault, string>> = {
  cut: '✂ Cable cut for 3 s',
  kill: '☠ Gateway killed with -9',
  sleep: '☾ Slept for 5 s',
};

/** One thing that was done, and what came of it on each side. */
export interface Incident {
  fault: Fault;
  atMs: number;
  leftMs: number | undefined;
  rightMs: number | undefined;
}

/** The table of what was broken: when each side went on, and what it had lost by then. */
export class FaultLog {
  readonly incidents: Incident[] = [];
  readonly #body: HTMLElement;
  readonly #sides: { left: Side; right: Side };
  #rows: {
    cells: Record<'left' | 'right', { time: HTMLElement; lost: HTMLElement }>;
    lostBefore: Record<'left' | 'right', number>;
  }[] = [];

  constructor(body: HTMLElement, sides: { left: Side; right: Side }) {
    this.#body = body;
    this.#sides = sides;
  }

  /** Forgets what was done to the last answer. */
  clear(): void {
    this.incidents.length = 0;
    this.#rows = [];
    this.#body.replaceChildren();
  }

  /** Begins a row. */
  add(fault: Fault): void {
    if (this.incidents.length === 0) this.#body.replaceChildren();
    const { left, right } = this.#sides;
    const row = document.createElement('tr');
    const head = document.createElement('th');
    head.scope = 'row';
    head.textContent = `${names[fault]}, at part ${left.tally.newest}`;
    const cell = () => {
      const made = document.createElement('td');
      made.textContent = '…';
      return made;
    };
    const cells = { left: { time: cell(), lost: cell() }, right: { time: cell(), lost: cell() } };
    row.append(head, cells.left.time, cells.left.lost, cells.right.time, cells.right.lost);
    this.#body.append(row);
    this.incidents.push({ fault, atMs: performance.now(), leftMs: undefined, rightMs: undefined });
    this.#rows.push({ cells, lostBefore: { left: left.tally.lost, right: right.tally.lost } });
  }

  /** Notes that a side went on: for every incident that it had not gone on after. */
  wentOn(side: 'left' | 'right'): void {
    const key = `${side}Ms` as const;
    this.incidents.forEach((incident, index) => {
      if (incident[key] !== undefined) return;
      incident[key] = performance.now() - incident.atMs;
      const row = this.#rows[index];
      if (!row) return;
      const { time, lost } = row.cells[side];
      const count = this.#sides[side].tally.lost - row.lostBefore[side];
      time.textContent = `${((incident[key] ?? 0) / 1_000).toFixed(1)} s`;
      lost.textContent = String(count);
      lost.dataset.good = String(count === 0);
    });
  }
}
