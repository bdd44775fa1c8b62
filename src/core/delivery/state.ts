/**
 * What the delivery knows: the account, its attributes, and one key per attribute and local day.
 *
 * All of it lives in the database; a step loads it, decides, and writes what changed in one transaction. So a
 * crash at any instant finds the state of the last whole step.
 */
import type { ValueType } from '../attribute.ts';
import type { EpochMs, LocalDate } from '../time.ts';
import type { Units } from '../units.ts';
import type { Request } from './request.ts';

/** How far the bridge trusts its own ledger against what stands in Exist. */
export type Mode =
  /** The bridge made the attribute and nobody else writes it: the ledger wins. */
  | 'strict'
  /** The bridge owns it: raise freely, lower by no more than what is in doubt, adopt any other excess. */
  | 'guarded'
  /** Others write it too: never overwrite, adopt what they did, hold what is ambiguous. */
  | 'shared';

export interface Settings {
  /** How long an unknown outcome rests before it is read back. */
  readonly settleMs: number;
  /** Exist's limit for one user, reads included. */
  readonly callsPerHour: number;
  readonly flushEveryMs: number;
  readonly lingerMs: number;
  /** Items a call, 1 to 35. */
  readonly batch: number;
  /** The zone the configuration names; without it the account's own is asked for once. */
  readonly timezone?: string;
}

export interface Account {
  /** The call that is on its way, or whose answer a crash swallowed. */
  call: CallInFlight | null;
  /** Number of the last call; counts up for ever. */
  lastCallId: number;
  /** Nothing is sent but a probe at `until`: the token does not work, or Exist refuses us. */
  hold: Rest | null;
  /** Nothing is sent until then: rate limit or back-off. */
  pause: Rest | null;
  /** Calls in a row without a proper answer. */
  failures: number;
  /** Rate-limit answers in a row. */
  rateLimits: number;
  lastFlushAt: EpochMs | null;
  /** A flush has begun and its batches are not all sent. */
  flushing: boolean;
  lastSuccessAt: EpochMs | null;
  /** Calls made, by minute since the epoch: the rolling hour's budget. */
  spent: readonly { readonly minute: number; readonly calls: number }[];
  nextAuditAt: EpochMs | null;
  /** The account's own zone, from its profile. */
  timezone: string | null;
  /** People move: asked again with every audit. */
  zoneIsOld: boolean;
  /** Answers to `increment` have carried dates: two days of one attribute may share a call. */
  datesEchoed: boolean;
  /** Page of the owned list to read next; `null` once it is read. */
  ownedPage: number | null;
}

export interface Rest {
  readonly until: EpochMs;
  readonly since: EpochMs;
  readonly reason: 'unauthorised' | 'forbidden' | 'rate-limited' | 'network' | 'unknown';
  /** Exist's or the system's own words. */
  readonly message: string;
}

export interface CallInFlight {
  readonly id: number;
  readonly startedAt: EpochMs;
  readonly request: Request;
}

/** What the configuration wants, and what Exist has made of it. */
export interface Attribute {
  /** The name in the configuration. */
  readonly name: string;
  /** The name at Exist: a slug that only its answer tells. */
  existName: string | null;
  readonly template: string | null;
  readonly label: string;
  readonly group: string;
  readonly valueType: ValueType;
  /** The user's word on other writers; `null`: decided by who made it. */
  readonly wantedMode: Mode | null;
  mode: Mode;
  /** `wanted`: look whether we own it; `missing`: create or acquire it; `held`: only the user can help. */
  state: 'wanted' | 'missing' | 'ready' | 'held';
  createdByUs: boolean;
  /** Acquired again after a write said it is not ours, and no write has succeeded since. */
  reacquired: boolean;
  reason: string | null;
  /** When a held attribute is looked at again by itself; of one that is ready: when it is asked for once more. */
  retryAt: EpochMs | null;
}

interface KeyBase {
  readonly attribute: string;
  readonly day: LocalDate;
  /** When the oldest contribution that is not sent yet came. */
  openSince: EpochMs | null;
  /** `sending`: in the call on its way; `unknown`: nobody knows whether Exist applied it. */
  flight: 'none' | 'sending' | 'unknown';
  flightSince: EpochMs | null;
  /** When to read the day's value back, and how many follow-up looks come after that. */
  lookAt: EpochMs | null;
  looksLeft: number;
  /** When a call last carried it. */
  sentAt: EpochMs | null;
  /** When `seen` was seen; a repair goes out only on a fresh look. */
  seenAt: EpochMs | null;
  held: Held | null;
  /** Audited clean two days on: nothing more is expected. A late contribution opens it again. */
  closed: boolean;
  // What was counted outlives a mapping that goes over to writing the day whole, and comes back: so that nothing is
  // sent twice. What an `increment` or a value carried is told by its call, whatever the key is by then.
  /** All that the sensors said is to be added. */
  readonly total: Units;
  /** What the user told us to forget of it, or what a value written over it made void. */
  dropped: Units;
  /** What is booked as applied. */
  ours: Units;
  /** What the `increment` on its way, or of unknown outcome, carries. */
  flightAmount: Units;
  /** The value the `update` on its way, or of unknown outcome, carries. */
  flightValue: Units | string | null;
}

/** What the day is to stand at, whatever stands there: sent by `update` until Exist has confirmed it. */
export interface Fixed {
  readonly total: Units;
  /** A mapping that counts now, and wrote the day whole before: its last value had not surely arrived. */
  readonly by: 'user' | 'mapping';
}

export interface Held {
  readonly state: 'conflict' | 'refused';
  readonly reason: string;
  readonly since: EpochMs;
}

/** A day whose contributions are summed and sent by `increment`. */
export interface SumKey extends KeyBase {
  readonly kind: 'sum';
  /** What stood at Exist before us; `null`: not read yet. */
  base: Units | null;
  /** Nothing shown is adopted while it stands. */
  fixed: Fixed | null;
  /** Sum of the amounts whose outcome was ever unknown: how much too high Exist may be through us. */
  doubt: Units;
  /** What the last look or answer showed. */
  seen: Units | null;
  /** Exist's value is not base + ours: it is to be set right by `update`. */
  repair: boolean;
  /** Repairs in a row that did not hold. */
  repairs: number;
}

/** A day whose one value is written by `update`. */
export interface ValueKey extends KeyBase {
  readonly kind: 'value';
  wanted: Units | string;
  /** What we sent and Exist confirmed; `null`: nothing, or it is to be sent again whatever it is. */
  delivered: Units | string | null;
  /** What was shown in place of `delivered`, and taken as somebody else's change. */
  adopted: Units | string | null;
  /** A write of this key ever had an unknown outcome. */
  doubted: boolean;
  seen: Units | string | null;
  /** Only for shared attributes: what stands there was looked at before the next write. */
  based: boolean;
}

export type Key = SumKey | ValueKey;

export interface DeliveryState {
  readonly account: Account;
  /** By configured name. */
  readonly attributes: ReadonlyMap<string, Attribute>;
  /** Open keys, by `keyOf`. */
  readonly keys: ReadonlyMap<string, Key>;
}

export function keyOf(attribute: string, day: LocalDate): string {
  return `${day} ${attribute}`;
}

export function newAccount(): Account {
  return {
    call: null,
    lastCallId: 0,
    hold: null,
    pause: null,
    failures: 0,
    rateLimits: 0,
    lastFlushAt: null,
    flushing: false,
    lastSuccessAt: null,
    spent: [],
    nextAuditAt: null,
    timezone: null,
    zoneIsOld: false,
    datesEchoed: false,
    ownedPage: 1,
  };
}

export function newSumKey(
  attribute: string,
  day: LocalDate,
  total: Units,
  openSince: EpochMs | null,
): SumKey {
  const zero = 0 as Units;
  return {
    kind: 'sum',
    attribute,
    day,
    total,
    openSince,
    flight: 'none',
    flightSince: null,
    lookAt: null,
    looksLeft: 0,
    sentAt: null,
    seenAt: null,
    held: null,
    closed: false,
    dropped: zero,
    base: null,
    fixed: null,
    ours: zero,
    flightAmount: zero,
    flightValue: null,
    doubt: zero,
    seen: null,
    repair: false,
    repairs: 0,
  };
}

export function newValueKey(
  attribute: string,
  day: LocalDate,
  wanted: Units | string,
  openSince: EpochMs | null,
): ValueKey {
  const zero = 0 as Units;
  return {
    kind: 'value',
    attribute,
    day,
    wanted,
    openSince,
    flight: 'none',
    flightSince: null,
    lookAt: null,
    looksLeft: 0,
    sentAt: null,
    seenAt: null,
    held: null,
    closed: false,
    total: zero,
    dropped: zero,
    ours: zero,
    flightAmount: zero,
    flightValue: null,
    delivered: null,
    adopted: null,
    doubted: false,
    seen: null,
    based: false,
  };
}
