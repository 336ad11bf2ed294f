import { z } from 'zod';
import { defineMethod } from '../contract.ts';
import { auditAction, auditEntry, pairingRequest } from '../events/access.ts';

const requestId = z.string().min(1).max(64).describe('The request.');
const deviceId = z.string().min(1).max(256).describe('The device.');
const role = z.string().min(1).max(64).describe('The role whose token is meant: operator.');
const scopes = z.array(z.string().max(128)).max(16);

/** A device that was let in. */
export const pairedDevice = z.looseObject({
  deviceId,
  displayName: z.string().optional().describe('A name for people.'),
  clientId: z.string().describe('What program it is.'),
  platform: z.string().optional().describe('Where it runs.'),
  deviceFamily: z.string().optional().describe('Its kind of device.'),
  roles: z.array(z.string()).describe('Its roles.'),
  scopes: z.array(z.string()).describe('What it may do.'),
  approvedVia: z.enum(['silent', 'code', 'operator']).describe('How it came in.'),
  pairedAtMs: z.int().describe('When, in ms since 1970.'),
  lastSeenAtMs: z.int().optional().describe('When it connected last, in ms since 1970; exact to an hour.'),
  tokens: z
    .array(z.looseObject({ role: z.string().describe('The role.'), issuedAtMs: z.int().describe('When it was made.') }))
    .describe('Its tokens that work, without the tokens.'),
  connected: z.boolean().describe('Whether it is connected now.'),
});

export const devicePairListMethod = defineMethod({
  name: 'device.pair.list',
  summary: 'Devices that wait to be let in, and those that were.',
  since: 'v4',
  scope: 'operator.pairing',
  replay: 'safe',
  params: z.looseObject({}),
  result: z.looseObject({
    pending: z.array(pairingRequest).describe('Oldest first.'),
    paired: z.array(pairedDevice).describe('Oldest first.'),
  }),
});

export const devicePairApproveMethod = defineMethod({
  name: 'device.pair.approve',
  summary:
    'Lets a device in with what it asked for. Tokens that it has stay valid. The approver needs every scope that is granted.',
  since: 'v4',
  scope: 'operator.pairing',
  replay: 'safe',
  params: z.strictObject({
    requestId,
    scopes: scopes.optional().describe('Grant these only. Default: what was asked for.'),
  }),
  result: z.looseObject({ requestId, device: pairedDevice.describe('The device as it is now.') }),
});

export const devicePairRejectMethod = defineMethod({
  name: 'device.pair.reject',
  summary: 'Refuses a device.',
  since: 'v4',
  scope: 'operator.pairing',
  replay: 'safe',
  params: z.strictObject({ requestId }),
  result: z.looseObject({ requestId, deviceId }),
});

export const devicePairRemoveMethod = defineMethod({
  name: 'device.pair.remove',
  summary: 'Forgets a device: its tokens stop working and its connections are cut within a second.',
  since: 'v4',
  scope: 'operator.pairing',
  replay: 'safe',
  params: z.strictObject({ deviceId }),
  result: z.looseObject({ deviceId, removedAtMs: z.int().describe('When, in ms since 1970.') }),
});

export const devicePairRenameMethod = defineMethod({
  name: 'device.pair.rename',
  summary: 'Gives a device a name for people.',
  since: 'v4',
  scope: 'operator.pairing',
  replay: 'safe',
  params: z.strictObject({ deviceId, label: z.string().min(1).max(64).describe('The name.') }),
  result: z.looseObject({ deviceId, label: z.string().describe('The name.') }),
});

export const devicePairSetupCodeMethod = defineMethod({
  name: 'device.pair.setupCode',
  summary:
    'Makes a code that lets one phone in, once, within ten minutes: as text, and as what to draw a QR code of. The maker needs every scope that it grants.',
  since: 'v4',
  scope: 'operator.pairing',
  replay: 'never',
  params: z.strictObject({
    publicUrl: z
      .string()
      .min(1)
      .max(2_048)
      .optional()
      .describe('Where the phone reaches the gateway, ws:// or wss://.'),
    preferRemoteUrl: z.boolean().optional().describe('Accepted for v4.'),
    includeQr: z.boolean().optional().describe('Also answer with a picture of the QR code.'),
    bootstrapProfile: z
      .enum(['limited', 'node'])
      .optional()
      .describe('limited (default): read, write and approvals. node is refused until nodes are supported.'),
    joinUrl: z.literal(true).optional().describe('Accepted for v4.'),
    scopes: scopes.optional().describe('What the device may do, in place of a profile.'),
  }),
  result: z.looseObject({
    setupId: z.string().describe('Names the code in the audit trail.'),
    setupCode: z
      .string()
      .describe(
        'base64url of JSON {url, urls?, bootstrapToken, pin?}: all that a client needs. A secret until it is used.',
      ),
    gatewayUrl: z.string().describe('The address in it.'),
    gatewayUrls: z.array(z.string()).optional().describe('All addresses in it, where there are several.'),
    auth: z.enum(['token', 'password']).describe('How others get in.'),
    urlSource: z.string().describe('Where the address is from: request, config or connection.'),
    access: z.enum(['full', 'limited', 'node']).optional().describe('What it grants.'),
    expiresAtMs: z.int().describe('When it stops working, in ms since 1970.'),
    qrDataUrl: z.string().optional().describe('With includeQr: a PNG as a data: URL.'),
    qrText: z.string().optional().describe('With includeQr: the QR code in block characters, for a terminal.'),
  }),
});

export const deviceTokenRotateMethod = defineMethod({
  name: 'device.token.rotate',
  summary:
    'Replaces the tokens of a device by one new token; connections with the old ones are cut. The token is shown to the device itself only.',
  since: 'v4',
  scope: 'operator.pairing',
  replay: 'never',
  params: z.strictObject({
    deviceId,
    role,
    scopes: scopes.optional().describe('Narrow the device to these. Default: what it has.'),
  }),
  result: z.looseObject({
    deviceId,
    role,
    scopes: z.array(z.string()).describe('What it may do now.'),
    rotatedAtMs: z.int().describe('When, in ms since 1970.'),
    token: z.string().optional().describe('The new token, to the device itself only.'),
    tokenDelivery: z
      .enum(['in-band', 'withheld-cross-device'])
      .optional()
      .describe('withheld: the device pairs again to get one.'),
  }),
});

export const deviceTokenRevokeMethod = defineMethod({
  name: 'device.token.revoke',
  summary: 'Makes the tokens of a device invalid and cuts its connections within a second; it stays paired.',
  since: 'v4',
  scope: 'operator.pairing',
  replay: 'safe',
  params: z.strictObject({ deviceId, role }),
  result: z.looseObject({ deviceId, role, revokedAtMs: z.int().describe('When, in ms since 1970.') }),
});

/** A token without its text. */
export const tokenRecord = z.object({
  tokenId: z.string().describe('Names the token in tokens.revoke: the beginning of its hash.'),
  role: z.string().describe('Its role.'),
  id: z.string().describe('The agent, the channel and account, or the name of an operator token.'),
  scopes: z.array(z.string()).describe('Its scopes.'),
  issuedAtMs: z.int().describe('When it was made, in ms since 1970.'),
  source: z.enum(['made', 'config']).describe('made: by tokens.create or a one-use code; config: named in the file.'),
});

export const tokensCreateMethod = defineMethod({
  name: 'tokens.create',
  summary:
    'Makes a token for a role and id, for an agent or channel in a process of its own. Shown once, stored hashed.',
  since: '0.1',
  scope: 'operator.admin',
  replay: 'never',
  params: z.strictObject({
    role: z.enum(['agent', 'channel', 'operator']).describe('What its bearer may be.'),
    id: z.string().min(1).max(256).describe('The agent, the channel as id/account, or a name for an operator token.'),
    scopes: scopes.optional().describe('For an operator: what it may do. Default operator.read.'),
  }),
  result: z.object({
    token: z.string().describe('The token.'),
    tokenId: z.string().describe('Names the token in tokens.revoke.'),
    role: z.string().describe('Its role.'),
    id: z.string().describe('Its id.'),
    scopes: z.array(z.string()).describe('Its scopes.'),
    issuedAtMs: z.int().describe('When, in ms since 1970.'),
  }),
});

export const tokensListMethod = defineMethod({
  name: 'tokens.list',
  summary: 'The tokens that work, without their texts.',
  since: '0.1',
  scope: 'operator.admin',
  replay: 'safe',
  params: z.looseObject({}),
  result: z.object({ tokens: z.array(tokenRecord).describe('Oldest first.') }),
});

export const tokensRevokeMethod = defineMethod({
  name: 'tokens.revoke',
  summary: 'Makes a token invalid and cuts its connections within a second.',
  since: '0.1',
  scope: 'operator.admin',
  replay: 'safe',
  params: z.strictObject({ tokenId: z.string().min(8).max(64).describe('The token, as tokens.list names it.') }),
  result: z.object({
    tokenId: z.string().describe('The token.'),
    revoked: z.boolean().describe('False when there was none.'),
  }),
});

export const auditEntriesMethod = defineMethod({
  name: 'audit.entries',
  summary: 'The audit trail, newest first; its stream is `audit`.',
  since: '0.1',
  scope: 'operator.admin',
  replay: 'safe',
  params: z.looseObject({
    limit: z.int().min(1).max(500).optional().describe('Entries at most. Default 100.'),
    before: z.int().min(1).optional().describe('Only entries before this offset; nextBefore of an answer goes on.'),
    actions: z.array(auditAction).max(32).optional().describe('Only these. Default all.'),
  }),
  result: z.object({
    entries: z
      .array(auditEntry.extend({ offset: z.int().describe('Its place in the stream.') }))
      .describe('Newest first.'),
    nextBefore: z.int().optional().describe('Present when older ones exist.'),
  }),
});
