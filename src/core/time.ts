/**
 * Instants, durations and local dates. Nothing here reads a clock: the time is always a value passed in.
 */

/** Milliseconds since 1970-01-01T00:00:00Z. */
export type EpochMs = number & { readonly __brand: 'EpochMs' };

/** `YYYY-mm-dd` in the configured zone: the day Exist keeps a value for. */
export type LocalDate = string & { readonly __brand: 'LocalDate' };

export const SECOND_MS = 1_000;
export const MINUTE_MS = 60_000;
export const HOUR_MS = 3_600_000;
export const DAY_MS = 86_400_000;

const formatters = new Map<string, Intl.DateTimeFormat>();

function formatter(zone: string): Intl.DateTimeFormat {
  let found = formatters.get(zone);
  if (!found) {
    found = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      calendar: 'iso8601',
      numberingSystem: 'latn',
      hourCycle: 'h23',
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
      second: '2-digit',
    });
    formatters.set(zone, found);
  }
  return found;
}

/** Whether `zone` is an IANA name this machine knows. */
export function isTimeZone(zone: string): boolean {
  try {
    formatter(zone);
    return true;
  } catch {
    return false;
  }
}

/** What the clocks in `zone` show at `at`, as if it were UTC. */
function wallClock(at: EpochMs, zone: string): number {
  let year = 0;
  let month = 0;
  let day = 0;
  let hour = 0;
  let minute = 0;
  let second = 0;
  for (const { type, value } of formatter(zone).formatToParts(at)) {
    if (type === 'year') year = Number(value);
    else if (type === 'month') month = Number(value);
    else if (type === 'day') day = Number(value);
    else if (type === 'hour') hour = Number(value);
    else if (type === 'minute') minute = Number(value);
    else if (type === 'second') second = Number(value);
  }
  return Date.UTC(year, month - 1, day, hour, minute, second);
}

function dateOfUtc(utcMs: number): LocalDate {
  return new Date(utcMs).toISOString().slice(0, 10) as LocalDate;
}

/** The days last asked for, per zone: most instants fall into the day of the one before. */
const lastDay = new Map<string, { from: EpochMs; until: EpochMs; date: LocalDate }>();

/** The local date in `zone` at `at`. */
export function localDate(at: EpochMs, zone: string): LocalDate {
  const cached = lastDay.get(zone);
  if (cached && at >= cached.from && at < cached.until) return cached.date;
  const date = dateOfUtc(wallClock(at, zone));
  lastDay.set(zone, { from: startOfDay(date, zone), until: startOfDay(addDays(date, 1), zone), date });
  return date;
}

/** The first instant of `date` in `zone`; where the clocks skip midnight, the first one that exists. */
export function startOfDay(date: LocalDate, zone: string): EpochMs {
  const midnight = Date.parse(`${date}T00:00:00Z`);
  // Offsets run from -12 h to +14 h: the day begins in this window; bisect for the first instant of it.
  let before = midnight - 15 * HOUR_MS;
  let within = midnight + 13 * HOUR_MS;
  while (within - before > 1_000) {
    const middle = Math.floor((before + within) / 2_000) * 1_000;
    if (dateOfUtc(wallClock(middle as EpochMs, zone)) < date) before = middle;
    else within = middle;
  }
  return within as EpochMs;
}

/** `date` moved by whole days. */
export function addDays(date: LocalDate, days: number): LocalDate {
  return dateOfUtc(Date.parse(`${date}T00:00:00Z`) + days * DAY_MS);
}

/** Whole days from `from` to `to`: positive where `to` is later. */
export function daysBetween(from: LocalDate, to: LocalDate): number {
  return Math.round((Date.parse(to) - Date.parse(from)) / DAY_MS);
}

/** What the clocks show at `at`, in whole minutes since local midnight: 0 to 1439. */
export function minutesFromMidnight(at: EpochMs, zone: string): number {
  const wall = wallClock(at, zone);
  return Math.floor((wall - Math.floor(wall / DAY_MS) * DAY_MS) / MINUTE_MS);
}

/** Whether `text` is a calendar date `YYYY-mm-dd`. */
export function isLocalDate(text: string): text is LocalDate {
  return /^\d{4}-\d{2}-\d{2}$/.test(text) && !Number.isNaN(Date.parse(text)) && dateOfUtc(Date.parse(text)) === text;
}
