/**
 * An attribute that is another one at Exist from now on, under the same name in the configuration: it was deleted
 * there and is created anew, or the configuration says another label, template or type.
 *
 * What is open goes to the new one. What was delivered stays with the one before, and so does what stood there: the
 * day begins at what stands in the new one. What may have been delivered is no longer to be read back:
 *
 * - where the one before is gone, with all that was in it, it is sent to the new one
 * - where the one before is still there, nobody can tell: it is held, for the user to decide
 */
import { add, formatUnits, subtract, type Units } from '../units.ts';
import type { EpochMs } from '../time.ts';
import type { Draft } from './draft.ts';
import { land } from './flight.ts';
import { dueRepair } from './settlement.ts';
import type { Key, SumKey, ValueKey } from './state.ts';

/** The one before was deleted: what of `key` was not surely in it is sent to the new one. */
export function goOnInNew(key: SumKey, now: EpochMs): void {
  const lacking = takeBackLacking(key);
  const inFlight = key.held || key.flight !== 'unknown' ? (0 as Units) : key.flightAmount;
  forgetWhatStood(key, now);
  if (lacking !== 0 || inFlight !== 0) key.openSince ??= now;
  if (key.held || key.flight !== 'unknown') return;
  land(key);
  // A request that comes late finds the new one by its name.
  key.doubt = Math.max(inFlight, 0) as Units;
}

/** The one before is still there: what of `key` may be in it is held. A call on its way is told by its answer. */
export function goOnElsewhere(key: Key, now: EpochMs): void {
  if (key.kind === 'value') {
    writeElsewhere(key, now);
    return;
  }
  const lacking = takeBackLacking(key);
  forgetWhatStood(key, now);
  if (key.flight === 'sending' || (key.flight === 'none' && lacking === 0)) return;
  key.flight = 'unknown';
  key.flightAmount = add(key.flightAmount, lacking);
  key.flightSince ??= now;
  if (!key.held) holdElsewhere(key, now);
}

/** Nobody can tell whether what is in flight arrived in the one before. */
export function holdElsewhere(key: Key, now: EpochMs): void {
  if (key.kind === 'value') {
    writeElsewhere(key, now);
    return;
  }
  const reason =
    `${key.attribute} is another attribute at Exist by now, and nobody can tell whether ` +
    `${formatUnits(key.flightAmount)} arrived in the one before`;
  key.held = { state: 'conflict', reason, since: now };
  key.lookAt = null;
}

/** Whether what a call named `name` is still what the attribute is at Exist. */
export function isStillAt(draft: Draft, attribute: string, name: string): boolean {
  const now = draft.readonlyAttribute(attribute);
  // Without a name it is looked for anew, or it was found to be gone just now.
  return now === undefined || (now.existName === null ? now.state === 'held' : now.existName === name);
}

/** What was booked as applied although Exist did not show it: it is not booked any more. */
function takeBackLacking(key: SumKey): Units {
  const lacking = dueRepair(key);
  key.ours = subtract(key.ours, lacking);
  return lacking;
}

function forgetWhatStood(key: SumKey, now: EpochMs): void {
  key.base = null;
  key.seen = null;
  key.seenAt = null;
  key.doubt = 0 as Units;
  key.repair = false;
  // A total that is to be written waits for nothing else.
  if (key.fixed) key.lookAt = now;
}

/** A value is written as often as need be: one that may have been written to the one before is written here. */
function writeElsewhere(key: ValueKey, now: EpochMs): void {
  const isOpen = key.wanted !== key.delivered || key.flight !== 'none';
  key.delivered = null;
  key.adopted = null;
  key.seen = null;
  key.seenAt = null;
  key.based = false;
  if (key.flight === 'sending') return;
  key.dropped = add(key.dropped, key.flightAmount);
  land(key);
  if (isOpen) key.openSince ??= now;
  // It is in the one before. Whatever is said of the day from now on opens it again.
  else if (!key.held) key.closed = true;
}
