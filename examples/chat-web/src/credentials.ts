const deviceTokenKey = 'openclaw-chat.device-token';
const tokenKey = 'openclaw-chat.token';

/** What the page knows to prove who it is. */
export interface PageCredentials {
  bootstrapToken?: string;
  deviceToken?: string;
  token?: string;
}

/**
 * The one-use code of the link, taken out of the address so that it is neither bookmarked nor shared, and the tokens of
 * earlier visits.
 */
export function takeCredentials(): PageCredentials {
  const code = new URLSearchParams(location.hash.slice(1)).get('code');
  if (code !== null) history.replaceState(history.state, '', location.pathname + location.search);
  const deviceToken = read('localStorage', deviceTokenKey);
  const token = read('sessionStorage', tokenKey);
  return {
    ...(code ? { bootstrapToken: code } : {}),
    ...(deviceToken ? { deviceToken } : {}),
    ...(token ? { token } : {}),
  };
}

/** Keeps what the gateway issued to this browser. */
export function keepDeviceToken(deviceToken: string): void {
  write('localStorage', deviceTokenKey, deviceToken);
}

/** Keeps a pasted token as long as the tab lives. */
export function keepToken(token: string): void {
  write('sessionStorage', tokenKey, token);
}

/** Forgets tokens that the gateway does not take any more. */
export function forgetTokens(): void {
  write('localStorage', deviceTokenKey, undefined);
  write('sessionStorage', tokenKey, undefined);
}

// Storage may be turned off; the page then works until it is reloaded.
function read(storage: 'localStorage' | 'sessionStorage', key: string): string | undefined {
  try {
    return window[storage].getItem(key) ?? undefined;
  } catch {
    return undefined;
  }
}

function write(storage: 'localStorage' | 'sessionStorage', key: string, value: string | undefined): void {
  try {
    if (value === undefined) window[storage].removeItem(key);
    else window[storage].setItem(key, value);
  } catch {
    // As above.
  }
}
