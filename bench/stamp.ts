/** The time in ms on the clock that all processes of this machine share (CLOCK_MONOTONIC). */
export function machineTimeMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
