/**
 * What an attribute of Exist can hold. Codes and rules: Exist's reference, "attribute value types".
 */

/** The names the configuration uses. `time_of_day_midday` exists in templates only. */
export const VALUE_TYPES = [
  'integer',
  'decimal',
  'text',
  'minutes',
  'time_of_day',
  'percentage',
  'time_of_day_midday',
  'boolean',
  'scale',
] as const;

export type ValueType = (typeof VALUE_TYPES)[number];

/** Exist's number for a value type: its position in `VALUE_TYPES`, 0 to 8. */
export function codeOfValueType(type: ValueType): number {
  return VALUE_TYPES.indexOf(type);
}

/** The value type Exist numbers `code`, or `undefined` for a number it does not document. */
export function valueTypeOfCode(code: number): ValueType | undefined {
  return VALUE_TYPES[code];
}

/** Types that Exist refuses a fraction for. */
export function isWholeNumber(type: ValueType): boolean {
  return type !== 'decimal' && type !== 'percentage' && type !== 'text';
}

/** Types that `increment` takes: sums of contributions make sense for these alone. */
export function isIncrementable(type: ValueType): boolean {
  return type === 'integer' || type === 'decimal' || type === 'minutes' || type === 'percentage';
}

/** Types that hold a time of the day. */
export function isTimeOfDay(type: ValueType): boolean {
  return type === 'time_of_day' || type === 'time_of_day_midday';
}
