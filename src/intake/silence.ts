/**
 * Notices sensors that have gone quiet: a mapping may say after how long without a message (`silent_after`). It only
 * tells; a day never gets a value that nobody measured.
 *
 * When a mapping was last heard of survives restarts, written down every now and then: a few minutes too old at worst.
 */
import type { SilentMapping } from '../core/status.ts';
import { MINUTE_MS, type EpochMs } from '../core/time.ts';

export interface Watched {
  /** The mapping's. */
  readonly key: string;
  readonly attribute: string;
  readonly topics: readonly string[];
  readonly silentAfterMs: number;
}

export interface SilenceParts {
  /** `undefined` while the time is not known. */
  readonly now: () => EpochMs | undefined;
  readonly monotonicMs: () => number;
  readonly after: (delayMs: number, task: () => void) => () => void;
  /** Instants by mapping key, as the last run saved them. */
  readonly load: () => Readonly<Record<string, number>>;
  readonly save: (heard: Readonly<Record<string, number>>) => void;
  readonly log: (level: 'info' | 'warn', message: string) => void;
}

const CHECK_EVERY_MS = MINUTE_MS;
const SAVE_EVERY_MS = 10 * MINUTE_MS;

export class Silence {
  private watched: readonly Watched[] = [];
  /** By the monotonic clock. */
  private readonly heardMs = new Map<string, number>();
  private readonly quiet = new Set<string>();
  private isLoaded = false;
  private savedMs = 0;
  private cancel: (() => void) | undefined;

  constructor(private readonly parts: SilenceParts) {}

  configure(watched: readonly Watched[]): void {
    this.watched = watched;
    const keys = new Set(watched.map(({ key }) => key));
    for (const key of this.quiet) if (!keys.has(key)) this.quiet.delete(key);
    this.take();
  }

  start(): void {
    this.savedMs = this.parts.monotonicMs();
    this.check();
  }

  /** Idempotent. */
  stop(): void {
    if (this.cancel && this.isLoaded) this.save();
    this.cancel?.();
    this.cancel = undefined;
  }

  /** A message for this mapping came. */
  heard(key: string): void {
    this.heardMs.set(key, this.parts.monotonicMs());
  }

  /** Those that nothing was heard of for too long. */
  list(): SilentMapping[] {
    const now = this.parts.now();
    if (now === undefined) return [];
    return this.watched.flatMap(({ key, attribute, topics, silentAfterMs }) => {
      const quietMs = this.quietMs(key);
      if (quietMs < silentAfterMs) return [];
      const since = new Date(now - quietMs).toISOString();
      return [{ attribute, topics, last_heard: since, silent_after_s: silentAfterMs / 1_000 }];
    });
  }

  private quietMs(key: string): number {
    const nowMs = this.parts.monotonicMs();
    return nowMs - (this.heardMs.get(key) ?? nowMs);
  }

  /** What the last run heard. A mapping that is new is given its time from now on. */
  private take(): void {
    const now = this.parts.now();
    if (now === undefined) return;
    const saved = this.isLoaded ? {} : this.parts.load();
    this.isLoaded = true;
    const nowMs = this.parts.monotonicMs();
    for (const { key } of this.watched) {
      if (!this.heardMs.has(key)) this.heardMs.set(key, nowMs - Math.max(0, now - (saved[key] ?? now)));
    }
  }

  private check(): void {
    if (!this.isLoaded) this.take();
    for (const { key, attribute, topics, silentAfterMs } of this.isLoaded ? this.watched : []) {
      const isQuiet = this.quietMs(key) >= silentAfterMs;
      if (isQuiet === this.quiet.has(key)) continue;
      const where = `${topics.join(', ')} (${attribute})`;
      if (isQuiet) {
        this.quiet.add(key);
        const hours = Math.round((this.quietMs(key) / (60 * MINUTE_MS)) * 10) / 10;
        this.parts.log('warn', `nothing was heard of ${where} for ${hours} h`);
      } else {
        this.quiet.delete(key);
        this.parts.log('info', `${where} is heard of again`);
      }
    }
    if (this.isLoaded && this.parts.monotonicMs() - this.savedMs >= SAVE_EVERY_MS) this.save();
    this.cancel = this.parts.after(CHECK_EVERY_MS, () => {
      this.check();
    });
  }

  private save(): void {
    const now = this.parts.now();
    if (now === undefined || this.watched.length === 0) return;
    this.savedMs = this.parts.monotonicMs();
    this.parts.save(Object.fromEntries(this.watched.map(({ key }) => [key, now - this.quietMs(key)])));
  }
}
