import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { combine, dayValueResult, roundUnits, type DayValue } from '../../src/core/day-value.ts';
import type { Contribution, Pick } from '../../src/core/reading.ts';
import type { EpochMs, LocalDate } from '../../src/core/time.ts';
import type { Units } from '../../src/core/units.ts';

type Value = Extract<Contribution, { kind: 'value' }>;

function value(pick: Pick, at: number, amount: number | string, round?: number): Value {
  return {
    kind: 'value',
    attribute: 'weight',
    day: '2026-11-20' as LocalDate,
    pick,
    at: at as EpochMs,
    value: typeof amount === 'string' ? amount : (amount as Units),
    ...(round !== undefined && { round }),
  };
}

function result(...values: Value[]): Units | string {
  let day: DayValue | undefined;
  for (const one of values) day = JSON.parse(JSON.stringify(combine(day, one))) as DayValue;
  if (!day) throw new Error('no values');
  return dayValueResult(day);
}

describe('the value of a day', () => {
  test.each<[Pick, number]>([
    ['last', 30],
    ['first', 20],
    ['min', 10],
    ['max', 30],
    ['mean', 20],
  ])('is the %s of what came, also out of order', (pick, expected) => {
    expect(result(value(pick, 2_000, 10), value(pick, 3_000, 30), value(pick, 1_000, 20))).toBe(expected);
  });

  test('is the later arrival of two last ones and the earlier of two first ones', () => {
    expect(result(value('last', 1, 10), value('last', 1, 20))).toBe(20);
    expect(result(value('first', 1, 10), value('first', 1, 20))).toBe(10);
  });

  test('is an exact mean of any number of large values', () => {
    const amount = fc.integer({ min: Number.MIN_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER });
    fc.assert(
      fc.property(fc.array(amount, { minLength: 1 }), (amounts) => {
        const found = BigInt(result(...amounts.map((one) => value('mean', 1, one))));
        const count = BigInt(amounts.length);
        const off = amounts.reduce((total, one) => total + BigInt(one), 0n) - found * count;
        return 2n * (off < 0n ? -off : off) <= count;
      }),
    );
  });

  test('is rounded at the end', () => {
    expect(result(value('mean', 1, 1_040_000, 1), value('mean', 2, 1_050_000, 1))).toBe(1_000_000);
    expect(result(value('last', 1, 72_450_000, 1))).toBe(72_500_000);
    expect(roundUnits(-2_500_000 as Units, 0)).toBe(-3_000_000);
    expect(roundUnits(1_234_567 as Units, 6)).toBe(1_234_567);
  });

  test('is what came last also where its instant was rounded to the millisecond before', () => {
    expect(result(value('last', 1_001, 5), value('last', 1_000, 6))).toBe(6);
    expect(result(value('first', 1_001, 5), value('first', 1_000, 6))).toBe(5);
    expect(result(value('last', 1_002, 5), value('last', 1_000, 6))).toBe(5);
  });

  test('can be text', () => {
    expect(result(value('last', 1, 'a'), value('last', 2, 'b'))).toBe('b');
    expect(result(value('first', 1, 'a'), value('first', 2, 'b'))).toBe('a');
  });

  test('begins anew where the configuration picks differently', () => {
    expect(result(value('min', 1, 10), value('max', 2, 5))).toBe(5);
    expect(result(value('max', 1, 10), value('mean', 2, 6), value('mean', 3, 8))).toBe(7);
  });
});
