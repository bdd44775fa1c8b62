/**
 * Gathers what the parts know into one status: what the user sees on the terminal, the page and in metrics.
 */
import { fromUnits, type Units } from './core/units.ts';
import { callsLeft, flushAllowedAt, nextCallAt } from './core/delivery/pace.ts';
import { unsent } from './core/delivery/plan.ts';
import { amountBehind, heldAmount, waitsForAttribute } from './core/delivery/settlement.ts';
import type { Attribute, DeliveryState, Key, Settings } from './core/delivery/state.ts';
import type { Counters } from './core/journal.ts';
import { wordsOf } from './core/silence.ts';
import type { Status, WaitingDay } from './core/status.ts';
import { HOUR_MS, localDate, type EpochMs, type LocalDate } from './core/time.ts';

export interface OverviewSources {
  readonly version: string;
  readonly uptimeMs: number;
  readonly now: EpochMs;
  /** Days are counted in it; `undefined` while time or zone is unknown. */
  readonly zone: string | undefined;
  /** Why instants cannot be trusted, while they cannot. */
  readonly timeProblem: string | undefined;
  readonly existUrl: string;
  readonly delivery: DeliveryState;
  /** Keys of today that are closed or open, for all that has one. */
  readonly keysOfDay: (day: LocalDate) => readonly Key[];
  /** The delivery's. */
  readonly settings: Settings;
  readonly counters: Readonly<Counters>;
  readonly undated: number;
  readonly refused: Status['refused_readings'];
  readonly broker: Status['broker'];
  readonly connections: Status['connections'];
  readonly silent: Status['silent'];
  /** Trouble of other parts, in sentences. */
  readonly troubles: readonly string[];
}

export function overview(sources: OverviewSources): Status {
  const { delivery, now, zone } = sources;
  const { account } = delivery;
  const problems = problemsOf(sources);
  return {
    version: sources.version,
    uptime_s: Math.floor(sources.uptimeMs / 1_000),
    health: problems.length === 0 ? 'ok' : 'degraded',
    problems,
    exist: {
      url: sources.existUrl,
      ...stateOf(sources),
      last_success: iso(account.lastSuccessAt),
      last_flush: iso(account.lastFlushAt),
      next_flush: iso(nextFlush(sources)),
      calls_left: callsLeft(account, sources.settings, now),
    },
    broker: sources.broker,
    connections: sources.connections,
    silent: sources.silent,
    queue: queueOf(delivery, sources.undated),
    readings: { ...sources.counters },
    refused_readings: sources.refused,
    held: heldOf(delivery),
    held_attributes: heldAttributesOf(delivery),
    today: zone === undefined ? [] : todayOf(sources, localDate(now, zone)),
  };
}

function stateOf(sources: OverviewSources): Pick<Status['exist'], 'state' | 'detail'> {
  const { hold, pause, lastSuccessAt } = sources.delivery.account;
  if (hold) return { state: 'held', detail: hold.message };
  if (pause && pause.until > sources.now) return { state: 'paused', detail: pause.message };
  if (isUsedUp(sources)) return { state: 'paused', detail: usedUpWords(sources) };
  return { state: lastSuccessAt === null ? 'starting' : 'ok', detail: pause?.message ?? null };
}

/** The hour has no call left but those kept for reading back. */
function isUsedUp({ delivery, settings, now }: OverviewSources): boolean {
  return nextCallAt(delivery.account, settings, now) > now;
}

function usedUpWords({ delivery: { account }, settings, now }: OverviewSources): string {
  const kept = callsLeft(account, settings, now);
  const but = kept === 0 ? '' : `, but for ${kept} kept to read back what is unknown`;
  const nextAt = iso(nextCallAt(account, settings, now));
  return `the hour's ${settings.callsPerHour} calls are used up${but}; the next at ${nextAt}`;
}

/** A budget that makes counts wait for longer than its hour is too small for what comes in. */
function budgetProblem(sources: OverviewSources): string | undefined {
  const { account } = sources.delivery;
  const waitsSince = oldestPending(sources);
  if (account.hold || account.pause || waitsSince === undefined || sources.now - waitsSince <= HOUR_MS)
    return undefined;
  if (!isUsedUp(sources)) return undefined;
  const advice = 'raise exist.calls_per_hour if Exist allows more, or make flush.every longer';
  return `counts have waited since ${iso(waitsSince)}: ${usedUpWords(sources)}; ${advice}`;
}

function problemsOf(sources: OverviewSources): string[] {
  const { delivery, timeProblem, undated, troubles, zone, silent } = sources;
  const problems = [...troubles];
  const { account, attributes, keys } = delivery;
  if (account.hold?.reason === 'unauthorised') {
    problems.push(`Exist does not accept the token (${account.hold.message}): counts are kept until it does`);
  } else if (account.hold) {
    problems.push(`Exist refuses the bridge (${account.hold.message}): counts are kept until it does not`);
  } else if (account.pause && account.failures >= 3) {
    problems.push(`Exist cannot be reached (${account.pause.message}): counts are kept until it can`);
  }
  const budget = budgetProblem(sources);
  if (budget !== undefined) problems.push(budget);
  if (timeProblem !== undefined)
    problems.push(`the time is not known: ${timeProblem}; ${undated} readings wait for it`);
  else if (zone === undefined)
    problems.push(`the time zone is not known yet; ${undated} readings wait for it`);
  for (const { name, state, reason } of attributes.values()) {
    if (state === 'held') problems.push(`attribute ${name} is held: ${reason ?? 'no reason given'}`);
  }
  for (const one of silent) problems.push(`nothing was heard of ${wordsOf(one)} since ${one.last_heard}`);
  const held = [...keys.values()].filter((key) => key.held).length;
  if (held > 0) problems.push(`${held} ${held === 1 ? 'item is' : 'items are'} held for you to decide`);
  return problems;
}

/** Something of it waits to be sent; a fraction that waits for its whole unit does not. */
function isPending({ attributes }: DeliveryState, key: Key): boolean {
  if (key.held || key.flight !== 'none') return false;
  if (key.kind === 'value') return key.wanted !== key.delivered;
  return key.fixed !== null || key.repair || unsent(key, attributes.get(key.attribute)) !== 0;
}

function queueOf(delivery: DeliveryState, undated: number): Status['queue'] {
  const all = [...delivery.keys.values()];
  return {
    pending_items: undated + all.filter((key) => isPending(delivery, key)).length,
    in_flight_items: all.filter((key) => key.flight === 'sending').length,
    unknown_items: all.filter((key) => key.flight === 'unknown' && !key.held).length,
    conflict_items: all.filter((key) => key.held?.state === 'conflict').length,
    refused_items: all.filter((key) => key.held?.state === 'refused').length,
  };
}

function heldOf({ keys, attributes }: DeliveryState): Status['held'] {
  return [...keys.values()].flatMap((key) => {
    if (!key.held) return [];
    const { state, reason, since } = key.held;
    const { attribute, day } = key;
    const of = attributes.get(attribute);
    const amounts = {
      amount: amountOf(key, of),
      behind: key.kind === 'sum' ? number(amountBehind(key, of)) : 0,
    };
    return [
      { attribute, day, state, reason, since: new Date(since).toISOString(), ...amounts, ...seenOf(key) },
    ];
  });
}

function heldAttributesOf({ keys, attributes }: DeliveryState): Status['held_attributes'] {
  const held = [...attributes.values()].filter(({ state }) => state === 'held');
  return held.map((attribute) => ({
    attribute: attribute.name,
    reason: attribute.reason ?? 'no reason given',
    days: [...keys.values()]
      .filter((key) => key.attribute === attribute.name && waitsForAttribute(key, attribute))
      .map((key) => waitingDay(key, attribute)),
  }));
}

function waitingDay(key: Key, attribute: Attribute): WaitingDay {
  return {
    attribute: key.attribute,
    day: key.day,
    state: key.flight === 'unknown' ? 'unknown' : 'open',
    amount: amountOf(key, attribute),
    ...seenOf(key),
    set_to: key.kind === 'sum' && key.fixed?.by === 'user' ? number(key.fixed.total) : null,
  };
}

/** What of it is not delivered, or not surely. */
function amountOf(key: Key, attribute: Attribute | undefined): number | string {
  return plain(key.kind === 'sum' ? heldAmount(key, attribute) : key.wanted);
}

function seenOf({ seen, seenAt }: Key): Pick<WaitingDay, 'seen' | 'seen_at'> {
  return { seen: seen === null ? null : plain(seen), seen_at: iso(seenAt) };
}

/** Not before then, and soon after, if nothing else needs the budget. */
function nextFlush(sources: OverviewSources): EpochMs | null {
  const { delivery, settings, now } = sources;
  const { account } = delivery;
  const waitsSince = oldestPending(sources);
  if (waitsSince === undefined) return null;
  return Math.max(
    waitsSince + settings.lingerMs,
    account.flushing ? now : flushAllowedAt(account, settings),
    account.pause?.until ?? 0,
    account.hold?.until ?? 0,
    nextCallAt(account, settings, now),
  ) as EpochMs;
}

/** Since when the oldest of what is pending has waited for a call only; `undefined` where nothing does. */
function oldestPending({ delivery, now }: OverviewSources): EpochMs | undefined {
  const pending = [...delivery.keys.values()].filter(
    (key) => isPending(delivery, key) && delivery.attributes.get(key.attribute)?.state !== 'held',
  );
  if (pending.length === 0) return undefined;
  return Math.min(...pending.map(({ openSince }) => openSince ?? now)) as EpochMs;
}

function todayOf({ delivery, keysOfDay }: OverviewSources, day: LocalDate): Status['today'] {
  return keysOfDay(day).map((key) => ({
    attribute: key.attribute,
    day,
    total: key.kind === 'sum' ? number(key.total) : plain(key.wanted),
    delivered: key.kind === 'sum' ? number(key.ours) : key.delivered === null ? null : plain(key.delivered),
    at_exist: delivery.attributes.get(key.attribute)?.existName ?? null,
  }));
}

function number(units: Units): number {
  return fromUnits(units);
}

function plain(value: Units | string): number | string {
  return typeof value === 'string' ? value : fromUnits(value);
}

function iso(instant: EpochMs | null): string | null {
  return instant === null ? null : new Date(instant).toISOString();
}
