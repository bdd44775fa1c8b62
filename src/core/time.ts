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

/** What the clocks in `zone` show at `at`, as if it were UTC, in whole seconds. */
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

/** How far the clocks in `zone` are ahead of UTC at `at`. */
function offsetAt(at: number, zone: string): number {
  return wallClock(at as EpochMs, zone) - Math.floor(at / SECOND_MS) * SECOND_MS;
}

function dateOfUtc(utcMs: number): LocalDate {
  return new Date(utcMs).toISOString().slice(0, 10) as LocalDate;
}

interface Day {
  readonly date: LocalDate;
  readonly from: EpochMs;
  readonly until: EpochMs;
  /** Absent where the clocks are changed during the day. */
  readonly offset: number | undefined;
}

/** Formatting is slow (microseconds) and most instants fall into few days: the last ones asked for, per zone. */
const daysKept = 8;
const recentDays = new Map<string, Day[]>();

function dayOf(at: EpochMs, zone: string): Day {
  let days = recentDays.get(zone);
  if (!days) {
    days = [];
    recentDays.set(zone, days);
  }
  for (const day of days) {
    if (at >= day.from && at < day.until) return day;
  }
  const date = dateOfUtc(wallClock(at, zone));
  const [from, again] = midnightsOf(date, zone);
  const until = startOfDay(addDays(date, 1), zone);
  const offset = offsetAt(from, zone);
  const steady = until - from === DAY_MS && offsetAt(until - SECOND_MS, zone) === offset;
  const day = { date, from, until, offset: steady ? offset : undefined };
  // Where midnight comes twice, minutes of the day before may lie between: such a day is not one interval.
  if (again === undefined) {
    if (days.length === daysKept) days.shift();
    days.push(day);
  }
  return day;
}

/** The local date in `zone` at `at`. */
export function localDate(at: EpochMs, zone: string): LocalDate {
  if (zone === 'UTC') return dateOfUtc(at);
  return dayOf(at, zone).date;
}

/** The first instant of `date` in `zone`; where the clocks skip midnight, the first one that exists. */
export function startOfDay(date: LocalDate, zone: string): EpochMs {
  if (zone === 'UTC') return Date.parse(date) as EpochMs;
  return midnightsOf(date, zone)[0];
}

function midnightsOf(date: LocalDate, zone: string): [EpochMs, ...EpochMs[]] {
  return instantsOf(Date.parse(`${date}T00:00:00Z`), zone);
}

/**
 * When the clocks in `zone` show `wallMs` (a local date and time as if it were UTC): one instant, two where
 * the clocks go back over it; where they skip it, the instant of the change.
 */
function instantsOf(wallMs: number, zone: string): [EpochMs, ...EpochMs[]] {
  // Offsets run from -12 h to +14 h: the instant lies in this window, and at most one change does.
  let before = wallMs - 15 * HOUR_MS;
  let after = wallMs + 13 * HOUR_MS;
  const first = offsetAt(before, zone);
  const second = offsetAt(after, zone);
  if (first === second) return [(wallMs - first) as EpochMs];
  while (after - before > SECOND_MS) {
    const middle = Math.floor((before + after) / (2 * SECOND_MS)) * SECOND_MS;
    if (offsetAt(middle, zone) === first) before = middle;
    else after = middle;
  }
  const change = after;
  const found: EpochMs[] = [];
  if (wallMs - first < change) found.push((wallMs - first) as EpochMs);
  if (wallMs - second >= change) found.push((wallMs - second) as EpochMs);
  const [one, ...more] = found;
  return one === undefined ? [change as EpochMs] : [one, ...more];
}

/**
 * When the clocks in `zone` show `wallMs` (a local date and time as if it were UTC). An hour that comes twice
 * is read as the one nearer to `near`; a skipped one as the moment of the change.
 */
export function instantOfWallClock(wallMs: number, zone: string, near: EpochMs): EpochMs {
  const { offset, from, until } = dayOf(near, zone);
  if (offset !== undefined && wallMs - offset >= from && wallMs - offset < until) {
    return (wallMs - offset) as EpochMs;
  }
  const [one, two] = instantsOf(wallMs, zone);
  return two !== undefined && Math.abs(two - near) < Math.abs(one - near) ? two : one;
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
  const { offset } = dayOf(at, zone);
  const wall = offset === undefined ? wallClock(at, zone) : at + offset;
  return Math.floor((wall - Math.floor(wall / DAY_MS) * DAY_MS) / MINUTE_MS);
}

/** Whether `text` is a calendar date `YYYY-mm-dd`. */
export function isLocalDate(text: string): text is LocalDate {
  return (
    /^\d{4}-\d{2}-\d{2}$/.test(text) &&
    !Number.isNaN(Date.parse(text)) &&
    dateOfUtc(Date.parse(text)) === text
  );
}
