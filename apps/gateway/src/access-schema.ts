import { operatorScopes } from '@openclaw/protocol/wire';
import { z } from 'zod';
import { atRestart, secret, standard } from './setting.ts';

const text = z.string().min(1);
const name = z.string().regex(/^[A-Za-z0-9._-]{1,64}$/, 'must be letters, digits, ., _ and -, at most 64');
const scopes = z.array(z.enum(operatorScopes));
const sharedToken = standard(
  secret('The token that clients need.').optional(),
  'made, and kept in the state directory',
);
const sharedPassword = secret('A password, or what `openclaw-ws-gateway hash-password` makes of one.');

export const authSection = z
  .discriminatedUnion('mode', [
    z.strictObject({
      mode: z.literal('token').describe('How operators prove who they are; `none` is for loopback only.'),
      token: sharedToken,
      password: sharedPassword.optional(),
    }),
    z.strictObject({ mode: z.literal('password'), password: sharedPassword }),
    z.strictObject({
      mode: z.literal('trusted-proxy'),
      userHeader: text.describe('The header in which the proxy names the user, such as `x-forwarded-user`.'),
      requiredHeaders: z.array(text).optional().describe('Headers that must be there, too.'),
      allowUsers: standard(z.array(text).optional(), 'whoever the proxy lets through').describe(
        'Users who may come in.',
      ),
    }),
    z.strictObject({ mode: z.literal('none') }),
  ])
  .describe('How operators get in.');

export const tokensSection = z
  .record(
    name,
    z.strictObject({
      token: secret('The token, or `sha256:` and the hex of its hash; at least 16 characters.'),
      scopes: scopes.describe('What its bearer may do.'),
    }),
  )
  .describe('Further tokens for operators, by name. Taken out, a token stops working within a second.');

export const tailscaleSection = z
  .strictObject({
    allowLogins: standard(z.array(text).optional(), 'everyone whom `tailscale whois` confirms').describe(
      'Logins that may come in.',
    ),
    scopes: standard(scopes.optional(), 'read, write and approvals').describe('What they may do.'),
  })
  .describe('Present: the identity headers of `tailscale serve` on this machine are believed.');

export const httpSection = z
  .strictObject({
    allowedOrigins: z
      .array(
        // One with a path, be it a slash alone, would never be met: browsers send none.
        z
          .string()
          .regex(
            /^[a-z][a-z0-9+.-]*:\/\/[^\s/?#@]+$/i,
            'must be scheme, name and port without a path, such as https://panel.example',
          ),
      )
      .default([])
      .describe('Origins whose pages may connect, as browsers send them: `https://panel.example`.'),
    allowedHosts: z
      .array(
        z
          .string()
          .regex(/^[^\s/?#@:]+$/, 'must be a name alone, without scheme, port and path, such as gateway.example'),
      )
      .default([])
      .describe('Names by which the gateway may be called.'),
    trustedProxies: z
      .array(text)
      .default([])
      .describe('Addresses or CIDR ranges of proxies whose forwarded headers are believed.'),
    page: atRestart(standard(text.optional(), 'the chat page')).describe(
      'A directory that is served at `/`, relative to the configuration.',
    ),
    publicUrl: z
      .url({ protocol: /^(https?|wss?)$/ })
      .optional()
      .describe('Where the gateway is reached from outside; what setup codes tell phones.'),
  })
  .describe('Who may call over HTTP, and from where.');

export const tlsSection = z
  .union([
    z.literal('self-signed'),
    z.strictObject({
      key: text.describe('The private key, a PEM file relative to the configuration.'),
      cert: text.describe('The certificate and what it is signed with, a PEM file.'),
    }),
  ])
  .describe('Encrypts: with a certificate of your own, or one that is made here and kept in the state directory.');

const effect = z.enum(['allow', 'ask', 'deny']);
export const effectsSection = z
  .strictObject({
    hook: standard(effect.optional(), "'ask'").describe('Runs that a webhook started.'),
    http: standard(effect.optional(), "'ask'").describe('Runs that a caller of the HTTP API started.'),
    channel: standard(effect.optional(), "'ask'").describe('Runs that a message from a chat platform started.'),
    sources: z
      .record(
        z.string().regex(/^(hook|http|channel):./, 'must be hook:<name>, http:<principal> or channel:<id>/<account>'),
        effect.describe('For this one: `hook:<name>`, `http:<principal>` or `channel:<id>/<account>`.'),
      )
      .optional()
      .describe('One source, before the above.'),
  })
  .describe('What runs that were started from outside may do by tools that are not safe.');
