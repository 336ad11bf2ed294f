import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { ConnectFuzzer } from './connect-fuzzer.ts';
import { Findings } from './findings.ts';
import { FrameFuzzer } from './frame-fuzzer.ts';
import { HttpFuzzer } from './http-fuzzer.ts';
import { Target } from './target.ts';

export interface FuzzOptions {
  seed: number;
  /** How many inputs. */
  inputs: number;
  /** Told of each input before it is sent; for whoever watches from outside. */
  progress?: (input: number) => void;
}

/** What came of it. No findings is good. */
export interface FuzzReport {
  findings: string[];
  frames: number;
  /** How often words of operator A came to someone who may read them. */
  sightings: number;
  connects: number;
  admitted: number;
  requests: number;
  statuses: Record<string, number>;
  /** The longest that the event loop did not turn, in ms of its own work: what other programs of the machine took is not in it. */
  longestBlockMs: number;
  /** The first input of the batch in which that was. */
  longestBlockAt: number;
  /** Heap in use after each gateway is gone, in MiB; measured where the garbage collector can be called. */
  heapMiB: number[];
}

/** A gateway lives this long: what it keeps in memory goes with it, and what stays behind shows. */
const inputsPerGateway = 20_000;
const frameBatch = 40;
const framesPerSettle = 1_000;
/** Of 20 parts: the others are frames after hello. */
const connectParts = 3;
const requestParts = 3;
const socketsAtOnce = 24;

/** Throws `inputs` inputs, all made from `seed`, at gateways in this process. Rejects only when a gateway can't be started. */
export async function fuzz({ seed, inputs, progress = () => {} }: FuzzOptions): Promise<FuzzReport> {
  const findings = new Findings();
  const report: FuzzReport = {
    findings: [],
    frames: 0,
    sightings: 0,
    connects: 0,
    admitted: 0,
    requests: 0,
    statuses: {},
    longestBlockMs: 0,
    longestBlockAt: 0,
    heapMiB: [],
  };
  const surprised = (error: unknown) =>
    findings.add(`an error that nobody caught: ${String(error)}`, error instanceof Error ? String(error.stack) : '');
  process.on('unhandledRejection', surprised);
  process.on('uncaughtException', surprised);
  const directory = mkdtempSync(join(tmpdir(), 'gateway-fuzz-'));
  const site = join(directory, 'site');
  mkdirSync(site);
  writeFileSync(join(site, 'index.html'), '<!doctype html><title>Site</title>');
  for (const name of ['secret.txt', '.env']) writeFileSync(join(directory, name), 'outside-the-site');
  const delay = monitorEventLoopDelay({ resolution: 20 });
  delay.enable();
  try {
    for (let first = 0; first < inputs; first += inputsPerGateway) {
      await oneGateway(first, Math.min(inputs, first + inputsPerGateway));
      globalThis.gc?.();
      if (globalThis.gc) report.heapMiB.push(Math.round(process.memoryUsage().heapUsed / 1_048_576));
    }
  } finally {
    process.off('unhandledRejection', surprised);
    process.off('uncaughtException', surprised);
    rmSync(directory, { recursive: true });
  }
  delay.disable();
  report.findings = findings.lines;
  return report;

  async function oneGateway(first: number, end: number): Promise<void> {
    const target = await Target.start(findings, site);
    const frames = new FrameFuzzer(target, findings, seed);
    const connects = new ConnectFuzzer(target, findings, seed);
    const requests = new HttpFuzzer(target, findings, seed);
    let sinceSettle = 0;
    for (let input = first, part = 0; input < end; part++) {
      const kind = part % 20;
      const isSocket = kind < connectParts + requestParts;
      const count = Math.min(isSocket ? socketsAtOnce * 2 : frameBatch, end - input);
      progress(input);
      delay.reset();
      const before = process.cpuUsage();
      if (kind < connectParts) {
        await connects.batch(input, count);
        report.connects += count;
      } else if (isSocket) {
        await requests.batch(input, count);
        report.requests += count;
      } else {
        await frames.batch(input, count);
        report.frames += count;
        sinceSettle += count;
      }
      const { user, system } = process.cpuUsage(before);
      const blockMs = Math.round(Math.min(delay.max / 1e6, (user + system) / 1e3));
      if (blockMs > report.longestBlockMs) Object.assign(report, { longestBlockMs: blockMs, longestBlockAt: input });
      input += count;
      if (sinceSettle < framesPerSettle) continue;
      sinceSettle = 0;
      await frames.settle();
      await target.seed();
    }
    await frames.settle();
    frames.close();
    report.sightings += frames.sightings;
    report.admitted += connects.admitted;
    for (const [status, count] of requests.statuses) report.statuses[status] = (report.statuses[status] ?? 0) + count;
    await target.close();
  }
}
