/** A clock that stands still until a test moves it; timers fire as it passes them. */
import type { EpochMs } from '../../src/core/time.ts';

interface Timer {
  readonly at: EpochMs;
  readonly task: () => void;
}

export class TestClock {
  private timers: Timer[] = [];
  private time: EpochMs;
  private bootedAt: number;

  constructor(iso: string) {
    this.time = Date.parse(iso) as EpochMs;
    this.bootedAt = this.time - 60_000;
  }

  now(): EpochMs {
    return this.time;
  }

  monotonicMs(): number {
    return this.time - this.bootedAt;
  }

  at(instant: EpochMs, task: () => void): () => void {
    const timer = { at: instant, task };
    this.timers.push(timer);
    return () => {
      this.timers = this.timers.filter((other) => other !== timer);
    };
  }

  /** Somebody sets it: no time has passed. */
  set(iso: string): void {
    const before = this.time;
    this.time = Date.parse(iso) as EpochMs;
    this.bootedAt += this.time - before;
  }

  /** Moves on, firing what falls due in order, at its own instant. */
  advanceTo(iso: string): void {
    const until = Date.parse(iso) as EpochMs;
    for (;;) {
      const due = this.timers.filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0];
      if (!due) break;
      this.timers = this.timers.filter((other) => other !== due);
      this.time = Math.max(this.time, due.at) as EpochMs;
      due.task();
    }
    this.time = until;
  }
}
