import { allowsScope, GatewayError, methods, type OperatorScope, type Result } from '@openclaw/protocol';
import type { Access } from '../connection/access.ts';
import { coversScopes, type PairedDevice } from '../connection/paired-devices.ts';
import type { Peer } from '../connection/peer.ts';
import { drawQrCode } from '../connection/qr-code.ts';
import { narrowed } from '../connection/revocation.ts';
import { encodeSetupCode, isServedHere, setupAddress } from '../connection/setup-code.ts';
import { AtRelease, implement, type MethodImplementation } from '../dispatch/method.ts';
import type { GatewayParts } from './context.ts';
import { assertHolds, assertKnownScopes, assertManages } from './granting.ts';
import { tokenMethods } from './tokens.ts';

/** What the methods of access need beside the parts. */
export interface AccessFacts {
  access: Access;
  /** The pin of the gateway's own certificate, where it has one. */
  pin(): string | undefined;
  /** The port that the gateway listens on; undefined while it does not. */
  port(): number | undefined;
  /** Addresses of this machine beyond loopback that the gateway listens on, as `host:port`. */
  localHosts(): readonly string[];
}

/** What a phone gets where nothing else is said. */
const limitedScopes: readonly OperatorScope[] = ['operator.read', 'operator.write', 'operator.approvals'];
const maxRemembered = 128;

/** `device.*` and `tokens.*`: who may come in, and what they were given. */
export function accessMethods(
  parts: GatewayParts,
  { access, pin, port, localHosts }: AccessFacts,
): MethodImplementation[] {
  const { audit, clock } = parts;
  const { pairing, devices, credentials, revocation } = access;
  /** When devices were removed lately: for those who ask again after a drop. */
  const removed = new Map<string, number>();

  const view = (
    deviceId: string,
    device: PairedDevice,
    connected: ReadonlySet<string> = revocation.connectedDevices(),
  ): Result<'device.pair.approve'>['device'] => {
    const { publicKey: _publicKey, label, tokens, ...rest } = device;
    return {
      deviceId,
      ...(label === undefined ? {} : { displayName: label }),
      ...rest,
      roles: ['operator'],
      tokens: tokens.map(({ issuedAtMs }) => ({ role: 'operator', issuedAtMs })),
      connected: connected.has(deviceId),
    };
  };
  const actorOf = (peer: Peer) => peer.identity.principal;

  return [
    implement(methods['device.pair.list'], () => {
      const connected = revocation.connectedDevices();
      return {
        pending: [...pairing.pending],
        paired: devices.list().map(([deviceId, device]) => view(deviceId, device, connected)),
      };
    }),

    implement(methods['device.pair.approve'], ({ requestId, scopes }, { peer }) => {
      const request = pairing.find(requestId);
      if (!request) {
        const before = pairing.settled(requestId);
        const device = before?.decision === 'approved' ? devices.get(before.deviceId) : undefined;
        if (!before || !device) throw unknownRequest();
        return { requestId, device: view(before.deviceId, device) };
      }
      const asked = request.scopes ?? [];
      const granted = scopes ?? asked;
      assertKnownScopes('device.pair.approve', granted);
      assertAsked(asked, granted);
      assertHolds(peer.identity, granted);
      const device = devices.approve(request, granted);
      pairing.settle(request, 'approved');
      const { deviceId, remoteIp } = request;
      audit.note({
        action: 'pairing.approved',
        actor: actorOf(peer),
        target: deviceId,
        scopes: [...granted],
        ...(remoteIp === undefined ? {} : { remoteIp }),
      });
      return { requestId, device: view(deviceId, device) };
    }),

    implement(methods['device.pair.reject'], ({ requestId }, { peer }) => {
      const request = pairing.find(requestId);
      const before = request ?? pairing.settled(requestId);
      if (!before || ('decision' in before && before.decision !== 'rejected')) throw unknownRequest();
      const { deviceId } = before;
      if (request) {
        pairing.settle(request, 'rejected');
        audit.note({ action: 'pairing.rejected', actor: actorOf(peer), target: deviceId });
      }
      return { requestId, deviceId };
    }),

    implement(methods['device.pair.remove'], ({ deviceId }, { peer }) => {
      const before = removed.get(deviceId);
      if (before !== undefined && !devices.get(deviceId)) return { deviceId, removedAtMs: before };
      assertManages(peer.identity, deviceId, devices.require(deviceId));
      devices.remove(deviceId);
      pairing.settleDevice(deviceId, 'rejected');
      audit.note({ action: 'device.removed', actor: actorOf(peer), target: deviceId });
      const removedAtMs = clock.now();
      if (removed.size >= maxRemembered) removed.delete(removed.keys().next().value ?? '');
      removed.set(deviceId, removedAtMs);
      return new AtRelease(() => ({
        result: { deviceId, removedAtMs },
        after: () => revocation.cutDevice(deviceId),
      }));
    }),

    implement(methods['device.pair.rename'], ({ deviceId, label }, { peer }) => {
      assertManages(peer.identity, deviceId, devices.require(deviceId));
      devices.rename(deviceId, label);
      return { deviceId, label };
    }),

    implement(methods['device.pair.setupCode'], async (params, { peer }): Promise<Result<'device.pair.setupCode'>> => {
      if (params.bootstrapProfile === 'node') {
        throw new GatewayError('INVALID_REQUEST', 'role node is not supported by this gateway yet; use limited.', {
          details: { code: 'ROLE_UNSUPPORTED', role: 'node' },
        });
      }
      const scopes = setupScopes(peer, params.scopes);
      const { url, urls, source } = setupAddress({
        asked: params.publicUrl,
        configured: access.options.publicUrl,
        connection: peer.gatewayUrl,
        localHosts: localHosts(),
      });
      const { code, setupId, expiresAtMs } = credentials.createCode({ scopes, maker: peer.identity });
      audit.note({ action: 'setup.created', actor: actorOf(peer), target: setupId, scopes: [...scopes] });
      const pinned = isServedHere(url, port()) ? pin() : undefined;
      const setupCode = encodeSetupCode({ url, urls, bootstrapToken: code, pin: pinned });
      const drawn = params.includeQr ? await drawQrCode(setupCode) : undefined;
      return {
        setupId,
        setupCode,
        gatewayUrl: url,
        ...(urls ? { gatewayUrls: urls } : {}),
        auth: access.options.auth.mode === 'password' ? 'password' : 'token',
        urlSource: source,
        access: scopes.includes('operator.admin') ? 'full' : 'limited',
        expiresAtMs,
        ...(drawn ? { qrDataUrl: drawn.dataUrl } : {}),
        // v4's answer is closed and does not know it.
        ...(drawn && peer.hasStreams ? { qrText: drawn.text } : {}),
      };
    }),

    implement(methods['device.token.rotate'], ({ deviceId, role, scopes }, { peer }) => {
      assertDeviceRole(role);
      const known = devices.require(deviceId);
      assertManages(peer.identity, deviceId, known);
      if (scopes) {
        assertKnownScopes('device.token.rotate', scopes);
        if (!coversScopes(known, scopes)) {
          throw new GatewayError(
            'INVALID_REQUEST',
            `A rotation only narrows: the device has ${known.scopes.join(', ') || 'no scopes'}. To widen it, let it ask and approve that.`,
          );
        }
      }
      const { device, token } = devices.rotate(deviceId, scopes);
      // Whoever shows less than the device was approved for is not given all of it.
      const { credential, deviceId: ownId, scopes: held } = peer.identity;
      const mayHave =
        credential?.kind === 'device' || narrowed(new Set(device.scopes), [...held]).size === device.scopes.length;
      audit.note({
        action: 'device.token.rotated',
        actor: actorOf(peer),
        target: deviceId,
        scopes: [...device.scopes],
      });
      return new AtRelease(() => ({
        result: {
          deviceId,
          role,
          scopes: [...device.scopes],
          rotatedAtMs: token.issuedAtMs,
          ...(ownId === deviceId && mayHave
            ? { token: token.deviceToken, tokenDelivery: 'in-band' as const }
            : { tokenDelivery: 'withheld-cross-device' as const }),
        },
        after: () => revocation.review(),
      }));
    }),

    implement(methods['device.token.revoke'], ({ deviceId, role }, { peer }) => {
      assertDeviceRole(role);
      assertManages(peer.identity, deviceId, devices.require(deviceId));
      devices.revokeTokens(deviceId);
      audit.note({ action: 'device.token.revoked', actor: actorOf(peer), target: deviceId });
      const revokedAtMs = clock.now();
      return new AtRelease(() => ({
        result: { deviceId, role, revokedAtMs },
        after: () => revocation.cutDevice(deviceId),
      }));
    }),

    ...tokenMethods(parts, access),
  ];
}

/** Of a setup code: what was asked for, if the maker has it; else the usual, as far as the maker has it. */
function setupScopes({ identity }: Peer, asked: readonly string[] | undefined): readonly OperatorScope[] {
  if (asked) {
    assertKnownScopes('device.pair.setupCode', asked);
    assertHolds(identity, asked);
    return asked;
  }
  const scopes = limitedScopes.filter((scope) => allowsScope(identity.scopes, scope));
  if (scopes.length === 0) assertHolds(identity, limitedScopes);
  return scopes;
}

function assertAsked(asked: readonly string[], granted: readonly OperatorScope[]): void {
  const held = new Set(asked);
  const surplus = granted.find((scope) => !allowsScope(held, scope));
  if (surplus === undefined) return;
  throw new GatewayError(
    'INVALID_REQUEST',
    `invalid device.pair.approve params: at /scopes: the device did not ask for ${surplus}`,
  );
}

function assertDeviceRole(role: string): void {
  if (role === 'operator') return;
  throw new GatewayError('INVALID_REQUEST', `devices have no role ${role} here; their role is operator.`);
}

function unknownRequest(): GatewayError {
  return new GatewayError(
    'INVALID_REQUEST',
    'unknown requestId: it was answered, replaced by a later one, or is too old; device.pair.list tells which wait.',
  );
}
