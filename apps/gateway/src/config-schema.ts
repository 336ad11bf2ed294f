import { z } from 'zod';
import {
  authSection,
  effectsSection,
  httpSection,
  tailscaleSection,
  tlsSection,
  tokensSection,
} from './access-schema.ts';
import { agentSection } from './agent-schema.ts';
import { hooksSection, openAiSection, uploadsSection } from './http-schema.ts';
import { limitSettings } from './limit-settings.gen.ts';
import { logLevels } from './log.ts';
import { atRestart, bound, live, standard } from './setting.ts';

const text = z.string().min(1);
/** Defaults and words are those of the server, see `scripts/generate.ts`. */
const limits = z
  .strictObject(
    Object.fromEntries(
      Object.entries(limitSettings).map(([name, { standard: words, about }]) => [
        name,
        (/needs a restart/.test(about) ? atRestart : live)(
          standard(z.number().min(0).optional(), words).describe(about),
        ),
      ]),
    ) as Record<keyof typeof limitSettings, z.ZodOptional<z.ZodNumber>>,
  )
  .describe('What connections and requests are held to.');

const retention = z
  .strictObject({
    maxAgeMs: bound('How long an event is kept, in ms of uptime.', '86400000'),
    auditAgeMs: bound('The same for refusals in the audit trail; its other entries are kept.', '7776000000'),
    maxEvents: bound('Events per stream.', '100000'),
    maxBytes: bound('Bytes per stream.', '67108864'),
    mergeAfterMs: bound('How long after the last event of a session its deltas are merged, in ms.', '600000'),
  })
  .describe('What a stream keeps before a late reader gets a snapshot. Messages are kept until they are deleted.');

const runs = z
  .strictObject({
    silenceMs: bound('How long a run may be silent, or without any agent, before it is ended, in ms.', '600000'),
    agentGraceMs: bound('How long a run waits for an agent process that is gone, in ms.', '30000'),
  })
  .describe('When runs are given up.');

const log = z
  .strictObject({
    level: z
      .enum(logLevels)
      .default('info')
      .describe('How much is logged: `debug` adds connections and runs, `trace` every request.'),
    format: atRestart(standard(z.enum(['json', 'text']).optional(), 'text on a terminal, else json')).describe(
      'One JSON object a line, or short lines for a person.',
    ),
  })
  .describe('What is written to stderr.');

/**
 * What a configuration file may say. Unknown fields are refused: a misspelt one must not be dropped in silence. Every field
 * says what it does; the docs, the hints for forms, what is shown and what is taken into use at once follow from here.
 */
export const configSchema = z.strictObject({
  port: standard(z.int().min(0).max(65_535).optional(), '18789').describe('The port; 0 picks a free one.'),
  bind: standard(text.optional(), "'loopback'").describe('`loopback`, `lan` for every interface, or an address.'),
  auth: live(authSection.default({ mode: 'token' })),
  tokens: live(tokensSection.default({})),
  tailscale: live(tailscaleSection.optional()),
  http: live(httpSection.prefault({})),
  tls: live(tlsSection.optional()),
  limits: live(limits.default({})),
  effects: live(effectsSection.default({})),
  hooks: live(hooksSection.optional()),
  openAi: live(openAiSection.default({})),
  uploads: live(uploadsSection.default({})),
  retention: retention.default({}),
  runs: runs.default({}),
  log: live(log.prefault({})),
  metrics: live(z.boolean().default(true)).describe(
    'Serve `/metrics` for Prometheus, to this machine and to tokens with operator.read.',
  ),
  agent: live(agentSection.prefault({})),
});

/** A checked configuration. */
export type Config = z.output<typeof configSchema>;
