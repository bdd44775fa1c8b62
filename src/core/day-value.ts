/**
 * The value of an attribute's day, put together from the values that came. Plain JSON: it is stored as it is.
 */
import type { Contribution, Pick } from './reading.ts';
import type { EpochMs } from './time.ts';
import { UNITS_PER_ONE, type Units } from './units.ts';

export type DayValue =
  | {
      readonly pick: Exclude<Pick, 'mean'>;
      readonly at: EpochMs;
      readonly value: Units | string;
      readonly round?: number;
    }
  | {
      readonly pick: 'mean';
      readonly at: EpochMs;
      /** Units, in decimal digits: a sum of many values may leave the exact range of a number. */
      readonly sum: string;
      readonly count: number;
      readonly round?: number;
    };

type Value = Extract<Contribution, { kind: 'value' }>;

/**
 * Takes one more value into the day. Where `pick` has changed since the last one (another configuration), the
 * day begins anew with this value.
 */
export function combine(previous: DayValue | undefined, contribution: Value): DayValue {
  const { pick, at, value, round } = contribution;
  const rounding = round === undefined ? {} : { round };
  if (pick === 'mean' && typeof value === 'number') {
    const before = previous?.pick === 'mean' ? previous : undefined;
    return {
      pick,
      at: before === undefined || at > before.at ? at : before.at,
      sum: String(BigInt(before?.sum ?? 0) + BigInt(value)),
      count: (before?.count ?? 0) + 1,
      ...rounding,
    };
  }
  // Text has neither mean nor order: the last one stands.
  const chosen = typeof value === 'string' && pick !== 'first' ? 'last' : pick === 'mean' ? 'last' : pick;
  const taken = { pick: chosen, at, value, ...rounding };
  if (previous === undefined || previous.pick !== chosen) return taken;
  return replaces(previous, contribution, chosen) ? taken : { ...previous, ...rounding };
}

/**
 * Instants are whole milliseconds, and one that is told later from the time since the boot may be rounded to the one
 * before: what comes later is later all the same.
 */
const JITTER_MS = 1;

function replaces(
  previous: Exclude<DayValue, { pick: 'mean' }>,
  { at, value }: Value,
  pick: Exclude<Pick, 'mean'>,
): boolean {
  switch (pick) {
    case 'last':
      return at >= previous.at - JITTER_MS;
    case 'first':
      return at < previous.at - JITTER_MS;
    case 'min':
      return value < previous.value;
    case 'max':
      return value > previous.value;
  }
}

/** What the day is worth: units, or text for attributes of type text. */
export function dayValueResult(day: DayValue): Units | string {
  const value = day.pick === 'mean' ? mean(BigInt(day.sum), BigInt(day.count)) : day.value;
  return typeof value === 'string' || day.round === undefined ? value : roundUnits(value, day.round);
}

/** `units` with `places` decimals; halves go away from zero. */
export function roundUnits(units: Units, places: number): Units {
  if (places >= 6) return units;
  const step = BigInt(UNITS_PER_ONE) / 10n ** BigInt(Math.max(0, Math.floor(places)));
  return Number(quotient(BigInt(units), step) * step) as Units;
}

function mean(sum: bigint, count: bigint): Units {
  return Number(quotient(sum, count)) as Units;
}

/** The nearest whole number to `a / b` (b > 0); halves go away from zero. */
function quotient(a: bigint, b: bigint): bigint {
  const half = a < 0n ? -b : b;
  return (2n * a + half) / (2n * b);
}
