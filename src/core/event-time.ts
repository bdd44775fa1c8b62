/**
 * When an event happened, by the words of the device that reports it (`at`, `age`).
 */
import { parseNumber } from './number.ts';
import type { Extraction, Scalar } from './reading.ts';
import { DAY_MS, instantOfWallClock, MINUTE_MS, SECOND_MS, type EpochMs } from './time.ts';

/** Clocks at home differ; further ahead than this, the device's clock is wrong. */
const MOST_AHEAD_MS = 5 * MINUTE_MS;

/** Devices without a clock write 1970 or the date of their firmware. */
const MOST_BEHIND_MS = 31 * DAY_MS;

/** Epoch numbers below are seconds (until the year 5138), others milliseconds (from 1973 on). */
const FIRST_MS = 1e11;

/**
 * When the reading happened: the device's time where it tells one, else on receipt. A device's time that is
 * slightly in the future becomes the time of receipt; one that cannot be right refuses the reading.
 */
export function dateReading(
  extraction: Pick<Extract<Extraction, { kind: 'values' }>, 'deviceTime' | 'ageS'>,
  receivedAt: EpochMs,
  zone: string,
): { readonly at: EpochMs } | { readonly refused: string } {
  const { deviceTime, ageS } = extraction;
  if (deviceTime !== undefined) {
    const at = readInstant(deviceTime, zone, receivedAt);
    if (at === undefined) return { refused: `\`at\`: ${JSON.stringify(deviceTime)} is not a time` };
    return plausible(at, receivedAt, `\`at\`: ${JSON.stringify(deviceTime)}`);
  }
  if (ageS === undefined) return { at: receivedAt };
  if (!Number.isFinite(ageS) || ageS < 0) return { refused: `\`age\`: ${ageS} is not a number of seconds` };
  return plausible((receivedAt - Math.round(ageS * SECOND_MS)) as EpochMs, receivedAt, `\`age\`: ${ageS} s`);
}

function plausible(
  at: EpochMs,
  receivedAt: EpochMs,
  told: string,
): { readonly at: EpochMs } | { readonly refused: string } {
  if (at - receivedAt > MOST_AHEAD_MS) return { refused: `${told} is more than 5 minutes in the future` };
  if (receivedAt - at > MOST_BEHIND_MS) return { refused: `${told} is more than 31 days ago` };
  return { at: at > receivedAt ? receivedAt : at };
}

const dateAndTime =
  /^(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?\s?(?:([Zz])|([+-])(\d{2}):?(\d{2})?)?$/;

/**
 * The instant that `value` names: epoch seconds or milliseconds, or ISO 8601 (a space may stand for the T).
 * Without a zone it is local time in `zone`; an hour that comes twice is the one nearer to `near`.
 */
export function readInstant(value: Scalar, zone: string, near: EpochMs): EpochMs | undefined {
  if (typeof value === 'boolean') return undefined;
  if (typeof value === 'number' || /^\d{9,13}(?:\.\d{1,9})?$/.test(value)) {
    const epoch = parseNumber(value);
    if (epoch === undefined || epoch < 0 || epoch > 1e14) return undefined;
    return Math.floor(epoch < FIRST_MS ? epoch * SECOND_MS : epoch) as EpochMs;
  }
  if (value.length > 64) return undefined;
  const parts = dateAndTime.exec(value.trim());
  if (!parts) return undefined;
  const [
    ,
    year,
    month,
    day,
    hour,
    minute,
    second = '0',
    fraction = '',
    utc,
    sign,
    offsetHours,
    offsetMinutes = '0',
  ] = parts;
  const [h, m, s] = [Number(hour), Number(minute), Math.min(Number(second), 60)];
  const midnight = Date.UTC(Number(year), Number(month) - 1, Number(day));
  const isDate = new Date(midnight).toISOString().startsWith(`${year}-${month}-${day}`);
  if (!isDate || h > 23 || m > 59 || Number(second) > 60) return undefined;
  const wall = midnight + ((h * 60 + m) * 60 + s) * SECOND_MS + Number(fraction.padEnd(3, '0').slice(0, 3));
  if (utc !== undefined) return wall as EpochMs;
  if (sign === undefined) return instantOfWallClock(wall, zone, near);
  const offset = Number(offsetHours) * 60 + Number(offsetMinutes);
  if (Number(offsetHours) > 23 || Number(offsetMinutes) > 59) return undefined;
  return (wall - (sign === '-' ? -offset : offset) * MINUTE_MS) as EpochMs;
}
