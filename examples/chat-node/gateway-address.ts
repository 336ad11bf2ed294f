import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** Where the gateway is, and what it wants to see. */
export interface GatewayAddress {
  url: string;
  token: string | undefined;
  /** Where a token was looked for, for the person who has none. */
  tokenFile: string;
}

/**
 * The gateway that the environment names (OPENCLAW_GATEWAY_URL, OPENCLAW_GATEWAY_PORT, OPENCLAW_GATEWAY_TOKEN), else the one that `npm start`
 * runs, with the token that it keeps in its state directory.
 */
export function gatewayAddress(env: NodeJS.ProcessEnv): GatewayAddress {
  const directory = env.OPENCLAW_WS_STATE_DIR || join(homedir(), '.openclaw-ws-gateway');
  const tokenFile = join(directory, 'token');
  return {
    url: env.OPENCLAW_GATEWAY_URL || `ws://127.0.0.1:${env.OPENCLAW_GATEWAY_PORT || 18_789}`,
    token: env.OPENCLAW_GATEWAY_TOKEN || readToken(tokenFile),
    tokenFile,
  };
}

function readToken(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim() || undefined;
  } catch {
    // No file, no token: the gateway may need none, or says that it does.
    return undefined;
  }
}
