/**
 * `add`: the payload is an amount.
 */
import type { Reading } from '../reading.ts';
import type { SeenState } from './mapping-state.ts';
import type { Mapping } from './mapping.ts';
import {
  accepted,
  bounceReason,
  isBounce,
  quiet,
  readUnits,
  refused,
  silence,
  sum,
  seenAt,
  type Reaction,
} from './reaction.ts';

export function addAmount(
  mapping: Mapping,
  state: SeenState | undefined,
  reading: Reading,
  zone: string,
): Reaction {
  const amount = readUnits(reading.value);
  if ('reason' in amount) return refused(state, amount.reason);
  if (amount.units < 0 && (mapping.range === undefined || mapping.range[0] >= 0)) {
    return refused(
      state,
      `the amount ${reading.value} is negative; a \`range\` that begins below 0 allows it`,
    );
  }
  const seen = state ?? { kind: 'seen' };
  const silent = silence(reading, state === undefined);
  if (silent !== undefined) return quiet(seen, silent);
  if (amount.units === 0) return quiet(seen, 'the amount is 0');
  if (isBounce(mapping, seen.countedAt, reading.at)) return quiet(seen, bounceReason);
  return accepted(seenAt(mapping, seen, reading.at), [sum(mapping, amount.units, reading.at, zone)]);
}
