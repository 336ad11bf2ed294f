import type { AccessOptions } from './access-options.ts';
import { assertNamedTokens, Credentials } from './credentials.ts';
import { Handshake } from './handshake.ts';
import type { AccessNote, ConnectionHost } from './host.ts';
import { HttpGate } from './http-gate.ts';
import type { ConnectionLimits } from './limits.ts';
import { PairedDevices } from './paired-devices.ts';
import type { Pairing } from './pairing.ts';
import { PairingDesk } from './pairing-desk.ts';
import type { PasswordVerifierOptions } from './password-hash.ts';
import { Prover } from './proof.ts';
import { type Revocable, Revocation } from './revocation.ts';
import { SharedSecret } from './shared-secret.ts';

export interface AccessParts {
  host: Pick<ConnectionHost, 'clock' | 'documents' | 'pairing' | 'phase' | 'note'>;
  options: AccessOptions;
  /** The limits in use now. */
  limits: () => ConnectionLimits;
  /** Every connection there is. */
  connections: () => Iterable<Revocable>;
  /** Whether an address is a trusted proxy's now. */
  isProxy: (address: string) => boolean;
  passwords?: PasswordVerifierOptions;
}

/** Who may come in: everything that judges credentials, and what it rests on. Throws `INVALID_REQUEST` for settings that can't be served. */
export class Access {
  readonly credentials: Credentials;
  readonly devices: PairedDevices;
  readonly pairing: Pairing;
  readonly handshake: Handshake;
  readonly httpGate: HttpGate;
  readonly revocation: Revocation;
  readonly #secret: SharedSecret;
  #options: AccessOptions;

  constructor({ host, options, limits, connections, isProxy, passwords }: AccessParts) {
    const { clock, documents, pairing } = host;
    this.assert(options);
    this.#options = options;
    const access = () => this.#options;
    const note = (entry: AccessNote) => host.note(entry);
    const credentials = new Credentials({ documents, clock });
    credentials.useNamed(options.tokens ?? []);
    const devices = new PairedDevices({ documents, clock });
    const secret = new SharedSecret(options.auth, passwords);
    const prover = new Prover({ clock, access, limits, secret, credentials, devices, isProxy });
    const desk = new PairingDesk({ pairing, clock, limits, note });
    const phase = () => host.phase();
    this.credentials = credentials;
    this.devices = devices;
    this.pairing = pairing;
    this.#secret = secret;
    this.handshake = new Handshake({ access, prover, credentials, devices, pairing, desk, clock, phase, note });
    this.revocation = new Revocation({ prover, devices, connections });
    this.httpGate = new HttpGate({ prover, revocation: this.revocation, note });
  }

  /** The settings in use. */
  get options(): AccessOptions {
    return this.#options;
  }

  /** Refuses settings that can't be served: throws `INVALID_REQUEST`. */
  assert({ auth, tokens = [] }: AccessOptions): void {
    SharedSecret.assert(auth);
    assertNamedTokens(tokens, auth);
  }

  /**
   * Takes other settings into use: whose credential is not valid any more is cut, who may do less may do less at once. Throws
   * `INVALID_REQUEST`, and changes nothing, for settings that can't be served.
   */
  reconfigure(options: AccessOptions): void {
    this.assert(options);
    this.#secret.use(options.auth);
    this.credentials.useNamed(options.tokens ?? []);
    this.#options = options;
    this.revocation.review();
  }
}
