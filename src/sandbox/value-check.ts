/**
 * Exist's check of a value against an attribute's type: "broadly by type", without ranges.
 */
import { isIncrementable, valueTypeOfCode } from '../core/attribute.ts';

export type Value = number | string;

export type Checked = { readonly value: Value } | { readonly error: string };

/** The reference's bound on a mood note, taken for every text. */
const MOST_CHARACTERS = 1_000;

export function checkValue(value: unknown, valueTypeCode: number): Checked {
  const type = valueTypeOfCode(valueTypeCode);
  if (type === 'text') {
    if (typeof value !== 'string') return { error: 'Cannot apply a number to a string type' };
    if (value.length > MOST_CHARACTERS)
      return { error: `String is longer than ${MOST_CHARACTERS} characters` };
    return { value };
  }
  if (typeof value !== 'number' || !Number.isFinite(value)) {
    return { error: `Cannot apply ${nameOf(value)} to a numeric type` };
  }
  if (type === 'decimal' || type === 'percentage') return { value };
  if (!Number.isInteger(value)) return { error: 'Cannot apply a float to an integer type' };
  if (type === 'boolean' && value !== 0 && value !== 1) return { error: 'A boolean is 0 or 1' };
  return { value };
}

export function checkIncrement(value: unknown, valueTypeCode: number): Checked {
  const type = valueTypeOfCode(valueTypeCode);
  if (type === undefined || !isIncrementable(type)) {
    return { error: 'Cannot increment a string, scale, boolean or time of day attribute' };
  }
  return checkValue(value, valueTypeCode);
}

function nameOf(value: unknown): string {
  if (value === null) return 'null';
  if (typeof value === 'string') return 'a string';
  if (typeof value === 'boolean') return 'a boolean';
  return 'this value';
}
