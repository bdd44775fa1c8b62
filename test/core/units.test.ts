import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  add,
  formatUnits,
  fromUnits,
  subtract,
  toUnits,
  wholePart,
  ZERO,
  type Units,
} from '../../src/core/units.ts';

const units = fc.integer({ min: -8_000_000_000_000_000, max: 8_000_000_000_000_000 }).map((n) => n as Units);

describe('units', () => {
  test('decimal text survives the way into units and back', () => {
    for (const text of ['0', '12.5', '-0.000001', '1.005', '0.1', '8500000000.123456', '-7']) {
      expect(formatUnits(toUnits(Number(text)) ?? ZERO)).toBe(text);
    }
  });

  test('units survive the way out as a number and back, up to eight thousand million', () => {
    fc.assert(fc.property(units, (amount) => toUnits(fromUnits(amount)) === amount));
  });

  test('what cannot be held exactly is refused', () => {
    for (const value of [9.1e9, -9.1e9, NaN, Infinity, -Infinity, 1e300])
      expect(toUnits(value)).toBeUndefined();
  });

  test('there is no negative zero', () => {
    expect(Object.is(toUnits(-1e-9), 0)).toBe(true);
    expect(Object.is(subtract(5 as Units, 5 as Units), 0)).toBe(true);
  });

  test('a sum out of the exact range throws instead of rounding', () => {
    expect(() => add(Number.MAX_SAFE_INTEGER as Units, 1 as Units)).toThrow(RangeError);
  });

  test('the whole part goes towards minus infinity and never exceeds the amount', () => {
    expect(wholePart(2_999_999 as Units)).toBe(2_000_000);
    expect(wholePart(-1 as Units)).toBe(-1_000_000);
    fc.assert(
      fc.property(units, (amount) => {
        const rest = amount - wholePart(amount);
        return rest >= 0 && rest < 1_000_000;
      }),
    );
  });
});
