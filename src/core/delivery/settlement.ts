/**
 * What a user decides about an item that only a person can settle.
 *
 * | how     | conflict (nobody knows whether it arrived)           | refused (Exist would not take it)   |
 * | ------- | ---------------------------------------------------- | ----------------------------------- |
 * | `retry` | it did not arrive: send it again                     | send it again                       |
 * | `drop`  | forget the amount                                    | forget all that is not delivered    |
 * | `count` | it did arrive: book it, take what stands at Exist    | it stands there already: book it    |
 * | `set`   | the day's total is `total`: write it by `update`     | the same                            |
 */
import { add, formatUnits, subtract, type Units } from '../units.ts';
import type { LocalDate } from '../time.ts';
import type { Draft } from './draft.ts';
import { unsent } from './plan.ts';
import type { SumKey, ValueKey } from './state.ts';

export type Settlement =
  /** Without a day: a held attribute is looked at again. */
  | { readonly attribute: string; readonly day: null; readonly how: 'retry' }
  | (DaySettlement & { readonly attribute: string; readonly day: LocalDate });

type DaySettlement =
  { readonly how: 'retry' | 'drop' | 'count' } | { readonly how: 'set'; readonly total: Units | string };

/** Does nothing where the item is not held. */
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
  if (!key?.held) return;
  const { held } = key;
  const text = key.kind === 'sum' ? settleSum(draft, key, settlement) : settleValue(draft, key, settlement);
  key.held = null;
  key.flight = 'none';
  key.flightSince = null;
  draft.note({
    level: 'info',
    attribute: key.attribute,
    day: key.day,
    text: `settled by the user (${settlement.how}; was ${held.state}: ${held.reason}): ${text}`,
  });
}

function settleSum(draft: Draft, key: SumKey, settlement: OfDay): string {
  const inFlight = key.flightAmount;
  key.flightAmount = 0 as Units;
  key.repair = false;
  key.repairs = 0;
  const open = unsent(key, draft.readonlyAttribute(key.attribute));
  const amount = inFlight === 0 && key.held?.state === 'refused' ? open : inFlight;
  key.openSince = draft.now;
  key.lookAt = draft.now;
  switch (settlement.how) {
    case 'retry':
      if (inFlight !== 0) rebase(key);
      return `${formatUnits(amount)} will be sent again`;
    case 'drop':
      key.dropped = add(key.dropped, amount);
      if (key.held?.state === 'conflict') rebase(key);
      return `${formatUnits(amount)} is forgotten`;
    case 'count':
      key.ours = add(key.ours, amount);
      if (key.held?.state === 'conflict') rebase(key);
      return `${formatUnits(amount)} counts as delivered`;
    case 'set': {
      const total = typeof settlement.total === 'string' ? (0 as Units) : settlement.total;
      key.ours = add(key.ours, open);
      key.base = subtract(total, key.ours);
      key.repair = true;
      key.seenAt = draft.now;
      key.openSince = null;
      key.lookAt = null;
      return `the day's total is set to ${formatUnits(total)}`;
    }
  }
}

/** What stands at Exist is taken as it is: it was all that the conflict was about. */
function rebase(key: SumKey): void {
  if (key.seen !== null) key.base = subtract(key.seen, key.ours);
}

function settleValue(draft: Draft, key: ValueKey, settlement: OfDay): string {
  key.flightValue = null;
  key.based = true;
  switch (settlement.how) {
    case 'retry':
      key.delivered = null;
      key.openSince = draft.now;
      return 'it will be sent again';
    case 'drop':
    case 'count':
      key.delivered = key.wanted;
      key.openSince = null;
      return 'what stands at Exist stays';
    case 'set':
      key.wanted = settlement.total;
      key.delivered = null;
      key.openSince = draft.now;
      return `the day's value is set to ${String(settlement.total)}`;
  }
}
