/**
 * What becomes of a ledger that may be older than the last call to Exist: a backup put back, a copy put in its place by
 * hand, or what could be saved of a damaged one.
 *
 * - What it takes for unsent may have arrived long ago: held as a conflict, for a person to decide. What stands at Exist
 *   by now is not known either; the delivery's first audit looks, and only shows it.
 * - What it believes to stand at Exist is out of date: the base of every day is read anew before anything is judged by
 *   it. Else the ledger would be taken for right, and days that went on would be set back.
 */
import { add, subtract, type Units } from '../units.ts';
import type { EpochMs } from '../time.ts';
import { unsent } from './plan.ts';
import { dueRepair } from './settlement.ts';
import type { Account, Attribute, Key } from './state.ts';

export interface OlderCopy {
  /** Said of every amount that is held; a sentence for a person. */
  readonly reason: string;
  readonly now: EpochMs;
  /** The highest number a call ever had, as far as anything knows. */
  readonly lastCallId: number;
}

/** The key as it is to go on, done or held; doing it again changes nothing. */
export function holdOpen(key: Key, attribute: Attribute | undefined, { reason, now }: OlderCopy): Key {
  const after = forgetWhatStood(key);
  const inFlight = key.kind === 'sum' ? key.flightAmount : 0;
  // What was to be set right at Exist: whether it was since, nobody knows.
  const repair = key.kind === 'sum' ? dueRepair(key) : (0 as Units);
  const amount =
    key.kind === 'sum' ? add(add(unsent(key, attribute), key.flightAmount), repair) : (0 as Units);
  // What is held already stays as it is, where all of it is what its settling knows.
  if (key.held && (key.kind === 'value' || amount === inFlight)) return after;
  const isOpen =
    key.flight !== 'none' ||
    (key.kind === 'sum' ? amount !== inFlight || key.fixed !== null : key.wanted !== key.delivered);
  // Done, as far as this copy knows. A late contribution opens the day again.
  if (!isOpen) return { ...after, closed: true, openSince: null };
  // In flight and unknown is what a conflict is: so all four ways to settle it know its amount.
  return {
    ...after,
    flight: 'unknown',
    flightSince: now,
    flightAmount: amount,
    flightValue: key.kind === 'value' ? key.wanted : null,
    openSince: null,
    ours: subtract(key.ours, repair),
    held: { state: 'conflict', reason, since: now },
  };
}

/** No call is on its way any more, and no number is given twice. */
export function endCall(account: Account, { lastCallId }: OlderCopy): Account {
  return {
    ...account,
    call: null,
    lastCallId: Math.max(account.lastCallId, lastCallId),
    flushing: false,
    nextAuditAt: null,
  };
}

function forgetWhatStood<K extends Key>(key: K): K {
  const forgotten = { ...key, seen: null, seenAt: null, lookAt: null, looksLeft: 0 };
  // A newer value may have been written since: the same one as before is written over it.
  if (forgotten.kind === 'value')
    return { ...forgotten, delivered: null, adopted: null, doubted: false, based: false };
  return { ...forgotten, base: null, doubt: 0 as Units, repair: false, repairs: 0 };
}
