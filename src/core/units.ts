/**
 * Amounts in fixed point: one unit is a millionth of what Exist counts (1e-6), so that sums are exact.
 *
 * A JavaScript number holds whole units exactly up to 2^53, that is ±9,007,199,254 of the attribute's own
 * measure; anything larger is refused where it is read, never rounded.
 */

/** A whole number of millionths. Always a safe integer. */
export type Units = number & { readonly __brand: 'Units' };

/** Units in 1. */
export const UNITS_PER_ONE = 1_000_000;

export const ZERO = 0 as Units;

/** The nearest amount to `value`, or `undefined` where it is not finite or too large to be held exactly. */
export function toUnits(value: number): Units | undefined {
  // In two parts: the product of a large value would be rounded before it is rounded.
  const whole = Math.trunc(value);
  const units = whole * UNITS_PER_ONE + Math.round((value - whole) * UNITS_PER_ONE);
  return Number.isSafeInteger(units) ? ((units === 0 ? 0 : units) as Units) : undefined;
}

/** The number as Exist takes and shows it. */
export function fromUnits(units: Units): number {
  return units / UNITS_PER_ONE;
}

/** Sums two amounts. Throws `RangeError` past the exact range, which no sum of accepted readings reaches. */
export function add(a: Units, b: Units): Units {
  const sum = a + b;
  if (!Number.isSafeInteger(sum)) throw new RangeError(`the sum of ${a} and ${b} units is not exact`);
  return sum as Units;
}

export function subtract(a: Units, b: Units): Units {
  return add(a, (0 - b) as Units);
}

/** The whole part, towards minus infinity: what an attribute of a whole-number type may be told of `units`. */
export function wholePart(units: Units): Units {
  return (Math.floor(units / UNITS_PER_ONE) * UNITS_PER_ONE) as Units;
}

/** Decimal text without exponent or trailing zeros: `12.5`, `-0.000001`. */
export function formatUnits(units: Units): string {
  const sign = units < 0 ? '-' : '';
  const digits = String(Math.abs(units)).padStart(7, '0');
  const fraction = digits.slice(-6).replace(/0+$/, '');
  return `${sign}${digits.slice(0, -6)}${fraction === '' ? '' : `.${fraction}`}`;
}
