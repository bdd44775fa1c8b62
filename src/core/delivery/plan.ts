/**
 * What to do next while no call is on its way. The order is the order of urgency:
 *
 * 1. a probe, while everything is on hold
 * 2. the account's zone, where the configuration names none
 * 3. ownership: list what is ours, create or acquire what is missing
 * 4. looks: unknown outcomes that have rested, repairs, follow-ups, the audit, base lines of keys about to be sent
 * 5. repairs judged on a fresh look
 * 6. the flush: sums by `increment`, values by `update`
 */
import { isWholeNumber } from '../attribute.ts';
import { MINUTE_MS, addDays, daysBetween, type EpochMs, type LocalDate } from '../time.ts';
import { add, subtract, wholePart, type Units } from '../units.ts';
import type { Draft } from './draft.ts';
import { after, budgetFreeAt, callsLeft, flushAllowedAt, reservedCalls } from './pace.ts';
import type { Request, WriteItem } from './request.ts';
import type { Attribute, Key, SumKey } from './state.ts';

/** Exist's bound on the objects of one call. */
const MOST_ITEMS = 35;
/** Exist's bound on the days of one `with-values` call. */
const MOST_DAYS = 31;
/** A repair trusts a look no longer than this. */
const FRESH_MS = MINUTE_MS;

export interface Plan {
  readonly request: Request | undefined;
  /** Where there is nothing to do now: when there will be. */
  readonly wakeAt: EpochMs | undefined;
}

export function plan(draft: Draft): Plan {
  const { account, settings, now } = draft;
  if (account.hold) {
    if (now < account.hold.until) return { request: undefined, wakeAt: account.hold.until };
    return withinBudget(draft, 1, { kind: 'profile' });
  }
  if (account.pause && now < account.pause.until) return { request: undefined, wakeAt: account.pause.until };

  const needed = planProfile(draft) ?? planOwnership(draft) ?? planLook(draft);
  if (needed) return withinBudget(draft, 0, needed);
  const write = planRepair(draft) ?? planFlush(draft);
  if (write) return withinBudget(draft, write.kind === 'read' ? 0 : reservedCalls(settings), write);
  return { request: undefined, wakeAt: nextDue(draft) };
}

function withinBudget(draft: Draft, reserve: number, request: Request): Plan {
  if (callsLeft(draft.account, draft.settings, draft.now) > reserve) return { request, wakeAt: undefined };
  return { request: undefined, wakeAt: budgetFreeAt(draft.account, draft.now) };
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
function planLook(draft: Draft): Request | undefined {
  const { settings, now } = draft;
  const due: Readonly<Key>[] = [];
  const flushDue = flushDueAt(draft);
  for (const key of draft.keys()) {
    if (key.held || !isReady(draft, key)) continue;
    const unknown = key.flight === 'unknown' && now >= after(key.flightSince ?? now, settings.settleMs);
    const looked = key.flight === 'none' && key.lookAt !== null && key.lookAt <= now;
    const rested = key.lookAt === null || key.lookAt <= now;
    const stale = key.kind === 'sum' && key.repair && key.flight === 'none' && rested && !isFresh(key, now);
    const baseless = needsBase(draft, key) && flushDue !== undefined && flushDue <= now && isOpen(draft, key);
    if (unknown || looked || stale || baseless) due.push(key);
  }
  return due.length === 0 ? undefined : read(draft, due);
}

function read(draft: Draft, due: readonly Readonly<Key>[]): Request {
  const dateMax = due.reduce<LocalDate>(
    (latest, key) => (key.day > latest ? key.day : latest),
    '' as LocalDate,
  );
  const names = new Set<string>();
  const items: { attribute: string; name: string; day: LocalDate }[] = [];
  let first = dateMax;
  for (const key of due) {
    const name = draft.readonlyAttribute(key.attribute)?.existName;
    if (name === undefined || name === null || key.day <= addDays(dateMax, -MOST_DAYS)) continue;
    if (!names.has(name) && names.size === MOST_ITEMS) continue;
    names.add(name);
    items.push({ attribute: key.attribute, name, day: key.day });
    if (key.day < first) first = key.day;
  }
  return { kind: 'read', items, days: daysBetween(first, dateMax) + 1, dateMax };
}

function planRepair(draft: Draft): Request | undefined {
  const items: WriteItem[] = [];
  for (const key of draft.keys()) {
    if (key.kind !== 'sum' || !key.repair || key.held || key.flight !== 'none' || key.base === null) continue;
    const name = readyName(draft, key);
    if (name === undefined || !isFresh(key, draft.now)) continue;
    items.push({ attribute: key.attribute, name, day: key.day, value: add(key.base, key.ours) });
    if (items.length === draft.settings.batch) break;
  }
  return items.length === 0 ? undefined : { kind: 'update', items };
}

function isFresh(key: Readonly<SumKey>, now: EpochMs): boolean {
  return key.seenAt !== null && key.seenAt <= now && now - key.seenAt <= FRESH_MS;
}

function planFlush(draft: Draft): Request | undefined {
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
  if (!account.flushing) account.lastFlushAt = now;
  account.flushing = items.length < open.length;
  return { kind, items };
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
  return attribute?.state === 'ready' ? (attribute.existName ?? undefined) : undefined;
}

/** The earliest instant at which anything becomes due. */
function nextDue(draft: Draft): EpochMs | undefined {
  const { account, settings } = draft;
  const times: (EpochMs | null | undefined)[] = [flushDueAt(draft), account.nextAuditAt];
  for (const attribute of draft.attributes()) if (attribute.state === 'held') times.push(attribute.retryAt);
  for (const key of draft.keys()) {
    if (key.held || !isReady(draft, key)) continue;
    if (key.flight === 'unknown') times.push(after(key.flightSince ?? draft.now, settings.settleMs));
    else times.push(key.lookAt);
  }
  const known = times.filter((time): time is EpochMs => time !== null && time !== undefined);
  return known.length === 0 ? undefined : (Math.max(draft.now, Math.min(...known)) as EpochMs);
}
