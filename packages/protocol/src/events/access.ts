import { z } from 'zod';
import { defineEvent } from '../contract.ts';

const requestId = z.string().min(1).max(64).describe('The request; what device.pair.approve is given.');
const deviceId = z.string().min(1).max(256).describe('The device: SHA-256 of its public key, lower-case hex.');
const ts = z.int().min(0).describe('When, in ms since 1970.');

/** A device that waits for an operator to let it in, or to give it more. */
export const pairingRequest = z.object({
  requestId,
  deviceId,
  publicKey: z.string().describe('Its raw Ed25519 public key, base64url.'),
  displayName: z.string().min(1).optional().describe('The name that it gave.'),
  platform: z.string().min(1).optional().describe('Where it runs.'),
  deviceFamily: z.string().min(1).optional().describe('Its kind of device.'),
  clientId: z.string().min(1).optional().describe('What program it is.'),
  clientMode: z.string().min(1).optional().describe('How that program runs.'),
  role: z.string().min(1).optional().describe('The role that it asks for.'),
  roles: z.array(z.string().min(1)).optional().describe('The same as a list.'),
  scopes: z.array(z.string().min(1)).optional().describe('The scopes that it asks for.'),
  remoteIp: z.string().min(1).optional().describe('The address it came from.'),
  isRepair: z.boolean().optional().describe('True when the device is known and asks for more.'),
  ts: ts.describe('When it asked first, in ms since 1970.'),
});
export type PairingRequest = z.infer<typeof pairingRequest>;

export const devicePairRequestedEvent = defineEvent({
  name: 'device.pair.requested',
  summary: 'A device asks to be let in, or asks for more; a later one of the same device takes the place of the first.',
  since: 'v4',
  streams: ['pairing'],
  payload: pairingRequest,
});

export const devicePairResolvedEvent = defineEvent({
  name: 'device.pair.resolved',
  summary: 'A request was approved or rejected, or nobody answered in time.',
  since: 'v4',
  streams: ['pairing'],
  payload: z.object({
    requestId,
    deviceId,
    decision: z.enum(['approved', 'rejected', 'expired']).describe('The answer.'),
    ts,
  }),
});

/** What the audit trail tells of. */
export const auditAction = z.enum([
  'connect.refused',
  'pairing.requested',
  'pairing.approved',
  'pairing.rejected',
  'device.paired',
  'device.removed',
  'device.token.rotated',
  'device.token.revoked',
  'setup.created',
  'setup.used',
  'token.created',
  'token.revoked',
  'approval.resolved',
  'config.changed',
  'config.refused',
  'hook.refused',
  'http.refused',
]);
export type AuditAction = z.infer<typeof auditAction>;

/** One entry of the audit trail. Never holds a secret or a message's text. */
export const auditEntry = z.object({
  action: auditAction.describe('What happened.'),
  ts,
  actor: z.string().max(320).describe('Who did it: a principal, `config`, or `gateway`; of a refusal: unknown.'),
  remoteIp: z.string().max(64).optional().describe('The address it came from.'),
  target: z.string().max(320).optional().describe('What it was done to: a device, a token, an approval, a hook.'),
  code: z.string().max(64).optional().describe('Of a refusal: its detail code.'),
  reason: z.string().max(512).optional().describe('Why, in words.'),
  scopes: z.array(z.string()).optional().describe('What was granted or asked for.'),
  count: z.int().min(2).optional().describe('How many alike are joined in this entry; absent for one.'),
});
export type AuditEntry = z.infer<typeof auditEntry>;

export const auditEntryEvent = defineEvent({
  name: 'audit.entry',
  summary: 'Something that an operator may be asked about later; alike refusals within a minute are joined.',
  since: '0.1',
  streams: ['audit'],
  payload: auditEntry,
});

export const configChangedEvent = defineEvent({
  name: 'config.changed',
  summary: 'A configuration was taken into use, or was not valid and the one before stays.',
  since: '0.1',
  streams: ['system'],
  payload: z.object({
    hash: z.string().describe('Of the file as it is now; the baseHash of the next change.'),
    changed: z.array(z.string()).describe('The settings that differ from before, such as `http.allowedOrigins`.'),
    needsRestart: z.array(z.string()).describe('Those of them that are in use only after a restart.'),
    problem: z.string().optional().describe('Present when a file was refused: why. The one before stays in use.'),
    ts,
  }),
});
