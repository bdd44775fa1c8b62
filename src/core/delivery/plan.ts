/**
 * What to do next while no call is on its way. The order is the order of urgency:
 *
 * 1. a probe, while everything is on hold
 * 2. the account's zone, where the configuration names none
 * 3. ownership: list what is ours, create or acquire what is missing
 * 4. looks: unknown outcomes that have rested, repairs, follow-ups, the audit, base lines of keys about to be sent
 * 5. repairs judged on a fresh look
 * 6. the flush: sums by `increment`, values by `update`
 *
 * Of the hour's budget a part is kept for the probe, which goes alone, and for reading back unknown outcomes: nobody
 * can tell what stands at Exist before that is done. All else waits, the repair that it leads to as well: what is to be
 * set right is known by then, and many repairs would use up what other unknown outcomes need.
 */
import { isWholeNumber } from '../attribute.ts';
import { HOUR_MS, MINUTE_MS, addDays, daysBetween, type EpochMs, type LocalDate } from '../time.ts';
import { add, subtract, wholePart, type Units } from '../units.ts';
import type { Draft } from './draft.ts';
import { after, budgetFreeAt, flushAllowedAt, reservedCalls } from './pace.ts';
import type { Request, WriteItem } from './request.ts';
import type { Attribute, Key, SumKey } from './state.ts';

/** Exist's bound on the objects of one call. */
const MOST_ITEMS = 35;
/** Exist's bound on the days of one `with-values` call. */
const MOST_DAYS = 31;
/** A repair trusts a look no longer than this. */
const FRESH_MS = MINUTE_MS;
/** Where an hour has one call only, the repair comes with the next hour's. */
const FRESH_OF_ONE_CALL_MS = 2 * HOUR_MS;

export interface Plan {
  readonly request: Request | undefined;
  /** Where there is nothing to do now: when there will be. */
  readonly wakeAt: EpochMs | undefined;
}

/** A call to make once the budget has room for it. */
interface Wanted {
  readonly request: Request;
  /** For how many calls there must be room: a look that a repair is to follow is one of two. */
  readonly calls: number;
  /** Of a flush: whether this is the last of its calls. */
  readonly isLast?: boolean;
}

export function plan(draft: Draft): Plan {
  const { account, settings, now } = draft;
  if (account.hold) {
    if (now < account.hold.until) return { request: undefined, wakeAt: account.hold.until };
    const freeAt = budgetFreeAt(account, settings, now, 1);
    return freeAt > now ? { request: undefined, wakeAt: freeAt } : begin({ kind: 'profile' });
  }
  if (account.pause && now < account.pause.until) return { request: undefined, wakeAt: account.pause.until };

  const wanted =
    one(planProfile(draft) ?? planOwnership(draft)) ??
    planLook(draft) ??
    one(planRepair(draft)) ??
    planFlush(draft);
  if (!wanted) return { request: undefined, wakeAt: nextDue(draft) };
  const freeAt = budgetFreeAt(account, settings, now, reservedCalls(settings) + wanted.calls);
  if (freeAt > now) return planReserved(draft, freeAt);
  if (wanted.isLast !== undefined) {
    if (!account.flushing) account.lastFlushAt = now;
    account.flushing = !wanted.isLast;
  }
  return begin(wanted.request);
}

function one(request: Request | undefined): Wanted | undefined {
  return request && { request, calls: 1 };
}

function begin(request: Request): Plan {
  return { request, wakeAt: undefined };
}

/** Nothing but unknown outcomes is read back until `freeAt`. */
function planReserved(draft: Draft, freeAt: EpochMs): Plan {
  const { account, settings, now } = draft;
  const unknown = [...draft.keys()].filter(isUnknown);
  const earliestAt = Math.min(...unknown.map((key) => lookDueAt(draft, key) ?? Infinity));
  const readAt = Math.max(budgetFreeAt(account, settings, now, 1), earliestAt);
  if (readAt > now) return { request: undefined, wakeAt: Math.min(readAt, freeAt) as EpochMs };
  const due = unknown.filter((key) => isLookDue(draft, key));
  return begin(read(draft, due));
}

function planProfile({ account, settings }: Draft): Request | undefined {
  const isAsked = settings.timezone === undefined && (account.timezone === null || account.zoneIsOld);
  return isAsked ? { kind: 'profile' } : undefined;
}

function planOwnership(draft: Draft): Request | undefined {
  const { now } = draft;
  const missing: Readonly<Attribute>[] = [];
  for (const attribute of draft.attributes()) {
    if (attribute.state === 'wanted') return { kind: 'owned', page: draft.account.ownedPage ?? 1 };
    if (attribute.state === 'missing') missing.push(attribute);
    if (attribute.state === 'held' && attribute.retryAt !== null && attribute.retryAt <= now) {
      return { kind: 'owned', page: draft.account.ownedPage ?? 1 };
    }
  }
  const acquire = missing.filter((attribute) => attribute.template !== null || attribute.existName !== null);
  if (acquire.length > 0) {
    return {
      kind: 'acquire',
      items: acquire.slice(0, MOST_ITEMS).map((attribute) => ({
        attribute: attribute.name,
        ...(attribute.template === null
          ? { by: 'name' as const, name: attribute.existName ?? attribute.name }
          : { by: 'template' as const, name: attribute.template }),
      })),
    };
  }
  if (missing.length === 0) return undefined;
  return {
    kind: 'create',
    items: missing
      .slice(0, MOST_ITEMS)
      .map(({ name, label, group, valueType }) => ({ attribute: name, label, group, valueType })),
  };
}

/** The keys that are to be read back now, as one call: those of the newest 31 days first. */
function planLook(draft: Draft): Wanted | undefined {
  const flushDue = flushDueAt(draft);
  const isFlushing = flushDue !== undefined && flushDue <= draft.now;
  const due = [...draft.keys()].filter(
    (key) => isLookDue(draft, key) || isStale(draft, key) || (isFlushing && isBaseless(draft, key)),
  );
  if (due.length === 0) return undefined;
  const isRepaired = due.some((key) => key.kind === 'sum' && key.repair && !key.held);
  return { request: read(draft, due), calls: isRepaired ? Math.min(2, draft.settings.callsPerHour) : 1 };
}

function isLookDue(draft: Draft, key: Readonly<Key>): boolean {
  const at = lookDueAt(draft, key);
  return at !== null && at <= draft.now;
}

/** When the key is to be looked at by itself; where it is held, only to show what stands there. */
function lookDueAt(draft: Draft, key: Readonly<Key>): EpochMs | null {
  const attribute = draft.readonlyAttribute(key.attribute);
  const at = isUnknown(key) ? after(key.flightSince ?? draft.now, draft.settings.settleMs) : key.lookAt;
  if (at === null || attribute?.state !== 'ready') return null;
  return Math.max(at, attribute.retryAt ?? 0) as EpochMs;
}

/** It is to be set right, and the last look is too old for that. */
function isStale(draft: Draft, key: Readonly<Key>): boolean {
  if (key.kind !== 'sum' || !key.repair || key.held || key.flight !== 'none' || key.lookAt !== null)
    return false;
  return isReady(draft, key) && !isFresh(draft, key);
}

/** It cannot be sent before what stands there is known. */
function isBaseless(draft: Draft, key: Readonly<Key>): boolean {
  return needsBase(draft, key) && isOpen(draft, key);
}

function isUnknown(key: Readonly<Key>): boolean {
  return key.flight === 'unknown' && !key.held;
}

/** One look at as many of them as it can take, unknown outcomes before all others. */
function read(draft: Draft, all: readonly Readonly<Key>[]): Request {
  const unknown = all.filter(isUnknown);
  const due = [...unknown, ...all.filter((key) => !isUnknown(key))];
  const dateMax = lastDay(unknown.length > 0 ? unknown : all, all);
  const before = addDays(dateMax, -MOST_DAYS);
  const names = new Set<string>();
  const items: { attribute: string; name: string; day: LocalDate }[] = [];
  let first = dateMax;
  for (const key of due) {
    const name = draft.readonlyAttribute(key.attribute)?.existName;
    if (name === undefined || name === null) continue;
    if (key.day > dateMax || key.day <= before) continue;
    if (!names.has(name) && names.size === MOST_ITEMS) continue;
    names.add(name);
    items.push({ attribute: key.attribute, name, day: key.day });
    if (key.day < first) first = key.day;
  }
  return { kind: 'read', items, days: daysBetween(first, dateMax) + 1, dateMax };
}

/** The last day of a look that reaches the newest of `first`, and of the others what lies near them. */
function lastDay(first: readonly Readonly<Key>[], all: readonly Readonly<Key>[]): LocalDate {
  const before = addDays(latest(first.map(({ day }) => day)), -MOST_DAYS);
  const reached = first.filter(({ day }) => day > before).map(({ day }) => day);
  const beyond = addDays(
    reached.reduce((a, b) => (a < b ? a : b)),
    MOST_DAYS,
  );
  return latest(all.map(({ day }) => day).filter((day) => day < beyond));
}

function latest(days: readonly LocalDate[]): LocalDate {
  return days.reduce((a, b) => (a > b ? a : b));
}

function planRepair(draft: Draft): Request | undefined {
  const items: WriteItem[] = [];
  for (const key of draft.keys()) {
    if (key.kind !== 'sum' || !key.repair || key.held || key.flight !== 'none' || key.base === null) continue;
    const name = readyName(draft, key);
    if (name === undefined || !isFresh(draft, key)) continue;
    items.push({ attribute: key.attribute, name, day: key.day, value: add(key.base, key.ours) });
    if (items.length === draft.settings.batch) break;
  }
  return items.length === 0 ? undefined : { kind: 'update', items };
}

function isFresh({ settings, now }: Draft, { seenAt }: Readonly<SumKey>): boolean {
  const freshMs = settings.callsPerHour === 1 ? FRESH_OF_ONE_CALL_MS : FRESH_MS;
  return seenAt !== null && seenAt <= now && now - seenAt <= freshMs;
}

function planFlush(draft: Draft): Wanted | undefined {
  const { account, settings, now } = draft;
  const dueAt = flushDueAt(draft);
  if (dueAt === undefined || dueAt > now) {
    account.flushing = false;
    return undefined;
  }
  const open = [...draft.keys()]
    .filter((key) => isOpen(draft, key) && after(key.openSince ?? now, settings.lingerMs) <= now)
    .sort((a, b) => (a.day < b.day ? -1 : a.day > b.day ? 1 : 0));
  const kind = open.some((key) => key.kind === 'sum') ? 'increment' : 'update';
  const items: WriteItem[] = [];
  const names = new Set<string>();
  for (const key of open) {
    const name = readyName(draft, key);
    if (name === undefined || (key.kind === 'sum') !== (kind === 'increment')) continue;
    // Exist's sample answer to `increment` does not echo the date: two days of one name could not be told apart.
    if (kind === 'increment' && !account.datesEchoed && names.has(name)) continue;
    names.add(name);
    items.push({ attribute: key.attribute, name, day: key.day, value: sendable(draft, key) });
    if (items.length === settings.batch) break;
  }
  return { request: { kind, items }, calls: 1, isLast: items.length === open.length };
}

/** When the next flush is due, `undefined` where nothing is open. */
export function flushDueAt(draft: Draft): EpochMs | undefined {
  const { account, settings } = draft;
  let oldest: EpochMs | undefined;
  for (const key of draft.keys()) {
    if (!isOpen(draft, key) || key.openSince === null) continue;
    if (oldest === undefined || key.openSince < oldest) oldest = key.openSince;
  }
  if (oldest === undefined) return undefined;
  const lingered = after(oldest, settings.lingerMs);
  return account.flushing ? lingered : (Math.max(lingered, flushAllowedAt(account, settings)) as EpochMs);
}

/** Something of it can be sent, and nothing bars it. */
function isOpen(draft: Draft, key: Readonly<Key>): boolean {
  if (key.openSince === null || key.held || key.flight !== 'none' || (key.kind === 'sum' && key.repair))
    return false;
  return isReady(draft, key) && hasSendable(draft, key);
}

function needsBase(draft: Draft, key: Readonly<Key>): boolean {
  if (key.kind === 'sum') return key.base === null;
  return !key.based && draft.readonlyAttribute(key.attribute)?.mode === 'shared';
}

/** Whether a flush would carry anything for `key`. */
export function hasSendable(draft: Draft, key: Readonly<Key>): boolean {
  return key.kind === 'sum' ? sendable(draft, key) !== 0 : key.wanted !== key.delivered;
}

/** What a flush would carry: for sums, the whole units not booked yet of a type that takes no fraction. */
function sendable(draft: Draft, key: Readonly<Key>): Units | string {
  if (key.kind === 'value') return key.wanted;
  return unsent(key, draft.readonlyAttribute(key.attribute));
}

/** How much of a sum waits to be sent: for a type that takes no fraction, whole units only. */
export function unsent(key: Readonly<SumKey>, attribute: Readonly<Attribute> | undefined): Units {
  const kept = subtract(key.total, key.dropped);
  const whole = attribute !== undefined && isWholeNumber(attribute.valueType) ? wholePart(kept) : kept;
  return subtract(subtract(whole, key.ours), key.flightAmount);
}

function isReady(draft: Draft, key: Readonly<Key>): boolean {
  return readyName(draft, key) !== undefined;
}

function readyName(draft: Draft, key: Readonly<Key>): string | undefined {
  const attribute = draft.readonlyAttribute(key.attribute);
  if (attribute?.state !== 'ready' || (attribute.retryAt ?? 0) > draft.now) return undefined;
  return attribute.existName ?? undefined;
}

/** The earliest instant at which anything becomes due. */
function nextDue(draft: Draft): EpochMs | undefined {
  const times: (EpochMs | null | undefined)[] = [flushDueAt(draft), draft.account.nextAuditAt];
  for (const { retryAt } of draft.attributes())
    if (retryAt !== null && retryAt > draft.now) times.push(retryAt);
  for (const key of draft.keys()) times.push(lookDueAt(draft, key));
  const known = times.filter((time): time is EpochMs => time !== null && time !== undefined);
  return known.length === 0 ? undefined : (Math.max(draft.now, Math.min(...known)) as EpochMs);
}
