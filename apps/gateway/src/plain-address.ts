/** An address without what may be a secret in it: user, password and query. */
export function plainAddress(address: string): string {
  if (!URL.canParse(address)) return '(an address that can’t be read)';
  const { origin, pathname } = new URL(address);
  return `${origin}${pathname}`;
}
