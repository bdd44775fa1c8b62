/**
 * `count`: changes into a condition, or messages.
 *
 * States of `count.when`: none → inside | outside by any first reading. outside → inside counts: at once, or
 * after `hold` (inside, holding → inside when the time has passed, by a reading or by the tick; → outside
 * without a count where the condition is left before).
 *
 * Readings are taken in the order they arrive, which MQTT keeps for a topic; `at` only says when the event was:
 * a device clock that steps back neither loses nor doubles a count.
 */
import { holds } from '../condition.ts';
import type { Reading } from '../reading.ts';
import type { EpochMs } from '../time.ts';
import type { ChangeState, SeenState } from './mapping-state.ts';
import type { Mapping, Operation } from './mapping.ts';
import {
  accepted,
  bounceReason,
  ignored,
  isBounce,
  moved,
  notANumber,
  quiet,
  refused,
  seenAt,
  shown,
  silence,
  sum,
  type Reaction,
} from './reaction.ts';

export type CountChanges = Extract<Operation, { on: 'change' }>;
export type CountMessages = Extract<Operation, { on: 'message' }>;

export function countChange(
  mapping: Mapping,
  operation: CountChanges,
  state: ChangeState | undefined,
  reading: Reading,
  zone: string,
): Reaction {
  const inside = holds(operation.when, reading.value, state?.inside);
  if (inside === undefined) return refused(state, notANumber(reading.value));
  const silent = silence(reading, state === undefined);
  if (silent !== undefined) {
    // The same state again leaves a running hold alone; another one is taken over and counts nothing.
    return quiet(state?.inside === inside ? state : moved(state, inside, state?.countedAt), silent);
  }
  if (state?.inside) {
    const held = state.holdingSince;
    if (held !== undefined && reading.at - held >= operation.holdMs) {
      return counted(mapping, operation, state, held, inside, zone);
    }
    if (inside)
      return quiet(state, held === undefined ? 'unchanged' : 'unchanged, `hold` has not passed yet');
    return quiet(
      moved(state, false, state.countedAt),
      held === undefined ? 'left' : 'left before `hold` had passed',
    );
  }
  if (!inside)
    return state ? quiet(state, 'unchanged') : quiet(moved(state, false, undefined), 'sets the state');
  if (operation.holdMs === 0) return counted(mapping, operation, state, reading.at, true, zone);
  return quiet({ ...moved(state, true, state?.countedAt), holdingSince: reading.at }, '`hold` has begun');
}

/** When `hold` will have passed. */
export function holdEnd(operation: CountChanges, { holdingSince }: ChangeState): EpochMs | undefined {
  return holdingSince === undefined ? undefined : ((holdingSince + operation.holdMs) as EpochMs);
}

export function tickCount(
  mapping: Mapping,
  operation: CountChanges,
  state: ChangeState,
  now: EpochMs,
  zone: string,
): Reaction {
  const { holdingSince } = state;
  if (holdingSince === undefined || now - holdingSince < operation.holdMs) return ignored(state, 'not due');
  return counted(mapping, operation, state, holdingSince, state.inside, zone);
}

/** The event belongs to the day of the change, also where `hold` ended after midnight. */
function counted(
  mapping: Mapping,
  operation: CountChanges,
  state: ChangeState | undefined,
  at: EpochMs,
  inside: boolean,
  zone: string,
): Reaction {
  if (isBounce(mapping, state?.countedAt, at)) {
    return quiet(moved(state, inside, state?.countedAt), bounceReason);
  }
  return accepted(moved(state, inside, at), [sum(mapping, operation.by, at, zone)]);
}

export function countMessage(
  mapping: Mapping,
  operation: CountMessages,
  state: SeenState | undefined,
  reading: Reading,
  zone: string,
): Reaction {
  const matches = operation.each === 'any' ? true : holds(operation.each, reading.value);
  if (matches === undefined) return refused(state, notANumber(reading.value));
  const seen = state ?? { kind: 'seen' };
  const silent = silence(reading, state === undefined);
  if (silent !== undefined) return quiet(seen, silent);
  if (!matches) return ignored(seen, `${shown(reading.value)} is not what is counted`);
  if (isBounce(mapping, seen.countedAt, reading.at)) return quiet(seen, bounceReason);
  return accepted(seenAt(mapping, seen, reading.at), [sum(mapping, operation.by, reading.at, zone)]);
}
