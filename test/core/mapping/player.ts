/**
 * Plays readings to one mapping on one topic, as the intake would, and adds up what comes of it.
 */
import { dueAt, react, tick, type Reaction } from '../../../src/core/mapping/engine.ts';
import type { MappingState } from '../../../src/core/mapping/mapping-state.ts';
import type { Mapping, Operation } from '../../../src/core/mapping/mapping.ts';
import type { Condition } from '../../../src/core/condition.ts';
import type { Contribution, Reading, Scalar } from '../../../src/core/reading.ts';
import type { EpochMs } from '../../../src/core/time.ts';
import { fromUnits, toUnits, type Units } from '../../../src/core/units.ts';

export const zone = 'Europe/Berlin';

/** Noon of an ordinary day. */
export const noon = Date.parse('2026-11-20T12:00:00+01:00') as EpochMs;

export const one = units(1);

export function units(value: number): Units {
  const exact = toUnits(value);
  if (exact === undefined) throw new Error(`${value} is not exact`);
  return exact;
}

export function is(...values: Scalar[]): Condition {
  return { kind: 'oneOf', values };
}

export function mapping(operation: Operation, changes: Partial<Mapping> = {}): Mapping {
  return {
    key: 'test',
    filters: ['test'],
    attribute: 'test',
    valueType: 'integer',
    scale: 1,
    offset: 0,
    debounceMs: 0,
    operation,
    ...changes,
  };
}

export type Moment = Partial<Pick<Reading, 'retain' | 'replay' | 'instance' | 'receivedAt'>>;

export class Player {
  state: MappingState | undefined;
  readonly contributions: Contribution[] = [];

  constructor(
    readonly mapping: Mapping,
    readonly zone = 'Europe/Berlin',
  ) {}

  /** Seconds after noon. */
  read(value: Scalar, seconds = 0, moment: Moment = {}): Reaction {
    return this.readAt(value, (noon + seconds * 1_000) as EpochMs, moment);
  }

  readAt(value: Scalar, at: EpochMs, moment: Moment = {}): Reaction {
    const reading: Reading = { value, at, receivedAt: at, retain: false, replay: false, ...moment };
    return this.take(react(this.mapping, this.state, reading, this.zone));
  }

  replay(value: Scalar, seconds = 0): Reaction {
    return this.read(value, seconds, { retain: true, replay: true });
  }

  tick(seconds: number): Reaction {
    return this.tickAt((noon + seconds * 1_000) as EpochMs);
  }

  tickAt(now: EpochMs): Reaction {
    return this.take(tick(this.mapping, this.state, now, this.zone));
  }

  /** Lets time pass as the intake does: a tick whenever one is due. */
  runUntil(now: EpochMs): void {
    for (;;) {
      const due = this.dueAt;
      if (due === undefined || due > now) return;
      this.tickAt(due);
    }
  }

  get dueAt(): EpochMs | undefined {
    return dueAt(this.mapping, this.state, this.zone);
  }

  /** Sum of all contributions, or of one day's. */
  total(day?: string): number {
    let sum = 0;
    for (const contribution of this.contributions) {
      if (contribution.kind === 'sum' && (day === undefined || contribution.day === day))
        sum += contribution.amount;
    }
    return fromUnits(sum as Units);
  }

  private take(reaction: Reaction): Reaction {
    // States are stored as JSON: what does not survive that is not part of them.
    this.state = reaction.state && (JSON.parse(JSON.stringify(reaction.state)) as MappingState);
    this.contributions.push(...reaction.contributions);
    return reaction;
  }
}
