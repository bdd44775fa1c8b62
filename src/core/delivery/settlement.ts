/**
 * What a user decides about an item that only a person can settle.
 *
 * | how     | conflict (nobody knows whether it arrived)           | refused (Exist would not take it)        |
 * | ------- | ---------------------------------------------------- | ---------------------------------------- |
 * | `retry` | it did not arrive: send it again                     | send it again                            |
 * | `drop`  | forget the amount                                    | forget all that is not at Exist          |
 * | `count` | it did arrive: book it, take what stands at Exist    | it stands there already: book it         |
 * | `set`   | the day's total is `total`: it is written by `update` until Exist has confirmed it, whatever is shown |
 *
 * Where it was an `update` to the ledger's total that Exist refused (or does not keep), what is held is what Exist
 * last showed too little (or too much), and `drop` and `count` leave Exist as it stands.
 *
 * A day of an attribute that is held as a whole is settled as a refused one is, with all of it that waits; only
 * `retry` is the attribute's. What was in flight counts among what waits: whatever became of it, its amount stays in
 * doubt, and the first look once the attribute works sets the day right. A total that is `set` is written then.
 */
import { isWholeNumber, type ValueType } from '../attribute.ts';
import { valueFor } from '../mapping/set.ts';
import { add, formatUnits, fromUnits, subtract, UNITS_PER_ONE, type Units } from '../units.ts';
import type { LocalDate } from '../time.ts';
import type { Draft } from './draft.ts';
import { unsent } from './plan.ts';
import { keyOf, type Attribute, type DeliveryState, type Key, type SumKey, type ValueKey } from './state.ts';

export type Settlement =
  /** Without a day: a held attribute is looked at again. */
  | { readonly attribute: string; readonly day: null; readonly how: 'retry' }
  | (DaySettlement & { readonly attribute: string; readonly day: LocalDate });

type DaySettlement =
  | { readonly how: 'retry' | 'drop' | 'count' }
  /** Text is read as a payload would be: `12,5`, `07:30`, or text where the attribute takes text. */
  | { readonly how: 'set'; readonly total: Units | string };

/** Why it cannot be done. */
export type Objection =
  /** Nothing is held there. */
  | { readonly kind: 'not-held' }
  /** The total is none that the attribute takes. */
  | { readonly kind: 'total'; readonly reason: string }
  /** Only the attribute as a whole can be tried again. */
  | { readonly kind: 'attribute-held'; readonly reason: string };

/** Why it was not done: besides, that it could not be put on disk. */
export type Refusal = Objection | { readonly kind: 'unwritten'; readonly reason: string };

/** What `settle` would not carry out, in words for the user. */
export function objectionTo(
  { attributes, keys }: DeliveryState,
  settlement: Settlement,
): Objection | undefined {
  const attribute = attributes.get(settlement.attribute);
  if (settlement.day === null) return attribute?.state === 'held' ? undefined : { kind: 'not-held' };
  const key = keys.get(keyOf(settlement.attribute, settlement.day));
  if (!key || !isForTheUser(key, attribute)) return { kind: 'not-held' };
  if (settlement.how === 'retry' && !key.held) {
    const reason = `${key.attribute} is held as a whole: \`mqtt2exist held retry ${key.attribute}\` tries it again, with all its days`;
    return { kind: 'attribute-held', reason };
  }
  if (settlement.how !== 'set') return undefined;
  const read = totalOf(key.kind, attribute?.valueType, settlement.total);
  return 'reason' in read ? { kind: 'total', reason: read.reason } : undefined;
}

function isForTheUser(key: Readonly<Key>, attribute: Readonly<Attribute> | undefined): boolean {
  return key.held !== null || waitsForAttribute(key, attribute);
}

/** Something of the day waits, and only because its attribute is held as a whole. */
export function waitsForAttribute(key: Readonly<Key>, attribute: Readonly<Attribute> | undefined): boolean {
  if (attribute?.state !== 'held' || key.held || key.flight === 'sending') return false;
  if (key.flight === 'unknown') return true;
  return key.kind === 'sum'
    ? key.fixed !== null || heldAmount(key, attribute) !== 0
    : key.wanted !== key.delivered;
}

type Total = { readonly units: Units | string } | { readonly reason: string };

function totalOf(kind: 'sum' | 'value', type: ValueType | undefined, given: Units | string): Total {
  // Without its attribute nobody can tell more than that counts are numbers.
  const valueType = type ?? (kind === 'sum' || typeof given === 'number' ? 'decimal' : 'text');
  const value = typeof given === 'number' ? fromUnits(given) : given;
  if (typeof value === 'string' && value.trim() === '') return { reason: 'the total is empty' };
  const read = valueFor({ valueType }, value);
  if ('reason' in read) return read;
  if (typeof read.units === 'number' && isWholeNumber(valueType) && read.units % UNITS_PER_ONE !== 0) {
    return {
      reason: `the attribute is of type ${valueType}: it takes whole numbers, not ${formatUnits(read.units)}`,
    };
  }
  return read;
}

/** Does nothing where the item is not held, or the total is none. */
export function settle(draft: Draft, settlement: Settlement): void {
  if (settlement.day === null) retryAttribute(draft, settlement.attribute);
  else settleDay(draft, settlement);
}

function retryAttribute(draft: Draft, name: string): void {
  const attribute = draft.attribute(name);
  if (attribute?.state !== 'held') return;
  attribute.state = 'wanted';
  attribute.reacquired = false;
  attribute.retryAt = null;
  draft.account.ownedPage = 1;
  draft.note({ level: 'info', attribute: name, text: `looked at again by the user's wish` });
}

type OfDay = Extract<Settlement, { readonly day: LocalDate }>;

function settleDay(draft: Draft, settlement: OfDay): void {
  const key = draft.key(settlement.attribute, settlement.day);
  const attribute = draft.readonlyAttribute(settlement.attribute);
  if (!key || !isForTheUser(key, attribute) || (settlement.how === 'retry' && !key.held)) return;
  const total =
    settlement.how === 'set' ? totalOf(key.kind, attribute?.valueType, settlement.total) : undefined;
  if (total && 'reason' in total) return;
  const was = key.held
    ? `${key.held.state}: ${key.held.reason}`
    : `held with its attribute: ${attribute?.reason ?? 'no reason given'}`;
  const text =
    key.kind === 'sum'
      ? settleSum(draft, key, settlement.how, total?.units)
      : settleValue(draft, key, settlement.how, total?.units);
  key.held = null;
  key.flight = 'none';
  key.flightSince = null;
  draft.note({
    level: 'info',
    attribute: key.attribute,
    day: key.day,
    text: `settled by the user (${settlement.how}; was ${was}): ${text}`,
  });
}

/** How much of a held sum is not at Exist, or not surely: what the user decides about. */
export function heldAmount(key: Readonly<SumKey>, attribute: Readonly<Attribute> | undefined): Units {
  return add(add(unsent(key, attribute), key.flightAmount), missing(key));
}

/**
 * How much of what is held came after the amount that nobody can tell of: `retry`, `drop` and `count` leave it alone,
 * and it is sent once that is settled.
 */
export function amountBehind(key: Readonly<SumKey>, attribute: Readonly<Attribute> | undefined): Units {
  return decidesAll(key) ? (0 as Units) : unsent(key, attribute);
}

/** All that is not at Exist is settled, and not only what is in flight. */
function decidesAll({ held, repair, flightAmount }: Readonly<SumKey>): boolean {
  return repair || held === null || (held.state === 'refused' && flightAmount === 0);
}

/** By how much Exist showed less than the ledger's total, where it would not be set right. */
function missing(key: Readonly<SumKey>): Units {
  if (!key.repair || key.base === null) return 0 as Units;
  return subtract(add(key.base, key.ours), key.seen ?? (0 as Units));
}

/** What is booked as applied and is to be set right at Exist, where the total is the ledger's own: never below 0. */
export function dueRepair(key: Readonly<SumKey>): Units {
  return Math.max(0, key.fixed ? 0 : missing(key)) as Units;
}

function settleSum(draft: Draft, key: SumKey, how: OfDay['how'], total: Units | string | undefined): string {
  // What was in flight when a mapping wrote the day whole is in that value.
  if (key.fixed?.by === 'mapping') key.dropped = add(key.dropped, key.flightAmount);
  const inFlight = key.fixed?.by === 'mapping' ? (0 as Units) : key.flightAmount;
  const lacking = missing(key);
  const isRepair = key.repair;
  const behind = amountBehind(key, draft.readonlyAttribute(key.attribute));
  key.flightAmount = 0 as Units;
  key.flightValue = null;
  key.repairs = 0;
  // It may have been applied all the same, or be applied yet.
  key.doubt = add(key.doubt, Math.max(inFlight, 0) as Units);
  const open = unsent(key, draft.readonlyAttribute(key.attribute));
  const amount = subtract(open, behind);
  key.openSince = draft.now;
  key.lookAt = draft.now;
  if (how === 'set' && typeof total === 'number') {
    key.ours = add(key.ours, open);
    key.fixed = { total, by: 'user' };
    key.base = subtract(total, key.ours);
    key.repair = true;
    // Looked at first: how far it is lowered tells how much a read that lags behind may show too much.
    key.seenAt = null;
    key.openSince = null;
    return `the day's total is set to ${formatUnits(total)}`;
  }
  if (isRepair) return settleRepair(key, how, add(open, lacking), lacking);
  // What a database older than Exist had to be set is the user's to say anew, but for `retry`.
  if (how !== 'retry') key.fixed = null;
  switch (how) {
    case 'retry':
      return `${formatUnits(amount)} will be sent again${inFlight === 0 ? '' : rebase(key)}`;
    case 'drop':
      key.dropped = add(key.dropped, amount);
      return `${formatUnits(amount)} is forgotten${key.held?.state === 'conflict' ? rebase(key) : ''}`;
    case 'count':
    default:
      key.ours = add(key.ours, amount);
      return `${formatUnits(amount)} counts as delivered${key.held?.state === 'conflict' ? rebase(key) : ''}`;
  }
}

/** Exist would not be set to the ledger's total. */
function settleRepair(key: SumKey, how: OfDay['how'], amount: Units, lacking: Units): string {
  if (how === 'retry') {
    key.seenAt = null;
    return `${formatUnits(amount)} will be sent again`;
  }
  const open = subtract(amount, lacking);
  key.repair = false;
  if (how === 'drop' && key.fixed === null && lacking > 0) {
    key.dropped = add(key.dropped, amount);
    key.ours = subtract(key.ours, lacking);
    return `${formatUnits(amount)} is forgotten`;
  }
  key.fixed = null;
  if (how === 'drop') key.dropped = add(key.dropped, open);
  else key.ours = add(key.ours, open);
  return `${formatUnits(amount)} ${how === 'drop' ? 'is forgotten' : 'counts as delivered'}${rebase(key)}`;
}

/** What stands at Exist is taken as it is: it was all that the conflict was about. */
function rebase(key: SumKey): string {
  const before = key.base;
  // Never looked at: it is read before anything is made of it.
  key.base = key.seen === null ? null : subtract(key.seen, key.ours);
  const change = subtract(key.base ?? (0 as Units), before ?? key.base ?? (0 as Units));
  if (key.seen === null || change === 0) return '';
  return `; Exist shows ${formatUnits(key.seen)}, ${formatUnits(change)} away from what was sent: taken as somebody else's change`;
}

function settleValue(
  draft: Draft,
  key: ValueKey,
  how: OfDay['how'],
  total: Units | string | undefined,
): string {
  key.dropped = add(key.dropped, key.flightAmount);
  key.flightAmount = 0 as Units;
  key.flightValue = null;
  key.doubted ||= key.flight === 'unknown';
  key.based = true;
  key.adopted = null;
  key.lookAt = draft.now;
  if (how === 'drop' || how === 'count') {
    // The last look was before the call of which nobody knows what became: it does not tell what stays.
    if (key.held === null && key.flight === 'unknown') key.seen = null;
    key.adopted = key.seen === key.wanted ? null : key.seen;
    key.doubted = false;
    key.delivered = key.wanted;
    key.openSince = null;
    if (key.seen === null) leave(key);
    return 'what stands at Exist stays';
  }
  if (total !== undefined) key.wanted = total;
  key.delivered = null;
  key.openSince = draft.now;
  if (total === undefined) return 'it will be sent again';
  return `the day's value is set to ${typeof total === 'number' ? formatUnits(total) : JSON.stringify(total)}`;
}

/** Nothing is known to stand there: a look that shows nothing would take the value for lost, and have it sent again. */
function leave(key: ValueKey): void {
  key.closed = true;
  key.lookAt = null;
  key.based = false;
}
