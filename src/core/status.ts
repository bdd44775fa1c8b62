/**
 * What the daemon says of itself: `status --json` and `GET /api/status` are this, to the letter.
 */
import type { Silent } from './silence.ts';
import type { LocalDate } from './time.ts';

export interface Status {
  readonly version: string;
  /** Whole seconds since the daemon was ready. */
  readonly uptime_s: number;
  readonly health: 'ok' | 'degraded';
  /** Why it is degraded, in sentences for a person; empty where all is well. */
  readonly problems: readonly string[];
  readonly exist: {
    readonly url: string;
    /**
     * `starting` before the first answer; `paused`: rate limit, back-off, or the hour's calls are used up; `held`:
     * only the user can help.
     */
    readonly state: 'starting' | 'ok' | 'paused' | 'held';
    readonly detail: string | null;
    /** ISO 8601 with zone, or null where no call has succeeded yet. */
    readonly last_success: string | null;
    readonly last_flush: string | null;
    /** Not before then; null where nothing waits. */
    readonly next_flush: string | null;
    /** Calls left in the hour that ends now. */
    readonly calls_left: number;
  };
  readonly broker: {
    readonly listening: readonly string[];
    readonly clients: number;
    /** Since the start; only what has happened. */
    readonly not_done: readonly NotDone[];
    /** What listeners with TLS show. */
    readonly certificate: {
      /** ISO 8601 with zone. */
      readonly valid_until: string;
      /** Host names and addresses. */
      readonly names: readonly string[];
    } | null;
  } | null;
  /** Existing brokers that readings are taken from, in the order of the configuration. */
  readonly connections: readonly {
    readonly name: string;
    /** Without user name and password. */
    readonly url: string;
    /** `connecting`: not yet answered since the start. */
    readonly state: 'connecting' | 'connected' | 'down';
    /** ISO 8601 with zone: when it came into this state. */
    readonly since: string;
    /** Why it was last lost, or could not be made. */
    readonly last_error: string | null;
    /** Messages taken from it since the start. */
    readonly messages: number;
  }[];
  /** Mappings and devices that nothing was heard of for longer than they say (`silent_after`). */
  readonly silent: readonly Silent[];
  readonly queue: {
    readonly pending_items: number;
    readonly in_flight_items: number;
    readonly unknown_items: number;
    readonly conflict_items: number;
    readonly refused_items: number;
  };
  readonly readings: {
    readonly accepted: number;
    readonly ignored: number;
    readonly refused: number;
    readonly duplicates: number;
  };
  /** The last refused readings, newest first, at most 20. */
  readonly refused_readings: readonly {
    readonly at: string;
    readonly topic: string;
    readonly reason: string;
    /** At most 200 characters of the payload. */
    readonly payload: string;
  }[];
  /** Items only the user can settle. */
  readonly held: readonly {
    readonly attribute: string;
    readonly day: LocalDate;
    readonly state: 'conflict' | 'refused';
    readonly reason: string;
    /** ISO 8601 with zone. */
    readonly since: string;
    /** What is not delivered because of it; text for attributes of type text. */
    readonly amount: number | string;
    /** How much of the amount only waits behind it: `retry`, `drop` and `count` do not touch it, it is sent then. */
    readonly behind: number;
    /** What Exist showed last, or null where that was nothing, or there was no look. */
    readonly seen: number | string | null;
    /** ISO 8601 with zone: when it was looked at; what is held is at every start and every night. */
    readonly seen_at: string | null;
  }[];
  /** Attributes that cannot be written until somebody does something. */
  readonly held_attributes: readonly {
    readonly attribute: string;
    readonly reason: string;
    /** What waits for it; `held drop`, `count` and `set` settle it day by day. */
    readonly days: readonly WaitingDay[];
  }[];
  readonly today: readonly {
    readonly attribute: string;
    readonly day: LocalDate;
    /** What the sensors said. Numbers; text for attributes of type text. */
    readonly total: number | string;
    /** What Exist has confirmed of it. */
    readonly delivered: number | string | null;
  }[];
}

/** A day of an attribute that is held as a whole. */
export interface WaitingDay {
  readonly attribute: string;
  readonly day: LocalDate;
  /** `unknown`: a part of the amount was on its way, and nobody knows whether it arrived. */
  readonly state: 'open' | 'unknown';
  /** What is not delivered, or not surely; text for attributes of type text. */
  readonly amount: number | string;
  /** What Exist showed last, or null where that was nothing, or there was no look. */
  readonly seen: number | string | null;
  /** ISO 8601 with zone: when it was looked at. */
  readonly seen_at: string | null;
  /** The total that the user set, to be written once the attribute works; else null. */
  readonly set_to: number | null;
}

/** What the embedded broker did not do for clients, and why. */
export interface NotDone {
  readonly what: 'connection' | 'publish' | 'subscription' | 'will' | 'forward' | 'retained';
  readonly reason: string;
  readonly count: number;
}
