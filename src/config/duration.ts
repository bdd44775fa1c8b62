/**
 * Durations and sizes as the configuration writes them: a number with its unit.
 */
import { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from '../core/time.ts';

const durationText = /^(\d{1,15}(?:\.\d{1,6})?) ?(ms|s|m|h|d)$/;

const msPerUnit: Readonly<Record<string, number>> = {
  ms: 1,
  s: SECOND_MS,
  m: MINUTE_MS,
  h: HOUR_MS,
  d: DAY_MS,
};

/** Milliseconds of `500ms`, `5s`, `10m`, `2h`, `1d`; `undefined` for anything else. */
export function parseDuration(text: string): number | undefined {
  return product(durationText.exec(text.trim()), msPerUnit);
}

const sizeText = /^(\d{1,15}(?:\.\d{1,6})?) ?(B|kB|KiB|MB|MiB)$/;

const bytesPerUnit: Readonly<Record<string, number>> = {
  B: 1,
  kB: 1_000,
  KiB: 1_024,
  MB: 1_000_000,
  MiB: 1_048_576,
};

/** Bytes of `512B`, `64kB`, `64KiB`, `1MB`, `1MiB`; `undefined` for anything else. */
export function parseSize(text: string): number | undefined {
  return product(sizeText.exec(text.trim()), bytesPerUnit);
}

function product(
  matched: RegExpExecArray | null,
  units: Readonly<Record<string, number>>,
): number | undefined {
  const [, count, unit] = matched ?? [];
  const factor = unit === undefined ? undefined : units[unit];
  if (count === undefined || factor === undefined) return undefined;
  const value = Math.round(Number(count) * factor);
  return Number.isSafeInteger(value) ? value : undefined;
}
