/**
 * What a value seen at Exist means for a key, and what is to be done about it.
 *
 * With `e = value − (base + ours)`, the excess over what the ledger expects:
 *
 * | e            | strict        | guarded                 | shared           |
 * | ------------ | ------------- | ----------------------- | ---------------- |
 * | 0            | fine          | fine                    | fine             |
 * | below 0      | repair        | repair (raise)          | adopt and report |
 * | up to doubt  | repair        | repair (lower)          | adopt and report |
 * | above doubt  | repair        | adopt and report        | adopt and report |
 *
 * While an amount `x` is in doubt (its call's outcome unknown), strict and guarded take it as applied and let the
 * idempotent repair make it so; shared decides by e alone: `x` applied, `0` not applied, anything else a conflict.
 *
 * A day whose total is fixed (by the user, say) is judged by nothing: whatever is shown, the total is written until
 * Exist has confirmed it, in every mode.
 *
 * A day that is written whole, `p` standing there when `v` was sent, with `s` shown:
 *
 * | s                            | strict     | guarded                                  | shared               |
 * | ---------------------------- | ---------- | ---------------------------------------- | -------------------- |
 * | v, outcome unknown           | applied    | applied                                  | applied              |
 * | p, outcome unknown           | send again | send again                               | send again           |
 * | anything else, unknown       | send again | send again                               | conflict             |
 * | not v, which was confirmed   | send again | send again if in doubt, else adopt       | adopt                |
 *
 * Only what was sent is ever given up for what is shown: a newer value that waits to be sent still goes out, in mode
 * shared after another look, since what was adopted must not be written over.
 */
import { add, formatUnits, subtract, type Units } from '../units.ts';
import type { EpochMs } from '../time.ts';
import { land } from './flight.ts';
import type { Fixed, Mode, SumKey, ValueKey } from './state.ts';
import { FOLLOW_UPS, followUpAt } from './pace.ts';

/** When a value is judged, and how long a call of unknown outcome rests. */
export interface Moment {
  readonly now: EpochMs;
  readonly settleMs: number;
}

/** A sentence for the log and for `explain`, or nothing. */
export type Remark = string | undefined;

/** A repair that Exist confirms but does not keep is another writer at work: after so many, a person decides. */
const MOST_REPAIRS = 5;

/** Judges a day's value that was read, or that an answer showed. `null` is a day without data: nothing stands there. */
export function judgeSum(key: SumKey, mode: Mode, shown: Units | null, at: Moment): Remark {
  const value = shown ?? (0 as Units);
  const before = key.seen;
  key.seen = value;
  key.seenAt = at.now;
  if (key.fixed) return insist(key, key.fixed, mode, { value, before }, at);
  if (key.base === null) {
    // What is booked as ours stands there already, where the base had to be read anew; so does what was in doubt.
    if (key.flight === 'unknown') {
      key.ours = add(key.ours, key.flightAmount);
      comeToRest(key, at, key.flightAmount);
    }
    key.base = subtract(value, key.ours);
    return undefined;
  }
  return key.flight === 'unknown' ? settleUnknown(key, mode, value, at) : judgeSettled(key, mode, value, at);
}

/** A total that is fixed is written whatever stands there; by a mapping, in mode shared, only over what it knows. */
function insist(
  key: SumKey,
  { total, by }: Fixed,
  mode: Mode,
  { value, before }: { readonly value: Units; readonly before: Units | null },
  at: Moment,
): Remark {
  if (key.flight === 'unknown') {
    // What was in flight when a mapping wrote the day whole is in that value.
    key.dropped = add(key.dropped, key.flightAmount);
    comeToRest(key, at, key.flightAmount);
  }
  key.base = subtract(total, key.ours);
  key.repair = true;
  // A read that lags behind may show what stood there before: that is ours to lower again.
  key.doubt = Math.max(key.doubt, subtract(value, total)) as Units;
  if (by === 'mapping' && mode === 'shared' && value !== total && before !== null && value !== before) {
    const reason = `${formatUnits(total)} was to be written, and another value stands there (${formatUnits(value)})`;
    key.held = { state: 'conflict', reason, since: at.now };
    return reason;
  }
  if (value === total) return undefined;
  return `Exist shows ${formatUnits(value)} instead of ${formatUnits(total)} as ${by === 'user' ? 'the user' : 'the mapping'} set it: setting it right`;
}

function settleUnknown(key: SumKey, mode: Mode, value: Units, at: Moment): Remark {
  const { now } = at;
  const base = key.base ?? (0 as Units);
  const amount = key.flightAmount;
  const excess = subtract(value, add(base, key.ours));
  if (mode === 'shared') {
    if (excess !== amount && excess !== 0) return conflict(key, value, now);
    if (excess === amount) key.ours = add(key.ours, amount);
    else key.openSince = now;
    comeToRest(key, at);
    return excess === amount
      ? `the call of unknown outcome was applied: Exist shows ${formatUnits(value)}`
      : `the call of unknown outcome was not applied: ${formatUnits(amount)} will be sent again`;
  }
  if (mode === 'guarded' && excess > key.doubt + Math.max(amount, 0)) return conflict(key, value, now);
  key.ours = add(key.ours, amount);
  key.repair = value !== add(base, key.ours);
  comeToRest(key, at, amount);
  return key.repair
    ? `after a call of unknown outcome Exist shows ${formatUnits(value)} instead of ${formatUnits(add(base, key.ours))}: setting it right`
    : `the call of unknown outcome was applied: Exist shows ${formatUnits(value)}`;
}

/** @param doubtful what may have been applied, or be applied yet */
function comeToRest(key: SumKey, at: Moment, doubtful = 0): void {
  key.doubt = add(key.doubt, Math.max(doubtful, 0) as Units);
  land(key);
  followUp(key, at);
}

/** Looks again a few times: what was late may still come. */
export function followUp(key: SumKey | ValueKey, { now, settleMs }: Moment): void {
  key.looksLeft = FOLLOW_UPS;
  key.lookAt = followUpAt(now, FOLLOW_UPS, settleMs);
}

/** What was adopted is confirmed by another look: the read may have lagged behind. */
function lookAgain(key: SumKey | ValueKey, { now, settleMs }: Moment): void {
  if (key.lookAt !== null) return;
  key.looksLeft = 1;
  key.lookAt = followUpAt(now, FOLLOW_UPS, settleMs);
}

function conflict(key: SumKey, value: Units, now: EpochMs): Remark {
  const expected = add(key.base ?? (0 as Units), key.ours);
  const reason =
    `nobody can tell whether ${formatUnits(key.flightAmount)} arrived: Exist shows ${formatUnits(value)}, ` +
    `expected ${formatUnits(expected)} without it or ${formatUnits(add(expected, key.flightAmount))} with it`;
  key.held = { state: 'conflict', reason, since: now };
  key.lookAt = null;
  return reason;
}

function judgeSettled(key: SumKey, mode: Mode, value: Units, at: Moment): Remark {
  const { now } = at;
  const base = key.base ?? (0 as Units);
  const expected = add(base, key.ours);
  const excess = subtract(value, expected);
  if (excess === 0) {
    key.repair = false;
    key.repairs = 0;
    return undefined;
  }
  const adopts = mode === 'shared' || (mode === 'guarded' && excess > key.doubt);
  if (adopts) {
    key.base = add(base, excess);
    key.repair = false;
    lookAgain(key, at);
    return `Exist shows ${formatUnits(value)}, ${formatUnits(excess)} away from what was sent: taken as somebody else's change`;
  }
  if (key.repairs >= MOST_REPAIRS) {
    const reason = `Exist keeps going back to ${formatUnits(value)} after being set to ${formatUnits(expected)}`;
    key.held = { state: 'conflict', reason, since: now };
    key.lookAt = null;
    key.repair = true;
    return reason;
  }
  key.repair = true;
  return `Exist shows ${formatUnits(value)} instead of ${formatUnits(expected)}: setting it right`;
}

/** Judges the value of a day that is written whole. */
export function judgeValue(key: ValueKey, mode: Mode, shown: Units | string | null, at: Moment): Remark {
  const { now } = at;
  const before = key.seen;
  // A day never goes back to nothing at Exist: a read that shows it lags behind.
  key.seen = shown ?? before;
  key.seenAt = now;
  if (key.flight === 'unknown') return settleValue(key, mode, shown, before, at);
  if (!key.based) {
    key.based = true;
    const isOurs = shown === null || shown === key.wanted || shown === key.delivered;
    if (mode === 'shared' && !isOurs && key.wanted !== key.delivered) return holdValue(key, shown, now);
  }
  if (key.delivered === null) return undefined;
  if (shown === key.delivered) {
    key.adopted = null;
    return undefined;
  }
  if (shown === null) {
    key.delivered = null;
    key.openSince = now;
    key.based = false;
    return `Exist shows nothing instead of ${show(key.wanted)}: it will be sent again`;
  }
  if (key.wanted !== key.delivered) {
    // It is written next, which harms nobody: that stands there already, or the bridge may write over it.
    if (shown === key.wanted) return undefined;
    if (mode === 'shared') return holdValue(key, shown, now);
  }
  // Nothing is written over it without another look.
  if (mode === 'shared') key.based = false;
  if (shown === key.adopted) return undefined;
  // Nothing was known of what stands there: the user left it as it is, or the database is older than Exist.
  if (before !== null && (mode === 'strict' || (mode === 'guarded' && key.doubted))) {
    key.delivered = null;
    key.openSince = now;
    return `Exist shows ${show(shown)} instead of ${show(key.wanted)}: setting it right`;
  }
  key.adopted = shown;
  lookAgain(key, at);
  return `Exist shows ${show(shown)} instead of ${show(key.delivered)}: taken as somebody else's change`;
}

function settleValue(
  key: ValueKey,
  mode: Mode,
  shown: Units | string | null,
  before: Units | string | null,
  at: Moment,
): Remark {
  const { flightValue: sent, delivered } = key;
  // Without a value of its own the call was an increment, from before the mapping wrote the day whole.
  const isApplied = shown === sent && sent !== null;
  const counted = typeof delivered === 'number' ? add(delivered, key.flightAmount) : null;
  const isKnown = [null, sent, key.wanted, before, delivered, counted].includes(shown);
  if (mode === 'shared' && !isKnown) return holdValue(key, shown, at.now);
  // An amount that was in flight when the mapping went over to values is in the value.
  key.dropped = add(key.dropped, key.flightAmount);
  land(key);
  key.based = true;
  followUp(key, at);
  if (isApplied || shown === key.wanted) {
    key.delivered = shown;
    key.adopted = null;
    // A newer value may be the one that was delivered before: only now is it seen to be due.
    if (shown !== key.wanted) key.openSince ??= at.now;
    return `the call of unknown outcome was applied: Exist shows ${show(shown)}`;
  }
  key.delivered = null;
  key.openSince = at.now;
  return `the call of unknown outcome was not applied: ${show(key.wanted)} will be sent again`;
}

function holdValue(key: ValueKey, shown: Units | string | null, now: EpochMs): Remark {
  const reason = `another value stands there already (${show(shown)}); ours is ${show(key.wanted)}`;
  key.held = { state: 'conflict', reason, since: now };
  key.lookAt = null;
  return reason;
}

function show(value: Units | string | null): string {
  if (value === null) return 'nothing';
  return typeof value === 'string' ? JSON.stringify(value) : formatUnits(value);
}
