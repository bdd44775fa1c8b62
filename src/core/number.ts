/**
 * Numbers as devices write them: `4.3`, `"1"`, `412.7g`, `21.5 °C`, `72,4`, `1.5e3`.
 */
import { trimmed } from './payload.ts';
import type { Scalar } from './reading.ts';

/** Longer text is no number; it also bounds the work of the patterns below. */
const maxNumberLength = 64;

const plainNumber = /^-?\d+(?:\.\d+)?$/;

/** Sign, digits with points and commas, exponent, and the rest: a unit. */
const numberWithUnit = /^([+\-\u2212]?)(\d[\d.,]*|[.,]\d+)(?:[eE]([+-]?\d{1,3})(?![\d.,]))?\s*(.*)$/su;

/** Digits in a unit only as in m³, ft2, CO2: anything else is a second number, and which one is meant unknown. */
const unit =
  /^(?:(?=[\p{L}\p{Sc}%‰°'"′″(])(?:[\p{L}\p{M}\p{Sc}%‰°'"′″²³⁻¹/·*^() ._-]|(?<=(?:m|ft|in|yd|s|CO)\^?)[23](?![\p{L}\d.,]))*)?$/u;

/**
 * The number that `value` is or writes, or `undefined`: `true` and `on` are not numbers, nor is text with two
 * numbers in it. One comma is a decimal comma; where point and comma both stand, the last one is the decimal
 * mark and the others must group thousands.
 */
export function parseNumber(value: Scalar): number | undefined {
  if (typeof value === 'number') return Number.isFinite(value) ? value : undefined;
  if (typeof value === 'boolean' || value.length > maxNumberLength) return undefined;
  const text = trimmed(value);
  if (plainNumber.test(text)) return Number(text);
  const [matched, sign, mantissa, exponent, rest] = numberWithUnit.exec(text) ?? [];
  if (matched === undefined || mantissa === undefined || rest === undefined || !unit.test(rest))
    return undefined;
  const digits = withDecimalPoint(mantissa);
  if (digits === undefined) return undefined;
  const number = Number(`${sign === '' || sign === '+' ? '' : '-'}${digits}e${exponent ?? '0'}`);
  return Number.isFinite(number) ? number : undefined;
}

function withDecimalPoint(mantissa: string): string | undefined {
  const point = mantissa.lastIndexOf('.');
  const comma = mantissa.lastIndexOf(',');
  if (point === -1 || comma === -1) {
    const mark = Math.max(point, comma);
    if (mark === -1) return mantissa;
    // 1.234.567 may be a version, 100,200,300 a list: never a guess.
    if (mantissa.indexOf(mantissa.charAt(mark)) !== mark) return undefined;
    return mantissa.replace(',', '.');
  }
  const mark = Math.max(point, comma);
  const group = point > comma ? ',' : '.';
  const [head, ...groups] = mantissa.slice(0, mark).split(group);
  const fraction = mantissa.slice(mark + 1);
  if (head === undefined || !/^\d{1,3}$/.test(head) || !/^\d+$/.test(fraction)) return undefined;
  if (!groups.every((digits) => /^\d{3}$/.test(digits))) return undefined;
  return `${head}${groups.join('')}.${fraction}`;
}
