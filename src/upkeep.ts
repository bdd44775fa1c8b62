/**
 * Forgets what is too old, a little at a time, so that nothing else waits for it.
 */
import type { EpochMs } from './core/time.ts';
import { HOUR_MS, SECOND_MS } from './core/time.ts';
import type { Log } from './narrator.ts';

export interface UpkeepParts {
  /** Forgets a little; `isDone` where nothing is left to forget. */
  readonly prune: (now: EpochMs) => { readonly isDone: boolean };
  /** `undefined` while the time is not known: then nothing is old. */
  readonly now: () => EpochMs | undefined;
  readonly after: (delayMs: number, task: () => void) => () => void;
  readonly log: Log;
}

export class Upkeep {
  private cancel: (() => void) | undefined;

  constructor(private readonly parts: UpkeepParts) {}

  start(): void {
    const { prune, now, after, log } = this.parts;
    const at = now();
    let isDone = true;
    try {
      if (at !== undefined) ({ isDone } = prune(at));
    } catch (error) {
      log('warn', 'old history cannot be forgotten', { error: String(error) });
    }
    this.cancel = after(isDone ? HOUR_MS : SECOND_MS, () => {
      this.start();
    });
  }

  /** Idempotent. */
  stop(): void {
    this.cancel?.();
  }
}
