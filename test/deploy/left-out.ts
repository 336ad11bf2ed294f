/**
 * For what a machine may lack: true when `present`; else says loudly what is left out, and, since CI must have everything,
 * throws there.
 */
export function mayRun(present: unknown, what: string, remedy: string): boolean {
  if (present) return true;
  if (process.env.CI === 'true') throw new Error(`${what} can't be proved here, and CI=true: ${remedy}.`);
  console.error(`\n*** LEFT OUT: ${what}. ${remedy}. ***\n`);
  return false;
}
