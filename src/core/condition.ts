/**
 * Conditions: whether a value is what `when`, `each`, `while` or `of` ask for.
 */
import { parseNumber } from './number.ts';
import { trimmed } from './payload.ts';
import type { Scalar } from './reading.ts';

/** What `when`, `each`, `while` and `of` say. */
export type Condition =
  | { readonly kind: 'oneOf'; readonly values: readonly Scalar[] }
  | { readonly kind: 'above'; readonly limit: number; readonly hysteresis: number }
  | { readonly kind: 'below'; readonly limit: number; readonly hysteresis: number }
  | { readonly kind: 'between'; readonly low: number; readonly high: number };

/**
 * Whether `condition` holds for `value`; `undefined` where a number is asked for and `value` is none.
 *
 * `previously` is the truth before: with hysteresis, what is above a limit stays above it until the value
 * falls below limit − hysteresis.
 */
export function holds(condition: Condition, value: Scalar, previously = false): boolean | undefined {
  if (condition.kind === 'oneOf') return wordsOf(condition).has(wordOf(value));
  const number = parseNumber(value);
  if (number === undefined) return undefined;
  switch (condition.kind) {
    case 'above':
      return previously && condition.hysteresis > 0
        ? number >= condition.limit - condition.hysteresis
        : number > condition.limit;
    case 'below':
      return previously && condition.hysteresis > 0
        ? number <= condition.limit + condition.hysteresis
        : number < condition.limit;
    case 'between':
      return number >= condition.low && number <= condition.high;
  }
}

/** Conditions never change, so their words are put together once. */
const words = new WeakMap<Condition, ReadonlySet<string | number>>();

function wordsOf(condition: Extract<Condition, { kind: 'oneOf' }>): ReadonlySet<string | number> {
  let found = words.get(condition);
  if (!found) {
    found = new Set(condition.values.map(wordOf));
    words.set(condition, found);
  }
  return found;
}

const numberWord = /^[+-]?\d+(?:\.\d+)?$/;

/** What two scalars have in common if they say the same: `ON`, `true`, `1` and `"1.0"`; `open` and `Open`. */
export function wordOf(value: Scalar): string | number {
  if (typeof value === 'boolean') return value ? 'on' : 'off';
  if (typeof value === 'number') return wordOfNumber(value);
  const text = trimmed(value);
  if (text.length <= 64 && numberWord.test(text)) return wordOfNumber(Number(text));
  const word = text.toLowerCase();
  if (word === 'true') return 'on';
  if (word === 'false') return 'off';
  return word;
}

function wordOfNumber(value: number): string | number {
  if (value === 1) return 'on';
  if (value === 0) return 'off';
  return value;
}
