/**
 * What a contribution does to the key of its day. A key is of the kind its mapping makes of it; where a mapping
 * changes its operation in the middle of a day, the day goes on as the other kind:
 *
 * - from counting to a value: the value is the whole day's, counts that were not sent are in it (`dropped`)
 * - from a value to counting: counts are added to the last value, or to what was taken in its place; where it had not
 *   surely arrived it is written first (`fixed`)
 *
 * A day that was done, and gets a late contribution, is looked at anew: nobody has looked since, and the attribute may be
 * another one at Exist by now.
 *
 * A call that was on its way stays noted, and its outcome is booked on the key as it is by then.
 */
import type { EpochMs, LocalDate } from '../time.ts';
import { add, subtract, type Units } from '../units.ts';
import { newSumKey, newValueKey, type Key, type SumKey, type ValueKey } from './state.ts';

interface Contributed {
  readonly attribute: string;
  readonly day: LocalDate;
  readonly now: EpochMs;
}

/** One more amount of the day. */
export function countInto(key: Key | undefined, of: Contributed, amount: Units): SumKey {
  const known = key?.closed && key.kind === 'sum' ? reopen(key) : key;
  const sum =
    known?.kind === 'value'
      ? toSum(known, of.now)
      : (known ?? newSumKey(of.attribute, of.day, 0 as Units, null));
  return {
    ...sum,
    total: add(sum.total, amount),
    openSince: sum.openSince ?? of.now,
    closed: false,
  };
}

/** Another value of the day. `isNews`: something came that the day's value did not have in it yet. */
export function setInto(
  key: Key | undefined,
  of: Contributed,
  wanted: Units | string,
  isNews: boolean,
): ValueKey {
  const known = key?.closed && isNews ? reopen(key) : key;
  const value = known?.kind === 'sum' ? toValue(known, wanted) : known;
  if (!value) return newValueKey(of.attribute, of.day, wanted, of.now);
  // Somebody else's change is older than this: the same value once more is to be written over it.
  const isAgain = isNews && value.adopted !== null && value.delivered === wanted;
  return {
    ...value,
    wanted,
    delivered: isAgain ? null : value.delivered,
    openSince: value.openSince ?? of.now,
    closed: false,
  };
}

function reopen(key: Key): Key {
  if (key.kind === 'value') return { ...key, delivered: null, adopted: null, based: false, closed: false };
  return { ...key, base: null, seen: null, seenAt: null, repair: false, repairs: 0, closed: false };
}

function toSum(key: ValueKey, now: EpochMs): SumKey {
  const isDue =
    key.wanted !== key.delivered || key.flight !== 'none' || (key.doubted && key.adopted === null);
  const stands = isDue ? key.wanted : (key.adopted ?? key.wanted);
  const total = typeof stands === 'number' ? stands : null;
  const fixed = isDue && total !== null ? ({ total, by: 'mapping' } as const) : null;
  return {
    ...newSumKey(key.attribute, key.day, key.total, key.openSince),
    ...shared(key),
    dropped: key.dropped,
    fixed,
    base: total === null ? null : subtract(total, key.ours),
    repair: fixed !== null,
    // A follow-up may be hours away.
    lookAt: fixed && key.flight === 'none' ? now : key.lookAt,
    seen: typeof key.seen === 'number' ? key.seen : null,
  };
}

function toValue(key: SumKey, wanted: Units | string): ValueKey {
  // As far as the ledger can tell, what stands there is ours to write over.
  const stands = key.base === null || key.repair ? null : add(key.base, key.ours);
  return {
    ...newValueKey(key.attribute, key.day, wanted, key.openSince),
    ...shared(key),
    total: key.total,
    delivered: stands,
    dropped: subtract(subtract(key.total, key.ours), key.flightAmount),
    doubted: key.doubt > 0 || key.flight !== 'none' || key.repair,
    seen: key.seen,
    seenAt: key.seenAt,
  };
}

function shared({
  flight,
  flightSince,
  flightAmount,
  flightValue,
  lookAt,
  looksLeft,
  sentAt,
  held,
  ours,
}: Key) {
  return { flight, flightSince, flightAmount, flightValue, lookAt, looksLeft, sentAt, held, ours };
}
