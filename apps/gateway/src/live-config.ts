import { type Clock, GatewayError, isGatewayError } from '@openclaw/protocol/wire';
import type { ConfigChange, ConfigEdit, ConfigPort } from '@openclaw/server';
import { ConfigError, parseConfig, problemSentence } from './config.ts';
import { changedPaths } from './config-changes.ts';
import { type ConfigText, fingerprint, readConfigText } from './config-file.ts';
import { settingIndex } from './config-index.ts';
import { ConfigWatch } from './config-watch.ts';
import { nothingRead, type Settings, type SettingsGround, settingsOf } from './settings.ts';

/** What {@link LiveConfig} needs of the program around it. */
export interface LiveConfigOptions {
  /** What the program started with. */
  settings: Settings;
  ground: SettingsGround;
  /** Takes settings into use; throws a `GatewayError` for what can't be served, and has changed nothing then. */
  apply(settings: Settings): void;
  /** Told of every change that is in use, and of every one that was refused. */
  changed(change: ConfigChange): void;
  /** A line for the person who runs the gateway. */
  warn(line: string): void;
  clock: Clock;
}

const dayMs = 86_400_000;
/** How often a configuration that is refused is tried again, in ms: what it names may come later, unseen. */
const retryMs = 5_000;

type Answer = Awaited<ReturnType<ConfigPort['patch']>>;

/**
 * The configuration while the gateway runs: answers the methods `config.*`, watches the file, and takes a change into use
 * without a restart where that can be. A file that is not valid is told, and what was in use before stays in use.
 */
export class LiveConfig implements ConfigPort {
  readonly #options: LiveConfigOptions;
  readonly #watch: ConfigWatch;
  readonly #started: Settings['config'];
  #settings: Settings;
  #file: ConfigText;
  #secrets: string;
  /** Why the file as it is now is not in use. */
  #problem: string | undefined;
  /** One change after another. */
  #queue: Promise<unknown> = Promise.resolve();
  #cancelDaily: (() => void) | undefined;
  #cancelRetry: (() => void) | undefined;
  #isClosed = false;

  constructor(options: LiveConfigOptions) {
    const { settings, clock, warn } = options;
    this.#options = options;
    this.#settings = settings;
    this.#started = settings.config;
    this.#file = readConfigText(settings.configPath);
    this.#secrets = fingerprint(settings.files);
    this.#watch = new ConfigWatch({
      clock,
      changed: () => void this.reload(),
      failed: (path, error) =>
        warn(`${path} can't be watched (${messageOf(error)}): edits of the configuration count after a restart.`),
    });
  }

  /** What is in use, or waits for a restart. */
  get settings(): Settings {
    return this.#settings;
  }

  /** Begins to watch the file, and the files that it names; looks after its certificate once a day. */
  start(): void {
    this.#watchFiles();
    this.#lookDaily();
    // What was edited between the start and now.
    void this.reload({ always: true });
  }

  close(): void {
    this.#isClosed = true;
    this.#cancelDaily?.();
    this.#cancelRetry?.();
    this.#watch.close();
  }

  get(): Awaited<ReturnType<ConfigPort['get']>> {
    const { exists, hash } = this.#file;
    return {
      path: exists ? this.#settings.configPath : '',
      exists,
      valid: this.#problem === undefined,
      config: this.#settings.shown,
      hash,
      ...(this.#problem === undefined ? {} : { problem: this.#problem }),
    };
  }

  async schema(): ReturnType<ConfigPort['schema']> {
    const { configForm } = await import('./config-form.ts');
    return configForm();
  }

  patch(edit: ConfigEdit): Promise<Answer> {
    return this.#inTurn(() => this.#edit('patch', edit));
  }

  set(edit: ConfigEdit): Promise<Answer> {
    return this.#inTurn(() => this.#edit('set', edit));
  }

  #lookDaily(): void {
    this.#cancelDaily = this.#options.clock.schedule(() => {
      this.#lookDaily();
      if (this.#settings.config.tls === 'self-signed') void this.reload({ always: true });
    }, dayMs);
  }

  /** Reads the file again and takes it into use, if it is another or a secret is, or `always`. Never rejects. */
  reload({ always = false }: { always?: boolean } = {}): Promise<void> {
    return this.#inTurn(async () => {
      const { configPath } = this.#settings;
      let file: ConfigText;
      try {
        file = readConfigText(configPath);
      } catch (error) {
        this.#refuse(`${configPath} can't be read: ${messageOf(error)}`);
        return;
      }
      const secrets = fingerprint(this.#settings.files);
      this.#watchFiles();
      const isSame = file.hash === this.#file.hash && file.exists === this.#file.exists && secrets === this.#secrets;
      if (isSame && !always && this.#problem === undefined) return;
      this.#file = file;
      this.#secrets = secrets;
      try {
        const { ground } = this.#options;
        const read = file.exists ? parseConfig(file.text, ground.env, configPath) : nothingRead;
        const settings = await settingsOf(read, ground);
        // Bytes that say the same are no change, unless they mend what was refused.
        if (this.#problem === undefined && this.#changesTo(settings).length === 0) {
          this.#remember(settings);
          return;
        }
        this.#options.apply(settings);
        this.#take(settings);
      } catch (error) {
        this.#refuse(reasonOf(error));
      }
    });
  }

  async #edit(kind: 'patch' | 'set', edit: ConfigEdit): Promise<Answer> {
    const { configPath } = this.#settings;
    const { conflict, editedConfig } = await import('./config-edit.ts');
    const { writeConfigText } = await import('./config-file.ts');
    const before = readConfigText(configPath);
    if (edit.baseHash === undefined ? before.exists : edit.baseHash !== before.hash) throw conflict(before, edit);
    let edited: Awaited<ReturnType<typeof editedConfig>>;
    try {
      edited = await editedConfig(kind, edit.raw, before, this.#options.ground);
    } catch (error) {
      throw this.#refusal(error, edit);
    }
    // Whoever asked may have lost the right to while the file was read.
    edit.assertAllowed();
    try {
      this.#options.apply(edited.settings);
    } catch (error) {
      throw this.#refusal(error, edit);
    }
    try {
      this.#file = await writeConfigText(configPath, edited.text);
    } catch (error) {
      this.#options.apply(this.#settings);
      this.#options.warn(`The configuration ${configPath} can't be written: ${messageOf(error)}`);
      const { code = 'an error' } = error as NodeJS.ErrnoException;
      throw new GatewayError(
        'UNAVAILABLE',
        `The configuration can't be written (${code}) and is as it was; its file and directory must be writable for the gateway.`,
      );
    }
    const { changed, needsRestart } = this.#take(edited.settings, edit.by);
    const { hash } = this.#file;
    return { ok: true, path: configPath, hash, changed, needsRestart, config: this.#settings.shown };
  }

  /** Settings are in use now: remembers and tells so. */
  #take(settings: Settings, by?: string): { changed: string[]; needsRestart: string[] } {
    const paths = this.#changesTo(settings);
    const waiting = new Set(changedPaths(this.#started, settings.config).map((path) => path.join('.')));
    const changed = paths.map((path) => path.join('.')).sort();
    const needsRestart = paths
      .filter((path) => !this.#isLive(path, settings))
      .map((path) => path.join('.'))
      .filter((path) => waiting.has(path))
      .sort();
    for (const warning of settings.warnings) {
      if (!this.#settings.warnings.includes(warning)) this.#options.warn(warning);
    }
    this.#problem = undefined;
    this.#cancelRetry?.();
    this.#remember(settings);
    this.#options.changed({ hash: this.#file.hash, changed, needsRestart, ...(by === undefined ? {} : { by }) });
    return { changed, needsRestart };
  }

  /** What differs from the settings in use. */
  #changesTo(settings: Settings): string[][] {
    const paths = changedPaths(this.#settings.config, settings.config);
    const hasOtherCertificate = this.#settings.live.tls?.cert !== settings.live.tls?.cert;
    return hasOtherCertificate && !paths.some(([section]) => section === 'tls') ? [...paths, ['tls']] : paths;
  }

  #remember(settings: Settings): void {
    this.#settings = settings;
    this.#secrets = fingerprint(settings.files);
    this.#watchFiles();
  }

  #isLive(path: readonly string[], { config }: Settings): boolean {
    // A port that speaks plain text can't begin to speak TLS, nor the other way round.
    if (path[0] === 'tls') return this.#started.tls !== undefined && config.tls !== undefined;
    return settingIndex().at(path)?.isLive ?? false;
  }

  /** The file is not valid: says so, and leaves everything as it is. */
  #refuse(problem: string): void {
    this.#cancelRetry?.();
    if (!this.#isClosed) this.#cancelRetry = this.#options.clock.schedule(() => void this.reload(), retryMs);
    if (problem === this.#problem) return;
    this.#problem = problem;
    this.#options.changed({ hash: this.#file.hash, changed: [], needsRestart: [], problem });
  }

  #refusal(error: unknown, { by }: ConfigEdit): unknown {
    const problems = error instanceof ConfigError ? error.problems : [];
    if (!(error instanceof Error && error.name === 'StartError') && problems.length === 0 && !isGatewayError(error)) {
      return error;
    }
    const reason = reasonOf(error);
    this.#options.changed({ hash: this.#file.hash, changed: [], needsRestart: [], problem: reason, by });
    return new GatewayError('INVALID_REQUEST', `The configuration would not be valid, and is as it was: ${reason}.`, {
      details: { code: 'CONFIG_INVALID', path: problems[0]?.path ?? '', problems },
    });
  }

  #watchFiles(): void {
    if (this.#isClosed) return;
    this.#watch.watch([this.#settings.configPath, ...this.#settings.files]);
  }

  #inTurn<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(task);
    this.#queue = result.catch(() => undefined);
    return result;
  }
}

function reasonOf(error: unknown): string {
  return (error instanceof ConfigError ? problemSentence(error.problems) : messageOf(error)).replace(/\.$/, '');
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
