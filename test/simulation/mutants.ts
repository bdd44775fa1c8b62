/**
 * Deliveries with one defect each: what a step decided is changed as the defect would have decided it. The defects
 * of the way to Exist (write-ahead, rest, audit and so on) are in `history.ts`, where that way is.
 */
import type { Outcome } from '../../src/core/delivery/outcome.ts';
import type { Answer } from '../../src/core/delivery/request.ts';
import { keyOf, type Key } from '../../src/core/delivery/state.ts';
import type { EpochMs, LocalDate } from '../../src/core/time.ts';
import { subtract, type Units } from '../../src/core/units.ts';

const JUDGING = ['resend-applied', 'hold-applied', 'values-uncorrected', 'set-adopted'] as const;

export type JudgingMutant = (typeof JUDGING)[number];

export function isOfJudging(mutant: string): mutant is JudgingMutant {
  return JUDGING.some((one) => one === mutant);
}

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

/** What a delivery that never judges would make of an answer: all is as it should be. */
export function flatter(outcome: Outcome<Answer>, keys: ReadonlyMap<string, Key>): Outcome<Answer> {
  if (outcome.kind !== 'answered') return outcome;
  const { body } = outcome;
  const expected = (name: string, day: LocalDate | undefined): Units | null => {
    const key = day === undefined ? undefined : keys.get(keyOf(name, day));
    if (key?.kind !== 'sum' || key.base === null) return null;
    return (key.base + key.ours + key.flightAmount) as Units;
  };
  if (body.kind === 'read') {
    const values = new Map(
      [...body.values].map(([name, days]) => [
        name,
        new Map([...days].map(([day, value]) => [day, expected(name, day) ?? value])),
      ]),
    );
    return { ...outcome, body: { ...body, values } };
  }
  if (body.kind !== 'written') return outcome;
  const success = body.success.map((item) => ({
    ...item,
    current: expected(item.name, item.day) ?? undefined,
  }));
  return { ...outcome, body: { ...body, success } };
}
