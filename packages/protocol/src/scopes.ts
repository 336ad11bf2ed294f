/** What an operator connection may be allowed to do. Scopes are granted by the gateway, never echoed. */
export type OperatorScope =
  | 'operator.read'
  | 'operator.write'
  | 'operator.admin'
  | 'operator.approvals'
  | 'operator.pairing';

/** Every operator scope, as the shared token grants them. */
export const operatorScopes: readonly OperatorScope[] = [
  'operator.read',
  'operator.write',
  'operator.admin',
  'operator.approvals',
  'operator.pairing',
];

/** Roles a connection can have. `node` is v4's and refused with a clear code until this gateway supports it. */
export type Role = 'operator' | 'node' | 'channel' | 'agent';

/**
 * Who may call a method: an operator scope, `agent` for the peer that holds that role, `any` for every connection after
 * hello, or `connect` for the handshake itself.
 */
export type MethodScope = OperatorScope | 'agent' | 'any' | 'connect';

/** True when `granted` allows `needed`: admin allows everything of an operator, write includes read. */
export function allowsScope(granted: ReadonlySet<string>, needed: OperatorScope): boolean {
  if (granted.has(needed) || granted.has('operator.admin')) return true;
  return needed === 'operator.read' && granted.has('operator.write');
}
