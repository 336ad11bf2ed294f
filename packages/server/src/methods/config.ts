import { methods, type Result } from '@openclaw/protocol';
import { type Call, implement, type MethodImplementation } from '../dispatch/method.ts';

/** A change of the configuration that a client asks for. */
export interface ConfigEdit {
  /** A JSON5 text: what to merge, or the whole. */
  raw: string;
  /** The hash that the client saw. */
  baseHash?: string;
  /** Who asks: the principal, for the audit trail. */
  by: string;
  /** To be called right before anything is changed: throws `FORBIDDEN` when whoever asks may not any more. */
  assertAllowed(): void;
}

/**
 * The configuration of the program around the gateway. Its owner leaves secrets out of everything that it answers, and calls
 * `Gateway.configChanged` for every change, whoever made it.
 */
export interface ConfigPort {
  /** The values in use. */
  get(): Result<'config.get'> | Promise<Result<'config.get'>>;
  /** What may be configured. */
  schema(): Promise<Pick<Result<'config.schema'>, 'schema' | 'uiHints'>>;
  /**
   * Merges a change and takes it into use. Rejects with `INVALID_REQUEST` and details `CONFIG_CONFLICT` or `CONFIG_INVALID`,
   * with nothing changed.
   */
  patch(edit: ConfigEdit): Promise<Result<'config.patch'>>;
  /** Replaces the whole, and otherwise as `patch`. */
  set(edit: ConfigEdit): Promise<Result<'config.set'>>;
}

/** Another configuration that is in use now, or one that was refused. Never holds a secret. */
export interface ConfigChange {
  /** Of the file as it is now. */
  hash: string;
  /** The settings that differ from before, such as `http.allowedOrigins`; none when it was refused. */
  changed: readonly string[];
  /** Those of them that are in use only after a restart. */
  needsRestart: readonly string[];
  /** Why it was refused. */
  problem?: string;
  /** Who changed it: a principal. Default `config`: the file was edited. */
  by?: string;
}

/** What the config methods need beside the port. */
export interface ConfigFacts {
  version: string;
  /** Ms since 1970. */
  now(): number;
}

const nothing: Result<'config.get'> = { path: '', exists: false, valid: true, config: {}, hash: 'none' };

/** `config.get`, and, where the program has a configuration, `config.schema`, `config.patch` and `config.set`. */
export function configMethods(port: ConfigPort | undefined, facts: ConfigFacts): MethodImplementation[] {
  if (!port) return [implement(methods['config.get'], () => nothing)];
  const edit = (raw: string, baseHash: string | undefined, { peer, assertAllowed }: Call): ConfigEdit => ({
    raw,
    by: peer.identity.principal,
    assertAllowed,
    ...(baseHash === undefined ? {} : { baseHash }),
  });
  return [
    implement(methods['config.get'], () => port.get()),
    implement(methods['config.schema'], async () => ({
      ...(await port.schema()),
      version: facts.version,
      generatedAt: new Date(facts.now()).toISOString(),
    })),
    implement(methods['config.patch'], ({ raw, baseHash }, call) => port.patch(edit(raw, baseHash, call))),
    implement(methods['config.set'], ({ raw, baseHash }, call) => port.set(edit(raw, baseHash, call))),
  ];
}

/** What the audit trail says of a change that is in use. */
export function changeReason({ changed, needsRestart }: ConfigChange): string {
  const what = changed.length === 0 ? 'nothing differs' : changed.join(', ');
  return needsRestart.length === 0 ? what : `${what}; in use after a restart: ${needsRestart.join(', ')}`;
}
