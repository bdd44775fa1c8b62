/**
 * `set`: the day's value. What a reading must be depends on the attribute's type.
 */
import { isWholeNumber } from '../attribute.ts';
import { wordOf } from '../condition.ts';
import { roundUnits } from '../day-value.ts';
import { parseNumber } from '../number.ts';
import type { Reading, Scalar } from '../reading.ts';
import { localDate } from '../time.ts';
import { toUnits, UNITS_PER_ONE, type Units } from '../units.ts';
import type { SeenState } from './mapping-state.ts';
import type { Mapping, Operation } from './mapping.ts';
import {
  accepted,
  bounceReason,
  isBounce,
  notANumber,
  quiet,
  readUnits,
  refused,
  shown,
  silence,
  seenAt,
  type Reaction,
} from './reaction.ts';

export type SetValue = Extract<Operation, { kind: 'set' }>;

const MAX_TEXT_LENGTH = 1_000;
const MINUTES_PER_DAY = 1_440;

export function setValue(
  mapping: Mapping,
  operation: SetValue,
  state: SeenState | undefined,
  reading: Reading,
  zone: string,
): Reaction {
  const read = valueFor(mapping, reading.value);
  if ('reason' in read) return refused(state, read.reason);
  const seen = state ?? { kind: 'seen' };
  const silent = silence(reading, state === undefined);
  if (silent !== undefined) return quiet(seen, silent);
  if (isBounce(mapping, seen.countedAt, reading.at)) return quiet(seen, bounceReason);
  const whole = isWholeNumber(mapping.valueType);
  const round = whole ? 0 : operation.round;
  // A mean is rounded when the day's values are put together, all others here.
  const rounds = whole && typeof read.units === 'number' && operation.pick !== 'mean';
  return accepted(seenAt(mapping, seen, reading.at), [
    {
      kind: 'value',
      attribute: mapping.attribute,
      day: localDate(reading.at, zone),
      pick: operation.pick,
      at: reading.at,
      value: rounds ? roundUnits(read.units, 0) : read.units,
      ...(round !== undefined && { round }),
    },
  ]);
}

type Read = { readonly units: Units | string } | { readonly reason: string };

/** What an attribute of that type takes `value` for, or why it does not. */
export function valueFor({ valueType }: Pick<Mapping, 'valueType'>, value: Scalar): Read {
  switch (valueType) {
    case 'text':
      return textOf(value);
    case 'boolean': {
      const word = wordOf(value);
      if (word !== 'on' && word !== 'off') return { reason: `${shown(value)} is neither on nor off` };
      return { units: (word === 'on' ? UNITS_PER_ONE : 0) as Units };
    }
    case 'percentage': {
      const read = readUnits(value);
      if ('units' in read && (read.units < 0 || read.units > UNITS_PER_ONE)) {
        return {
          reason: `${shown(value)} is outside 0 to 1; \`scale: 0.01\` turns percent into a percentage`,
        };
      }
      return read;
    }
    case 'scale': {
      const read = readUnits(value);
      if (
        'units' in read &&
        (read.units % UNITS_PER_ONE !== 0 || read.units < UNITS_PER_ONE || read.units > 9 * UNITS_PER_ONE)
      ) {
        return { reason: `${shown(value)} is not a whole number from 1 to 9` };
      }
      return read;
    }
    case 'time_of_day':
    case 'time_of_day_midday':
      return timeOfDay(value, valueType === 'time_of_day_midday');
    case 'integer':
    case 'decimal':
    case 'minutes':
      return readUnits(value);
  }
}

function textOf(value: Scalar): Read {
  const text = String(value);
  if (text.length > MAX_TEXT_LENGTH) {
    return { reason: `the text has ${text.length} characters, more than ${MAX_TEXT_LENGTH}` };
  }
  return { units: text };
}

const clockTime = /^(\d{1,2}):(\d{2})(?::\d{2}(?:\.\d+)?)?$/;

/** Minutes from midnight (or midday) as a number, or `HH:MM` as clocks show it. */
function timeOfDay(value: Scalar, fromMidday: boolean): Read {
  const [matched, hours, minutes] = (typeof value === 'string' && clockTime.exec(value)) || [];
  if (matched !== undefined) {
    if (Number(hours) > 23 || Number(minutes) > 59) return { reason: `${shown(value)} is not a time of day` };
    const sinceMidnight = Number(hours) * 60 + Number(minutes);
    return unitsOfMinutes(fromMidday ? sinceMidday(sinceMidnight) : sinceMidnight);
  }
  const number = parseNumber(value);
  if (number === undefined) return { reason: `${shown(value)} is neither minutes nor a time such as 07:30` };
  const whole = Math.floor(number);
  if (whole < 0 || whole >= MINUTES_PER_DAY)
    return { reason: `${shown(value)} is outside the 1440 minutes of a day` };
  return unitsOfMinutes(whole);
}

/** Minutes since the last midday, for minutes since midnight. */
export function sinceMidday(sinceMidnight: number): number {
  return (sinceMidnight + MINUTES_PER_DAY / 2) % MINUTES_PER_DAY;
}

function unitsOfMinutes(minutes: number): Read {
  const units = toUnits(minutes);
  return units === undefined ? { reason: notANumber(minutes) } : { units };
}
