/**
 * What travels from a broker to the ledger: a message, what a mapping read from it, and what that contributes.
 */
import type { EpochMs, LocalDate } from './time.ts';
import type { Units } from './units.ts';

/** One PUBLISH as the inlet took it. */
export interface Message {
  /** Topic name, without wildcards. */
  readonly topic: string;
  readonly payload: Uint8Array;
  /** The publisher set the retain flag (on a connection to another broker: the flag as delivered). */
  readonly retain: boolean;
  /** Delivered because of a subscription, not because somebody published: sets state, counts nothing. */
  readonly replay: boolean;
  readonly receivedAt: EpochMs;
}

/** A value as it stands in a payload, before units, words and conditions are made of it. */
export type Scalar = string | number | boolean;

/** What the expressions of one mapping made of one payload. */
export type Extraction =
  | {
      readonly kind: 'values';
      /** Usually one; several where a path selects several (events of one message). Never empty. */
      readonly values: readonly Scalar[];
      /** The message's own identity (`id`), where the mapping names one. */
      readonly identity?: string;
      /** The meter's life (`rise.instance`): another one means it started over. */
      readonly instance?: string;
      /** When it happened by the device's own words (`at`): text or epoch in s or ms. */
      readonly deviceTime?: Scalar;
      /** Seconds between the event and the sending (`age`). */
      readonly ageS?: number;
    }
  /** Nothing of interest: condition false, key absent, `unavailable`, empty. Not an error. */
  | { readonly kind: 'ignored'; readonly reason: string }
  /** Cannot be read: shown to the user with its reason. */
  | { readonly kind: 'refused'; readonly reason: string };

/** One value of one mapping, dated. */
export interface Reading {
  readonly value: Scalar;
  /** When it happened: the device's time where it tells one, else `receivedAt`. */
  readonly at: EpochMs;
  readonly receivedAt: EpochMs;
  readonly retain: boolean;
  readonly replay: boolean;
  readonly instance?: string;
}

/** How several values of one day become the day's value. */
export type Pick = 'last' | 'first' | 'min' | 'max' | 'mean';

/** What a reading adds to an attribute's local day. */
export type Contribution =
  | { readonly kind: 'sum'; readonly attribute: string; readonly day: LocalDate; readonly amount: Units }
  | {
      readonly kind: 'value';
      readonly attribute: string;
      readonly day: LocalDate;
      readonly pick: Pick;
      readonly at: EpochMs;
      /** Text for attributes of type text, units for all others. */
      readonly value: Units | string;
      /** Decimal places the day's value is rounded to (`set.round`). */
      readonly round?: number;
    };
