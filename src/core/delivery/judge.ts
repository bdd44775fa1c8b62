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
 */
import { add, formatUnits, subtract, type Units } from '../units.ts';
import type { EpochMs } from '../time.ts';
import type { Mode, SumKey, ValueKey } from './state.ts';
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
  const { now } = at;
  const value = shown ?? (0 as Units);
  key.seen = value;
  key.seenAt = now;
  if (key.base === null) {
    // What is booked as ours stands there already, where the base had to be read anew.
    key.base = subtract(value, key.ours);
    return undefined;
  }
  return key.flight === 'unknown' ? settleUnknown(key, mode, value, at) : judgeSettled(key, mode, value, now);
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
    land(key, at);
    return excess === amount
      ? `the call of unknown outcome was applied: Exist shows ${formatUnits(value)}`
      : `the call of unknown outcome was not applied: ${formatUnits(amount)} will be sent again`;
  }
  if (mode === 'guarded' && excess > key.doubt + Math.max(amount, 0)) return conflict(key, value, now);
  key.ours = add(key.ours, amount);
  key.doubt = add(key.doubt, Math.max(amount, 0) as Units);
  key.repair = value !== add(base, key.ours);
  land(key, at);
  return key.repair
    ? `after a call of unknown outcome Exist shows ${formatUnits(value)} instead of ${formatUnits(add(base, key.ours))}: setting it right`
    : `the call of unknown outcome was applied: Exist shows ${formatUnits(value)}`;
}

function land(key: SumKey, at: Moment): void {
  key.flight = 'none';
  key.flightSince = null;
  key.flightAmount = 0 as Units;
  followUp(key, at);
}

/** Looks again a few times: what was late may still come. */
export function followUp(key: SumKey | ValueKey, { now, settleMs }: Moment): void {
  key.looksLeft = FOLLOW_UPS;
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

function judgeSettled(key: SumKey, mode: Mode, value: Units, now: EpochMs): Remark {
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
    return `Exist shows ${formatUnits(value)}, ${formatUnits(excess)} away from what was sent: taken as somebody else's change`;
  }
  if (key.repairs >= MOST_REPAIRS) {
    const reason = `Exist keeps going back to ${formatUnits(value)} after being set to ${formatUnits(expected)}`;
    key.held = { state: 'conflict', reason, since: now };
    key.lookAt = null;
    key.repair = false;
    return reason;
  }
  key.repair = true;
  return `Exist shows ${formatUnits(value)} instead of ${formatUnits(expected)}: setting it right`;
}

/** Judges the value of a day that is written whole. */
export function judgeValue(key: ValueKey, mode: Mode, shown: Units | string | null, at: Moment): Remark {
  const { now } = at;
  key.seen = shown;
  if (!key.based) {
    key.based = true;
    if (mode === 'shared' && shown !== null && shown !== key.wanted && key.delivered === null) {
      const reason = `another value stands there already (${show(shown)}); ours is ${show(key.wanted)}`;
      key.held = { state: 'conflict', reason, since: now };
      return reason;
    }
  }
  if (key.flight === 'unknown') {
    key.flight = 'none';
    key.flightSince = null;
    key.flightValue = null;
    key.delivered = shown;
    followUp(key, at);
    if (shown === key.wanted) return `the call of unknown outcome was applied: Exist shows ${show(shown)}`;
    key.openSince = now;
    return `the call of unknown outcome was not applied: ${show(key.wanted)} will be sent again`;
  }
  if (key.delivered === null || shown === key.delivered) return undefined;
  if (mode === 'strict' || (mode === 'guarded' && key.doubted)) {
    key.delivered = shown;
    key.openSince = now;
    return `Exist shows ${show(shown)} instead of ${show(key.wanted)}: setting it right`;
  }
  const remark = `Exist shows ${show(shown)} instead of ${show(key.delivered)}: taken as somebody else's change`;
  key.delivered = key.wanted;
  return shown === key.wanted ? undefined : remark;
}

function show(value: Units | string | null): string {
  if (value === null) return 'nothing';
  return typeof value === 'string' ? JSON.stringify(value) : formatUnits(value);
}
