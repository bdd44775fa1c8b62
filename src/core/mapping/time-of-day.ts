/**
 * `time`: the time of day of changes into a condition.
 *
 * The day is the local date of the change, also for types that count from midday: 23:30 on the 5th is 690 of
 * the 5th, 00:30 on the 6th is 750 of the 6th.
 */
import { holds } from '../condition.ts';
import type { Reading } from '../reading.ts';
import { localDate, minutesFromMidnight } from '../time.ts';
import { UNITS_PER_ONE, type Units } from '../units.ts';
import type { ChangeState } from './mapping-state.ts';
import type { Mapping, Operation } from './mapping.ts';
import {
  accepted,
  bounceReason,
  isBounce,
  notANumber,
  quiet,
  refused,
  silence,
  moved,
  type Reaction,
} from './reaction.ts';
import { sinceMidday } from './set.ts';

export type TimeOfDay = Extract<Operation, { kind: 'time' }>;

export function timeOfChange(
  mapping: Mapping,
  operation: TimeOfDay,
  state: ChangeState | undefined,
  reading: Reading,
  zone: string,
): Reaction {
  const { value, at } = reading;
  const inside = holds(operation.of, value, state?.inside);
  if (inside === undefined) return refused(state, notANumber(value));
  const silent = silence(reading, state === undefined);
  if (silent !== undefined) return quiet(moved(state, inside, state?.countedAt), silent);
  if (state?.inside === inside) return quiet(state, 'unchanged');
  if (!inside) return quiet(moved(state, false, state?.countedAt), state ? 'left' : 'sets the state');
  if (isBounce(mapping, state?.countedAt, at)) {
    return quiet(moved(state, true, state?.countedAt), bounceReason);
  }
  const minutes = minutesFromMidnight(at, zone);
  const shownMinutes = mapping.valueType === 'time_of_day_midday' ? sinceMidday(minutes) : minutes;
  return accepted(moved(state, true, at), [
    {
      kind: 'value',
      attribute: mapping.attribute,
      day: localDate(at, zone),
      pick: operation.pick,
      at,
      value: (shownMinutes * UNITS_PER_ONE) as Units,
    },
  ]);
}
