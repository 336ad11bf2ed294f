import type { ConnectParams } from '@openclaw/protocol';
import type { AuthOptions } from './access-options.ts';
import { authRefusal, ConnectRefusal } from './connect-refusal.ts';

/** Why nothing that a `connect` brought was enough, in v4's words and with what to do next. Never repeats what was given. */
export function credentialRefusal(
  { auth: given = {}, device }: ConnectParams,
  { mode, isPaired }: { mode: AuthOptions['mode']; isPaired: boolean },
): ConnectRefusal {
  const { token, password, deviceToken, bootstrapToken } = given;
  if (bootstrapToken && !token && !password && !deviceToken) return usedCode();
  if (token) {
    if (mode !== 'token') {
      return authRefusal('AUTH_TOKEN_NOT_CONFIGURED', `gateway token not configured (auth mode is ${mode})`);
    }
    const canRetryWithDeviceToken = device !== undefined && !deviceToken && isPaired;
    return authRefusal(
      'AUTH_TOKEN_MISMATCH',
      'gateway token mismatch (use the token that the gateway was started with)',
      { canRetryWithDeviceToken },
    );
  }
  if (password) {
    return authRefusal(
      'AUTH_PASSWORD_MISMATCH',
      'gateway password mismatch (use the password that the gateway was started with)',
    );
  }
  if (deviceToken) {
    return authRefusal('AUTH_DEVICE_TOKEN_MISMATCH', 'device token mismatch (connect with the gateway token once)');
  }
  switch (mode) {
    case 'none':
      return authRefusal('AUTH_REQUIRED', 'a gateway without auth takes connections from its own machine only');
    case 'trusted-proxy':
      return authRefusal('AUTH_IDENTITY_HEADER_REQUIRED', 'no trusted proxy says who this is (come through the proxy)');
  }
  if (!device) {
    return new ConnectRefusal('NOT_PAIRED', 'device identity required', {
      details: { code: 'DEVICE_IDENTITY_REQUIRED' },
    });
  }
  return mode === 'token'
    ? authRefusal('AUTH_TOKEN_MISSING', 'gateway token missing (send it as auth.token)')
    : authRefusal('AUTH_PASSWORD_MISSING', 'gateway password missing (send it as auth.password)');
}

/** The refusal of a one-use code that is not good (any more). */
export function usedCode(): ConnectRefusal {
  return authRefusal('AUTH_BOOTSTRAP_TOKEN_INVALID', 'the link was used or is too old; ask the gateway for a new one');
}
