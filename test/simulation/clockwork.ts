/** What every simulated life runs on: its clock, which goes from one thing that is due to the next, and its story. */
import type { Account } from '../../src/core/delivery/state.ts';
import type { Event } from '../../src/core/delivery/step.ts';
import type { EpochMs } from '../../src/core/time.ts';
import { SETTINGS, START, type Incident, type Scenario } from './scenario.ts';

export abstract class Clockwork {
  protected now = START;
  protected wakeAt: EpochMs | undefined = START;
  protected readonly story: Incident[] = [];

  constructor(protected readonly scenario: Scenario) {}

  /** Takes the step that `first` calls for, and those that follow from it at once. */
  protected abstract dispatch(first: Event): void;

  /** Tells the story; `false` where this is to be left out. */
  protected happens(name: string, text: string): boolean {
    if (this.scenario.only && !this.scenario.only.has(name)) return false;
    this.tell(name, text);
    return true;
  }

  /** What happens in every telling. */
  protected tell(name: string, text: string): void {
    this.story.push({ name, text: `${new Date(this.now).toISOString()}  ${text}` });
  }

  protected wakeBy(instant: EpochMs | undefined): void {
    if (instant !== undefined && (this.wakeAt === undefined || instant < this.wakeAt)) this.wakeAt = instant;
  }

  /** A contribution has come: it leaves with the next flush. */
  protected wakeToFlush({ lastFlushAt }: Account): void {
    const allowedAt = (lastFlushAt ?? 0) + SETTINGS.flushEveryMs;
    this.wakeBy(Math.max(this.now + SETTINGS.lingerMs, allowedAt) as EpochMs);
  }

  protected passUntil(until: EpochMs): void {
    for (let steps = 0; this.wakeAt !== undefined && this.wakeAt <= until; steps += 1) {
      if (steps > 5_000) throw new Error(`seed ${this.scenario.seed}: the delivery never comes to rest`);
      this.now = Math.max(this.now, this.wakeAt) as EpochMs;
      this.wakeAt = undefined;
      this.dispatch({ type: 'wake' });
    }
    this.now = Math.max(this.now, until) as EpochMs;
  }
}
