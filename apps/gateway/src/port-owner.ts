/**
 * Who answers at an address that is taken, in words that follow "taken". Asks `GET /health` once; never rejects.
 */
export async function portOwner(host: string, port: number, ask: typeof fetch = fetch): Promise<string> {
  const authority = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
  try {
    const response = await ask(`http://${authority}/health`, {
      signal: AbortSignal.timeout(1_000),
      redirect: 'manual',
    });
    const body: unknown = await response.json().catch(() => undefined);
    const isGateway =
      typeof body === 'object' && body !== null && 'ok' in body && 'status' in body && body.status === 'live';
    return isGateway ? 'by a gateway that is running' : 'by another web server';
  } catch {
    return 'by another program';
  }
}
