/**
 * What a reading does to a mapping, and the few steps that all operations share.
 */
import { parseNumber } from '../number.ts';
import type { Contribution, Reading, Scalar } from '../reading.ts';
import { localDate, type EpochMs } from '../time.ts';
import { toUnits, type Units } from '../units.ts';
import type { ChangeState, MappingState, SeenState } from './mapping-state.ts';
import type { Mapping } from './mapping.ts';

export interface Reaction {
  /** `ignored`: of no interest; `refused`: could not be read, the reason says why. */
  readonly verdict: 'accepted' | 'ignored' | 'refused';
  /** Always there for `ignored` and `refused`; for `accepted` where nothing was contributed. */
  readonly reason?: string;
  /** The same reference where nothing changed. May change even where a reading is refused. */
  readonly state: MappingState | undefined;
  readonly contributions: readonly Contribution[];
}

const nothing: readonly Contribution[] = [];

export function accepted(
  state: MappingState | undefined,
  contributions: readonly Contribution[],
  reason?: string,
): Reaction {
  return { verdict: 'accepted', state, contributions, ...(reason !== undefined && { reason }) };
}

/** Taken into account, with nothing to count. */
export function quiet(state: MappingState | undefined, reason: string): Reaction {
  return { verdict: 'accepted', reason, state, contributions: nothing };
}

export function ignored(state: MappingState | undefined, reason: string): Reaction {
  return { verdict: 'ignored', reason, state, contributions: nothing };
}

export function refused(state: MappingState | undefined, reason: string): Reaction {
  return { verdict: 'refused', reason, state, contributions: nothing };
}

/**
 * Why a reading counts nothing whatever it says, or `undefined`: a replay, or the first ever where its
 * publisher set the retain flag (it may be old). The flag alone does not make a known topic's message a replay.
 */
export function silence(reading: Reading, isFirst: boolean): string | undefined {
  if (reading.replay) return 'a replay counts nothing';
  if (isFirst && reading.retain)
    return 'the first reading was retained: it sets the state and counts nothing';
  return undefined;
}

/** Whether `at` lies within `debounce` of the last counted event. */
export function isBounce(mapping: Mapping, countedAt: EpochMs | undefined, at: EpochMs): boolean {
  return mapping.debounceMs > 0 && countedAt !== undefined && Math.abs(at - countedAt) < mapping.debounceMs;
}

export const bounceReason = 'within `debounce` of the last counted event';

/** A state without a running hold. */
export function moved(
  state: ChangeState | undefined,
  inside: boolean,
  countedAt: EpochMs | undefined,
): ChangeState {
  if (state?.inside === inside && state.holdingSince === undefined && state.countedAt === countedAt)
    return state;
  return { kind: 'change', inside, ...(countedAt !== undefined && { countedAt }) };
}

/** The instant is kept only where `debounce` asks for it: else every event would be a change of state. */
export function seenAt(mapping: Mapping, seen: SeenState, at: EpochMs): SeenState {
  return mapping.debounceMs > 0 ? { kind: 'seen', countedAt: at } : seen;
}

export function sum(mapping: Mapping, amount: Units, at: EpochMs, zone: string): Contribution {
  return { kind: 'sum', attribute: mapping.attribute, day: localDate(at, zone), amount };
}

/** A scalar for a sentence: quoted text, bounded. */
export function shown(value: Scalar): string {
  if (typeof value !== 'string') return String(value);
  return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);
}

export function notANumber(value: Scalar): string {
  return `${shown(value)} is not a number`;
}

/** The amount that `value` writes, or why it is none. */
export function readUnits(value: Scalar): { readonly units: Units } | { readonly reason: string } {
  const number = parseNumber(value);
  if (number === undefined) return { reason: notANumber(value) };
  const units = toUnits(number);
  return units === undefined ? { reason: `${number} is too large to be counted exactly` } : { units };
}
