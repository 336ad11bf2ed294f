/** One row of the table: what was measured, and what it should be. */
export interface Figure {
  what: string;
  value: string;
  /** The bar and the aim, where there are any. */
  goal?: string;
  /** What it was measured with, or beside. */
  note?: string;
}

/** The value below which `share` of the samples lie, e.g. 0.99. Throws when there are no samples. */
export function percentile(samples: readonly number[], share: number): number {
  const sorted = samples.toSorted((a, b) => a - b);
  const value = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
  if (value === undefined) throw new Error('There are no samples to take a percentile of.');
  return value;
}

/** `1.2 ms`: three digits that mean something. */
export function ms(value: number): string {
  return `${value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : value.toFixed(0)} ms`;
}

/** The middle and the tail of samples in ms. */
export function spread(samples: readonly number[]): string {
  return `p50 ${ms(percentile(samples, 0.5))}, p99 ${ms(percentile(samples, 0.99))}`;
}

/** The middle and the extremes of a few samples in ms. */
export function range(samples: readonly number[]): string {
  return `${ms(percentile(samples, 0.5))} (${ms(Math.min(...samples))} – ${ms(Math.max(...samples))})`;
}

/** A Markdown table of the figures. */
export function table(figures: readonly Figure[]): string {
  const rows = [
    ['figure', 'measured', 'must / aim', 'how'],
    ['---', '---', '---', '---'],
    ...figures.map(({ what, value, goal = '', note = '' }) => [what, value, goal, note]),
  ];
  return rows.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}
