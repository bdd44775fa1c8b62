/**
 * A mapping as the engine runs it: the configuration's `mappings` entry with every default filled in and
 * every expression taken out (those are `expression/`'s; the engine sees only the values they gave).
 */
import type { ValueType } from '../attribute.ts';
import type { Pick } from '../reading.ts';
import type { Units } from '../units.ts';
import type { Condition } from '../condition.ts';

export interface Mapping {
  /** Names the mapping's stored state; stays the same while topics, value, attribute and operation do. */
  readonly key: string;
  /** Topic filters, at least one. */
  readonly filters: readonly string[];
  /** The attribute's name in the configuration. */
  readonly attribute: string;
  readonly valueType: ValueType;
  readonly scale: number;
  readonly offset: number;
  /** Inclusive, after scale and offset. */
  readonly range?: readonly [number, number];
  /** 0 for none. */
  readonly debounceMs: number;
  readonly operation: Operation;
}

export type Operation =
  | {
      readonly kind: 'count';
      readonly on: 'change';
      readonly when: Condition;
      readonly holdMs: number;
      readonly by: Units;
    }
  | { readonly kind: 'count'; readonly on: 'message'; readonly each: Condition | 'any'; readonly by: Units }
  | { readonly kind: 'add' }
  | { readonly kind: 'rise'; readonly reset: 'zero' | 'ignore'; readonly maxStep?: number }
  | { readonly kind: 'duration'; readonly while: Condition; readonly maxMs?: number }
  | { readonly kind: 'set'; readonly pick: Pick; readonly round?: number }
  | { readonly kind: 'time'; readonly of: Condition; readonly pick: 'first' | 'last' };
