import { z } from 'zod';
import { defineEvent, defineMethod } from '../contract.ts';

const stateVersion = z.object({
  presence: z.int().min(0).describe('Grows with every change of presence.'),
  health: z.int().min(0).describe('Grows with every change of health.'),
});

/** A connected client, as others may see it. */
export const presenceEntry = z.object({
  host: z.string().min(1).optional().describe('The name of its machine.'),
  ip: z.string().min(1).optional().describe('Its address.'),
  version: z.string().min(1).optional().describe('Its version.'),
  platform: z.string().min(1).optional().describe('Its platform.'),
  deviceFamily: z.string().min(1).optional().describe('Its kind of device.'),
  modelIdentifier: z.string().min(1).optional().describe('Its model.'),
  mode: z.string().min(1).optional().describe('How it runs: ui, cli, backend, …'),
  reason: z.string().min(1).optional().describe('Why the entry changed last.'),
  text: z.string().optional().describe('A line for a person.'),
  ts: z.int().describe('When, in ms since 1970.'),
  deviceId: z.string().min(1).optional().describe('Its device, when it was verified.'),
  roles: z.array(z.string().min(1)).optional().describe('Its roles.'),
  scopes: z.array(z.string().min(1)).optional().describe('Its scopes.'),
  instanceId: z.string().min(1).optional().describe('Its own id of this process.'),
});
export type PresenceEntry = z.infer<typeof presenceEntry>;

/** How the gateway is. */
export const healthSnapshot = z.looseObject({
  ok: z.literal(true).optional().describe('Present while it works.'),
  ts: z.int().optional().describe('When this was taken, in ms since 1970.'),
  durationMs: z.int().optional().describe('How long that took.'),
  defaultAgentId: z.string().optional().describe('The agent that answers where none is named.'),
  agents: z
    .array(
      z.looseObject({
        agentId: z.string().describe('The agent.'),
        isDefault: z.boolean().describe('True for the default one.'),
      }),
    )
    .optional()
    .describe('The agents.'),
  sessions: z
    .looseObject({
      path: z.string().describe('Where they are kept.'),
      count: z.int().min(0).describe('How many there are.'),
      recent: z.array(z.looseObject({ key: z.string().describe('The session.') })).describe('The newest.'),
    })
    .optional()
    .describe('The sessions.'),
});

export const connectParams = z.looseObject({
  minProtocol: z.int().min(1).describe('The oldest wire protocol that the client speaks.'),
  maxProtocol: z.int().min(1).describe('The newest wire protocol that the client speaks.'),
  client: z
    .looseObject({
      id: z.string().min(1).max(256).describe('What program it is.'),
      version: z.string().min(1).max(256).describe('Its version.'),
      platform: z.string().min(1).max(256).describe('Where it runs.'),
      mode: z.string().min(1).max(256).describe('How it runs: ui, cli, backend, …'),
      displayName: z.string().max(256).optional().describe('Its name for people.'),
      deviceFamily: z.string().max(256).optional().describe('Its kind of device.'),
      modelIdentifier: z.string().max(256).optional().describe('Its model.'),
      instanceId: z.string().max(256).optional().describe('Its own id of this process.'),
    })
    .describe('Who connects.'),
  caps: z.array(z.string().max(128)).max(64).optional().describe('What it understands; `streams` negotiates S5–S12.'),
  role: z.string().max(64).optional().describe('operator (default), node, channel or agent.'),
  scopes: z.array(z.string().max(128)).max(64).optional().describe('What it asks for; granted is what hello-ok says.'),
  device: z
    .looseObject({
      id: z.string().max(256).describe('SHA-256 of the raw public key, lower-case hex.'),
      publicKey: z.string().max(256).describe('The raw Ed25519 public key, base64url.'),
      signature: z.string().max(256).describe('Over the v2 or v3 payload, base64url.'),
      signedAt: z.int().describe('When, in ms since 1970.'),
      nonce: z.string().max(256).optional().describe('The nonce of the challenge.'),
    })
    .optional()
    .describe('A device identity; verified when it is sent.'),
  auth: z
    .looseObject({
      token: z.string().max(4096).optional().describe('The shared token, or a device or role token.'),
      password: z.string().max(4096).optional().describe('The shared password.'),
      deviceToken: z.string().max(4096).optional().describe('A token that an earlier hello-ok gave.'),
      bootstrapToken: z
        .string()
        .max(4096)
        .optional()
        .describe('A one-use code, as in the link that `npm start` prints.'),
    })
    .optional()
    .describe('The credentials.'),
  locale: z.string().max(64).optional().describe('The language of the person.'),
  userAgent: z.string().max(1024).optional().describe('The browser.'),
});
export type ConnectParams = z.infer<typeof connectParams>;

export const helloOk = z.object({
  type: z.literal('hello-ok').describe('Always hello-ok.'),
  protocol: z.int().describe('The wire protocol in use: 4.'),
  server: z
    .object({
      version: z.string().min(1).describe('The version of the gateway.'),
      connId: z.string().min(1).describe('This connection.'),
      bootId: z.string().min(1).max(96).optional().describe('This gateway process.'),
    })
    .describe('Who answers.'),
  features: z
    .object({
      methods: z.array(z.string().min(1)).describe('Every method that works here.'),
      events: z.array(z.string().min(1)).describe('Every event that may come.'),
      capabilities: z.array(z.string().min(1)).optional().describe('What the gateway understands; `streams` is S4.'),
    })
    .describe('What may be used.'),
  snapshot: z
    .object({
      presence: z.array(presenceEntry).describe('Who is connected.'),
      health: healthSnapshot.describe('How the gateway is.'),
      stateVersion: stateVersion.describe('The versions of both.'),
      uptimeMs: z.int().min(0).describe('How long the gateway has been up.'),
      sessionDefaults: z
        .object({
          defaultAgentId: z.string().min(1).describe('The agent that answers where none is named.'),
          mainKey: z.string().min(1).describe('The short key of the default session.'),
          mainSessionKey: z.string().min(1).describe('Its canonical key.'),
          scope: z.string().min(1).optional().describe('How sessions are told apart.'),
        })
        .optional()
        .describe('How session keys are read.'),
      authMode: z.enum(['none', 'token', 'password', 'trusted-proxy']).optional().describe('How one gets in.'),
    })
    .describe('How things stood at hello.'),
  auth: z
    .object({
      role: z.string().min(1).describe('The role that was granted.'),
      scopes: z.array(z.string().min(1)).describe('The scopes that were granted.'),
      deviceToken: z.string().min(1).optional().describe('A token to use from now on; shown once.'),
      issuedAtMs: z.int().optional().describe('When that token was made, in ms since 1970.'),
    })
    .describe('What was granted.'),
  policy: z
    .object({
      maxPayload: z.int().min(1).describe('Bytes that a frame to the gateway may have.'),
      maxBufferedBytes: z.int().min(1).describe('Bytes that the gateway holds back for a slow reader.'),
      tickIntervalMs: z.int().min(1).describe('Silence of twice this long means that the connection is gone.'),
      attachments: z
        .object({
          maxBytes: z.int().describe('Bytes that an attachment may have.'),
          maxImageBytes: z.int().describe('Bytes that an image may have.'),
        })
        .optional()
        .describe('Limits of attachments.'),
    })
    .describe('The limits of this connection.'),
});
export type HelloOk = z.infer<typeof helloOk>;

export const connectMethod = defineMethod({
  name: 'connect',
  summary: 'The first request of every connection: who the client is and how it proves that.',
  since: 'v4',
  scope: 'connect',
  replay: 'safe',
  roles: ['operator', 'node', 'channel', 'agent'],
  params: connectParams,
  result: helloOk,
});

export const healthMethod = defineMethod({
  name: 'health',
  summary: 'How the gateway is.',
  since: 'v4',
  scope: 'any',
  replay: 'safe',
  roles: ['operator', 'agent', 'channel'],
  params: z.looseObject({}),
  result: healthSnapshot,
});

export const pingMethod = defineMethod({
  name: 'ping',
  summary: 'The shortest answer; outside rate limits (S23).',
  since: '0.1',
  scope: 'any',
  replay: 'safe',
  roles: ['operator', 'agent', 'channel'],
  params: z.looseObject({}),
  result: z.object({ ts: z.int().describe('The clock of the gateway, in ms since 1970.') }),
});

export const statusMethod = defineMethod({
  name: 'status',
  summary: 'What the gateway is doing: version, uptime, sessions, runs, connections.',
  since: 'v4',
  scope: 'operator.read',
  replay: 'safe',
  params: z.looseObject({}),
  result: z.looseObject({
    version: z.string().describe('The version of the gateway.'),
    bootId: z.string().describe('This gateway process.'),
    uptimeMs: z.int().describe('How long it has been up.'),
    phase: z.enum(['starting', 'ready', 'draining']).describe('Whether it takes new runs.'),
    connections: z.int().describe('Connections after hello.'),
    sessions: z.int().describe('Sessions known.'),
    runs: z.int().describe('Runs that are open.'),
    store: z
      .object({
        ok: z.boolean().describe('False when the last commit failed.'),
        commits: z.int().describe('Commits since the start.'),
        events: z.int().describe('Events appended since the start.'),
      })
      .describe('The store.'),
  }),
});

export const systemPresenceMethod = defineMethod({
  name: 'system-presence',
  summary: 'Who is connected.',
  since: 'v4',
  scope: 'operator.read',
  replay: 'safe',
  params: z.looseObject({}),
  result: z.array(presenceEntry),
});

export const challengeEvent = defineEvent({
  name: 'connect.challenge',
  summary: 'The first frame of every connection, before connect.',
  since: 'v4',
  ephemeral: 'any',
  payload: z.object({
    nonce: z.string().describe('To be signed by a device.'),
    ts: z.int().describe('The clock of the gateway, in ms since 1970.'),
  }),
});

export const tickEvent = defineEvent({
  name: 'tick',
  summary: 'A sign of life every 5 s (S22).',
  since: 'v4',
  ephemeral: 'any',
  payload: z.object({ ts: z.int().describe('The clock of the gateway, in ms since 1970.') }),
});

export const presenceEvent = defineEvent({
  name: 'presence',
  summary: 'Who is connected has changed.',
  since: 'v4',
  ephemeral: 'operator.read',
  payload: z.object({ presence: z.array(presenceEntry).describe('Who is connected.') }),
});

export const healthEvent = defineEvent({
  name: 'health',
  summary: 'How the gateway is has changed.',
  since: 'v4',
  ephemeral: 'operator.read',
  payload: healthSnapshot,
});

export const shutdownEvent = defineEvent({
  name: 'shutdown',
  summary: 'The gateway is about to stop (S25).',
  since: 'v4',
  ephemeral: 'any',
  payload: z.object({
    reason: z.string().min(1).describe('Why.'),
    restartExpectedMs: z.int().optional().describe('When it is expected back, from now. Absent when it is not.'),
    spreadMs: z
      .int()
      .optional()
      .describe('For connections with streams: come back that much later at most, at random.'),
  }),
});
