/**
 * `duration`: minutes inside a condition, split at local midnight.
 *
 * States: outside → inside opens an interval at the reading's `at`; ticks count the part so far; inside →
 * outside counts the rest and closes it. Past `max` an interval counts no more until the condition is left.
 *
 * A replay or a retained first reading cannot say when the state began: an interval it opens begins at its
 * receipt; one it closes ends at its own time. What a tick has counted stays counted, also where a late message
 * says that the condition was left before; an interval never begins before the end of the last one, so that no
 * minute counts twice.
 */
import { holds } from '../condition.ts';
import type { Contribution, Reading } from '../reading.ts';
import { addDays, localDate, MINUTE_MS, startOfDay, type EpochMs } from '../time.ts';
import type { Units } from '../units.ts';
import type { DurationState } from './mapping-state.ts';
import type { Mapping, Operation } from './mapping.ts';
import { accepted, ignored, notANumber, quiet, refused, silence, type Reaction } from './reaction.ts';

export type Duration = Extract<Operation, { kind: 'duration' }>;

/** The part so far is counted at least this often. */
const ACCRUE_EVERY_MS = MINUTE_MS;

/** Thirds of a unit in a millisecond: 1e6 units / 60000 ms × 3. */
const THIRDS_PER_MS = 50;

export function duration(
  mapping: Mapping,
  operation: Duration,
  state: DurationState | undefined,
  reading: Reading,
  zone: string,
): Reaction {
  const inside = holds(operation.while, reading.value, state?.inside);
  if (inside === undefined) return refused(state, notANumber(reading.value));
  if (state?.inside === inside) return quiet(state, 'unchanged');
  if (inside) {
    const begin = silence(reading, state === undefined) === undefined ? reading.at : reading.receivedAt;
    const since = Math.max(begin, state?.until ?? begin) as EpochMs;
    return quiet(
      { kind: 'duration', inside, since, until: since, thirds: state?.thirds ?? 0 },
      'an interval begins',
    );
  }
  if (!state) {
    return quiet(
      { kind: 'duration', inside, since: reading.at, until: reading.at, thirds: 0 },
      'sets the state',
    );
  }
  const { contributions, ...accrued } = accrue(mapping, state, endOf(operation, state, reading.at), zone);
  const next = { ...state, ...accrued, inside };
  return contributions.length === 0 ? quiet(next, 'left') : accepted(next, contributions);
}

export function tickDuration(
  mapping: Mapping,
  operation: Duration,
  state: DurationState,
  now: EpochMs,
  zone: string,
): Reaction {
  const end = endOf(operation, state, now);
  if (!state.inside || end <= state.until) return ignored(state, 'not due');
  const { contributions, ...accrued } = accrue(mapping, state, end, zone);
  return accepted({ ...state, ...accrued }, contributions);
}

/** When the part so far is to be counted next. */
export function accrualDue(operation: Duration, state: DurationState, zone: string): EpochMs | undefined {
  if (!state.inside) return undefined;
  const cap = state.since + (operation.maxMs ?? Infinity);
  if (state.until >= cap) return undefined;
  const midnight = startOfDay(addDays(localDate(state.until, zone), 1), zone);
  return Math.min(state.until + ACCRUE_EVERY_MS, midnight, cap) as EpochMs;
}

function endOf(operation: Duration, { since }: DurationState, at: EpochMs): EpochMs {
  return operation.maxMs === undefined ? at : (Math.min(at, since + operation.maxMs) as EpochMs);
}

/** Counts from `state.until` up to `end`, each local day its part; exact, what is below a unit is carried. */
function accrue(
  mapping: Mapping,
  state: DurationState,
  end: EpochMs,
  zone: string,
): { readonly until: EpochMs; readonly thirds: number; readonly contributions: readonly Contribution[] } {
  const contributions: Contribution[] = [];
  let { until, thirds } = state;
  while (until < end) {
    const day = localDate(until, zone);
    const stop = Math.min(end, startOfDay(addDays(day, 1), zone)) as EpochMs;
    thirds += (stop - until) * THIRDS_PER_MS;
    const amount = Math.floor(thirds / 3) as Units;
    thirds %= 3;
    until = stop;
    if (amount > 0) contributions.push({ kind: 'sum', attribute: mapping.attribute, day, amount });
  }
  return { until, thirds, contributions };
}
