import type { Scalar } from './reading.ts';

/** What `when`, `each`, `while` and `of` say. */
export type Condition =
  | { readonly kind: 'oneOf'; readonly values: readonly Scalar[] }
  | { readonly kind: 'above'; readonly limit: number; readonly hysteresis: number }
  | { readonly kind: 'below'; readonly limit: number; readonly hysteresis: number }
  | { readonly kind: 'between'; readonly low: number; readonly high: number };
