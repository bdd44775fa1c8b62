/**
 * Notices sensors that have gone quiet: a mapping or a device may say after how long without a message
 * (`silent_after`). It only tells; a day never gets a value that nobody measured.
 *
 * When something was last heard of survives restarts, written down every now and then: a few minutes too old at worst.
 */
import { wordsOf, type Silent, type Watched } from '../core/silence.ts';
import { HOUR_MS, MINUTE_MS, type EpochMs } from '../core/time.ts';

export interface Watch {
  /** What it is heard by: a mapping's key, or what `deviceKey` makes of a name. */
  readonly key: string;
  readonly of: Watched;
  readonly silentAfterMs: number;
}

export interface SilenceParts {
  /** As they are now: the configuration and the devices change while the daemon runs. */
  readonly watches: () => readonly Watch[];
  /** `undefined` while the time is not known. */
  readonly now: () => EpochMs | undefined;
  readonly monotonicMs: () => number;
  readonly after: (delayMs: number, task: () => void) => () => void;
  /** Instants by key, as the last run saved them. */
  readonly load: () => Readonly<Record<string, number>>;
  readonly save: (heard: Readonly<Record<string, number>>) => void;
  readonly log: (level: 'info' | 'warn', message: string) => void;
}

const CHECK_EVERY_MS = MINUTE_MS;
const SAVE_EVERY_MS = 10 * MINUTE_MS;

/** No mapping has it: theirs begin with an attribute and a colon. */
export function deviceKey(name: string): string {
  return `device ${name}`;
}

export class Silence {
  /** By the monotonic clock. */
  private readonly heardMs = new Map<string, number>();
  private readonly quiet = new Set<string>();
  /** What the last run heard is taken over, which wants the time. */
  private isLoaded = false;
  private savedMs = 0;
  private cancel: (() => void) | undefined;

  constructor(private readonly parts: SilenceParts) {}

  start(): void {
    this.savedMs = this.parts.monotonicMs();
    this.check();
  }

  /** Idempotent. */
  stop(): void {
    if (this.cancel) this.save();
    this.cancel?.();
    this.cancel = undefined;
  }

  /** A message came that `key` was waiting for. */
  heard(key: string): void {
    this.heardMs.set(key, this.parts.monotonicMs());
  }

  /** Those that nothing was heard of for too long. */
  list(): Silent[] {
    const now = this.parts.now();
    if (now === undefined) return [];
    return this.parts.watches().flatMap(({ key, of, silentAfterMs }) => {
      const quietMs = this.quietMs(key);
      if (quietMs < silentAfterMs) return [];
      const since = new Date(now - quietMs).toISOString();
      return [{ ...of, last_heard: since, silent_after_s: silentAfterMs / 1_000 }];
    });
  }

  private quietMs(key: string): number {
    const nowMs = this.parts.monotonicMs();
    return nowMs - (this.heardMs.get(key) ?? nowMs);
  }

  /** Takes over what the last run heard. What is new is given its time from now on; what is gone is forgotten. */
  private follow(watches: readonly Watch[], now: EpochMs): void {
    const saved = this.isLoaded ? {} : this.parts.load();
    this.isLoaded = true;
    const nowMs = this.parts.monotonicMs();
    const keys = new Set(watches.map(({ key }) => key));
    for (const known of [this.heardMs, this.quiet]) {
      for (const key of known.keys()) if (!keys.has(key)) known.delete(key);
    }
    for (const key of keys) {
      if (!this.heardMs.has(key)) this.heardMs.set(key, nowMs - Math.max(0, now - (saved[key] ?? now)));
    }
  }

  private check(): void {
    const now = this.parts.now();
    if (now !== undefined) {
      const watches = this.parts.watches();
      this.follow(watches, now);
      for (const watch of watches) this.tell(watch);
      if (this.parts.monotonicMs() - this.savedMs >= SAVE_EVERY_MS) this.save();
    }
    this.cancel = this.parts.after(CHECK_EVERY_MS, () => {
      this.check();
    });
  }

  /** Once when it goes quiet, once when it is back. */
  private tell({ key, of, silentAfterMs }: Watch): void {
    const isQuiet = this.quietMs(key) >= silentAfterMs;
    if (isQuiet === this.quiet.has(key)) return;
    if (isQuiet) {
      this.quiet.add(key);
      const hours = Math.round((this.quietMs(key) / HOUR_MS) * 10) / 10;
      this.parts.log('warn', `nothing was heard of ${wordsOf(of)} for ${hours} h`);
    } else {
      this.quiet.delete(key);
      this.parts.log('info', `${wordsOf(of)} is heard of again`);
    }
  }

  private save(): void {
    const now = this.parts.now();
    const watches = this.parts.watches();
    if (now === undefined || !this.isLoaded || watches.length === 0) return;
    this.savedMs = this.parts.monotonicMs();
    this.parts.save(Object.fromEntries(watches.map(({ key }) => [key, now - this.quietMs(key)])));
  }
}
