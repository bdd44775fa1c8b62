/**
 * Deliveries with one defect each: what a step decided is changed as the defect would have decided it. The defects
 * of the way to Exist (write-ahead, rest, audit and so on) are in `history.ts`, where that way is.
 */
import type { Key } from '../../src/core/delivery/state.ts';
import type { EpochMs } from '../../src/core/time.ts';
import { subtract } from '../../src/core/units.ts';

export type JudgingMutant = 'resend-applied' | 'hold-applied' | 'values-uncorrected' | 'set-adopted';

/** @param seen whether the step took a look at the key */
export function misjudge(mutant: JudgingMutant, before: Key, after: Key, seen: boolean, now: EpochMs): Key {
  const isSettled = before.flight === 'unknown' && after.flight === 'none' && !after.held;
  switch (mutant) {
    case 'resend-applied':
      if (after.kind !== 'sum' || !isSettled || after.ours === before.ours) return after;
      return { ...after, ours: before.ours, openSince: now };
    case 'hold-applied':
      if (!isSettled || after.ours === before.ours || (after.kind === 'sum' && after.repair)) return after;
      return { ...before, held: { state: 'conflict', reason: 'who knows', since: now } };
    case 'values-uncorrected':
      if (after.kind !== 'value' || before.kind !== 'value' || after.held || after.delivered !== null)
        return after;
      if (isSettled) return { ...after, delivered: after.wanted };
      return { ...after, delivered: before.delivered };
    case 'set-adopted':
      if (after.kind !== 'sum' || !after.fixed || !seen || before.kind !== 'sum' || !before.fixed)
        return after;
      return { ...after, fixed: null, base: subtract(after.seen ?? after.ours, after.ours), repair: false };
  }
}
