/**
 * How one HTTP exchange with Exist ended, as far as the delivery can rely on it.
 */
import type { EpochMs } from '../time.ts';

export type Outcome<T> = Answered<T> | NotSent | Unknown;

/** A complete answer of Exist's own form. */
export interface Answered<T> {
  readonly kind: 'answered';
  readonly status: 200 | 201 | 202;
  readonly body: T;
  /** The server's clock, where it told it. */
  readonly serverTime?: EpochMs;
}

/** Surely not applied: it never left, or Exist turned it away at the door. */
export interface NotSent {
  readonly kind: 'not-sent';
  readonly cause: 'network' | 'tls' | 'unauthorised' | 'forbidden' | 'rate-limited';
  readonly message: string;
  readonly retryAfterMs?: number;
}

/** Nobody can tell whether it was applied. */
export interface Unknown {
  readonly kind: 'unknown';
  readonly message: string;
  readonly status?: number;
}
