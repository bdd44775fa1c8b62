/**
 * What a mapping remembers of one topic between readings. Plain JSON: it is stored beside the contributions.
 *
 * A state whose kind is not the operation's is as good as none.
 */
import type { EpochMs } from '../time.ts';
import type { Units } from '../units.ts';

export type MappingState = ChangeState | SeenState | RiseState | DurationState;

/** `count.when` and `time`: inside or outside of the condition. */
export interface ChangeState {
  readonly kind: 'change';
  readonly inside: boolean;
  /** The change into the condition that waits for `hold` to pass. */
  readonly holdingSince?: EpochMs;
  /** The last event that counted, for `debounce`. */
  readonly countedAt?: EpochMs;
}

/** `count.each`, `add` and `set`: that there was a reading before. */
export interface SeenState {
  readonly kind: 'seen';
  readonly countedAt?: EpochMs;
}

/** `rise`: the reading that the next one is compared with. */
export interface RiseState {
  readonly kind: 'rise';
  readonly last: Units;
  readonly instance?: string;
  /** The last reading that was refused for its step: a second one like it becomes the base line. */
  readonly suspect?: Units;
}

export interface DurationState {
  readonly kind: 'duration';
  readonly inside: boolean;
  /** When the interval began. */
  readonly since: EpochMs;
  /** Minutes are counted up to here. */
  readonly until: EpochMs;
  /** Thirds of a unit (1e-6 min) that are not yet counted: 0 to 2. A millisecond is 50 of them. */
  readonly thirds: number;
}

/**
 * The state with every instant told at or after `from` moved: the clock that told them was wrong by so much. An
 * interval keeps its order.
 */
export function corrected(state: MappingState, byMs: number, from: EpochMs): MappingState {
  const moved = (at: EpochMs): EpochMs => (at < from ? at : at + byMs) as EpochMs;
  switch (state.kind) {
    case 'change':
      return {
        ...state,
        ...(state.holdingSince !== undefined && { holdingSince: moved(state.holdingSince) }),
        ...(state.countedAt !== undefined && { countedAt: moved(state.countedAt) }),
      };
    case 'seen':
      return state.countedAt === undefined ? state : { ...state, countedAt: moved(state.countedAt) };
    case 'rise':
      return state;
    case 'duration': {
      const since = moved(state.since);
      return { ...state, since, until: Math.max(since, moved(state.until)) as EpochMs };
    }
  }
}
