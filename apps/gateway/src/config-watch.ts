import { type FSWatcher, realpathSync, watch } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { Clock } from '@openclaw/protocol/wire';

/** What a {@link ConfigWatch} needs. */
export interface ConfigWatchOptions {
  /** Called when a watched file may be another; at most once per quiet time. */
  changed: () => void;
  /** Told when a directory can't be watched; once, until it can be. */
  failed: (path: string, error: unknown) => void;
  clock: Clock;
  /** How long it must be quiet before `changed`, in ms: an editor writes more than once. Default 300. */
  quietMs?: number;
}

/**
 * Watches files by their directories, so that a file that is replaced, that comes later, or that is reached through symbolic
 * links (as Kubernetes mounts them: `config.json5 → ..data/config.json5`, and `..data` is swapped) is seen, too.
 */
export class ConfigWatch {
  readonly #options: ConfigWatchOptions;
  readonly #watchers = new Map<string, FSWatcher>();
  #names = new Map<string, Set<string>>();
  readonly #failed = new Set<string>();
  #cancel: (() => void) | undefined;

  constructor(options: ConfigWatchOptions) {
    this.#options = options;
  }

  /** Watches these files, and no others. */
  watch(files: readonly string[]): void {
    this.#names = new Map();
    for (const file of files) {
      this.#add(file);
      try {
        this.#add(realpathSync(file));
      } catch {
        // Not there yet; its directory is watched.
      }
    }
    for (const directory of [...this.#watchers.keys()]) if (!this.#names.has(directory)) this.#drop(directory);
    for (const directory of this.#names.keys()) if (!this.#watchers.has(directory)) this.#open(directory);
  }

  close(): void {
    this.#cancel?.();
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  #add(file: string): void {
    const directory = dirname(file);
    const names = this.#names.get(directory) ?? new Set();
    this.#names.set(directory, names.add(basename(file)));
  }

  #open(directory: string): void {
    try {
      const watcher = watch(directory, { persistent: false }, (_, name) => {
        // So a directory tells that it was moved or deleted itself; another one may be in its place.
        const isItself = name === basename(directory);
        if (isItself) this.#drop(directory);
        if (isItself || name === null || this.#concerns(directory, name)) this.#stir();
      });
      watcher.on('error', (error) => {
        this.#drop(directory);
        this.#tell(directory, error);
      });
      this.#watchers.set(directory, watcher);
      this.#failed.delete(directory);
    } catch (error) {
      this.#tell(directory, error);
    }
  }

  /** The next {@link ConfigWatch.watch} opens it again. */
  #drop(directory: string): void {
    this.#watchers.get(directory)?.close();
    this.#watchers.delete(directory);
  }

  #tell(directory: string, error: unknown): void {
    if (this.#failed.has(directory)) return;
    this.#failed.add(directory);
    this.#options.failed(directory, error);
  }

  /** The state directory is busy with other files; those must cost nothing. */
  #concerns(directory: string, name: string): boolean {
    return name.startsWith('..') || (this.#names.get(directory)?.has(name) ?? false);
  }

  #stir(): void {
    this.#cancel?.();
    this.#cancel = this.#options.clock.schedule(() => this.#options.changed(), this.#options.quietMs ?? 300);
  }
}
