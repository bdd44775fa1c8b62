/**
 * How often Exist is called: the rolling hour's budget, back-off, follow-up looks, and when a flush is due.
 */
import {
  DAY_MS,
  HOUR_MS,
  MINUTE_MS,
  SECOND_MS,
  addDays,
  localDate,
  startOfDay,
  type EpochMs,
} from '../time.ts';
import type { Account, Settings } from './state.ts';

const MINUTES_AN_HOUR = 60;

/**
 * After an unknown outcome or a repair: a late application shows within minutes, not the next morning. In times of
 * `settle`, which by default makes 5 minutes, half an hour and two hours.
 */
const FOLLOW_UP_SETTLES = [10 / 3, 20, 80];

export const FOLLOW_UPS = FOLLOW_UP_SETTLES.length;

/** When the next follow-up look is due, `null` after the last: the nightly audit sees the rest. */
export function followUpAt(now: EpochMs, looksLeft: number, settleMs: number): EpochMs | null {
  const settles = FOLLOW_UP_SETTLES[FOLLOW_UPS - looksLeft];
  return settles === undefined ? null : after(now, Math.round(settles * settleMs));
}

export function after(now: EpochMs, delayMs: number): EpochMs {
  return (now + delayMs) as EpochMs;
}

/**
 * Full jitter over an exponentially growing bound, never below a tenth of it.
 * @param failures calls in a row that failed, at least 1
 * @param random in [0, 1)
 */
export function backOffMs(failures: number, random: number, firstMs: number, mostMs: number): number {
  const boundMs = Math.min(mostMs, firstMs * 2 ** Math.min(failures - 1, 30));
  return Math.round(boundMs * (0.1 + 0.9 * random));
}

export const NETWORK_BACK_OFF = { firstMs: 5 * SECOND_MS, mostMs: 15 * MINUTE_MS };
/** Exist documents no Retry-After: without one, assume that part of its hour's window must pass. */
export const RATE_LIMIT_BACK_OFF = { firstMs: 2 * MINUTE_MS, mostMs: HOUR_MS };
export const HOLD_PROBE = { firstMs: 10 * MINUTE_MS, mostMs: HOUR_MS };

/** Calls left in the hour that ends at `now`. */
export function callsLeft(account: Account, settings: Settings, now: EpochMs): number {
  return Math.max(0, settings.callsPerHour - spentWithinHour(account, now));
}

/**
 * The part of the budget that all else leaves alone, so that an unknown outcome can always be read back. Two calls are
 * never in it: a repair takes a look and an `update` within a minute, and must stay possible.
 */
export function reservedCalls({ callsPerHour }: Settings): number {
  return Math.max(0, Math.min(callsPerHour - 2, Math.max(1, Math.floor(callsPerHour / 10))));
}

/** When anything but reading back an unknown outcome may be called again; `now` where it may. */
export function nextCallAt(account: Account, settings: Settings, now: EpochMs): EpochMs {
  return budgetFreeAt(account, settings, now, reservedCalls(settings) + 1);
}

export function spend(account: Account, now: EpochMs): void {
  const minute = Math.floor(now / MINUTE_MS);
  const recent = account.spent.filter((entry) => withinHour(entry.minute, minute));
  const current = recent.find((entry) => entry.minute === minute);
  account.spent = current
    ? recent.map((entry) => (entry === current ? { minute, calls: entry.calls + 1 } : entry))
    : [...recent, { minute, calls: 1 }];
}

/**
 * When enough of the oldest calls have left the hour for `calls` to be left; `now` where so many are.
 * @param calls no more than the hour has in all
 */
export function budgetFreeAt(account: Account, settings: Settings, now: EpochMs, calls: number): EpochMs {
  const thisMinute = Math.floor(now / MINUTE_MS);
  const recent = account.spent.filter(({ minute }) => withinHour(minute, thisMinute));
  let left = settings.callsPerHour - spentWithinHour(account, now);
  let freeAt = now;
  for (const { minute, calls: freed } of recent.sort((a, b) => a.minute - b.minute)) {
    if (left >= calls) break;
    left += freed;
    freeAt = ((minute + MINUTES_AN_HOUR + 1) * MINUTE_MS) as EpochMs;
  }
  return freeAt;
}

function spentWithinHour(account: Account, now: EpochMs): number {
  const minute = Math.floor(now / MINUTE_MS);
  return account.spent.reduce(
    (sum, entry) => (withinHour(entry.minute, minute) ? sum + entry.calls : sum),
    0,
  );
}

/** A clock that was set back leaves entries in the future: they no longer count. */
function withinHour(minute: number, now: number): boolean {
  return minute <= now && now - minute <= MINUTES_AN_HOUR;
}

/** The calls made, on a clock that is to be set by so much. */
export function spentMoved({ spent }: Account, byMs: number): Account['spent'] {
  return spent.map(({ minute, calls }) => ({ minute: minute + Math.round(byMs / MINUTE_MS), calls }));
}

/** The earliest instant the next flush may begin, whatever has come in. */
export function flushAllowedAt(account: Account, settings: Settings): EpochMs {
  return account.lastFlushAt === null ? (0 as EpochMs) : after(account.lastFlushAt, settings.flushEveryMs);
}

/** The next nightly audit: between 03:00 and 05:00 local, spread so that all bridges do not call at once. */
export function nextAuditAt(now: EpochMs, zone: string, random: number): EpochMs {
  const today = localDate(now, zone);
  const atMs = (date: typeof today): number =>
    startOfDay(date, zone) + 3 * HOUR_MS + Math.floor(random * 2 * HOUR_MS);
  const todayMs = atMs(today);
  const nextMs = todayMs > now ? todayMs : atMs(addDays(today, 1));
  return Math.min(nextMs, now + 2 * DAY_MS) as EpochMs;
}
