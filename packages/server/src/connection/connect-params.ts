import {
  CloseCode,
  type ConnectParams,
  checkValue,
  methods,
  protocolVersion,
  streamsCapability,
} from '@openclaw/protocol';
import { ConnectRefusal } from './connect-refusal.ts';
import type { OriginVerdict } from './origin.ts';

const oldestProbeProtocol = 3;
/** v4's own pages: they must come from an origin that is allowed, and the panel and TUI must sign. */
const browserClients: ReadonlySet<string> = new Set(['openclaw-control-ui', 'webchat-ui']);
const signingClients: ReadonlySet<string> = new Set(['openclaw-control-ui', 'openclaw-tui']);

/** The params of a `connect`, checked; throws a {@link ConnectRefusal} for what is wrong with them or with their protocol range. */
export function parseConnect(rawParams: unknown): ConnectParams {
  const parsed = checkValue(methods.connect.params, rawParams);
  if (!parsed.success) throw new ConnectRefusal('INVALID_REQUEST', `invalid connect params: ${parsed.problem}`);
  const params = parsed.data;
  const { minProtocol, maxProtocol, client } = params;
  const oldest = client.mode === 'probe' ? oldestProbeProtocol : protocolVersion;
  if (minProtocol > protocolVersion || maxProtocol < oldest || minProtocol > maxProtocol) {
    throw new ConnectRefusal('INVALID_REQUEST', 'protocol mismatch', {
      closeCode: CloseCode.protocolError,
      details: {
        code: 'PROTOCOL_MISMATCH',
        clientMinProtocol: minProtocol,
        clientMaxProtocol: maxProtocol,
        expectedProtocol: protocolVersion,
        minimumProbeProtocol: oldestProbeProtocol,
      },
    });
  }
  return params;
}

/** Whether the client asks for streams (S4). */
export function hasStreams(params: ConnectParams): boolean {
  return params.caps?.includes(streamsCapability) ?? false;
}

/** The role that is asked for; throws a {@link ConnectRefusal} for one that this gateway does not take over a socket. */
export function assertRole({ role = 'operator' }: ConnectParams): 'operator' | 'agent' | 'channel' {
  if (role === 'operator' || role === 'agent' || role === 'channel') return role;
  if (role !== 'node') throw new ConnectRefusal('INVALID_REQUEST', 'invalid role');
  throw new ConnectRefusal(
    'INVALID_REQUEST',
    'role node is not supported by this gateway yet; connect as operator, agent or channel',
    { details: { code: 'ROLE_UNSUPPORTED', role } },
  );
}

/** Refuses pages of foreign origins, and v4's own apps that come without what they have to bring. */
export function assertBrowserRules({ client, device }: ConnectParams, origin: OriginVerdict): void {
  const needsOrigin = browserClients.has(client.id);
  if (origin.is === 'refused' || (needsOrigin && origin.is === 'absent')) {
    throw new ConnectRefusal(
      'INVALID_REQUEST',
      'origin not allowed (open the page from the gateway itself, or add its origin to allowedOrigins)',
      {
        details: {
          code: 'CONTROL_UI_ORIGIN_NOT_ALLOWED',
          reason: origin.is === 'refused' ? origin.reason : 'origin missing or invalid',
        },
      },
    );
  }
  if (signingClients.has(client.id) && !device) {
    throw new ConnectRefusal('INVALID_REQUEST', `${client.id} requires a device identity (use HTTPS or localhost)`, {
      details: { code: 'CONTROL_UI_DEVICE_IDENTITY_REQUIRED' },
    });
  }
}

/**
 * A client's own words as a person may be shown them: bounded, without characters that end a line, act on a terminal, or
 * turn the direction of what stands beside them.
 */
export function shownWords(text: string, maxLength = 128): string {
  return text
    .slice(0, maxLength)
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, ' ')
    .trim();
}
