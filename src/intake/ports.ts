/**
 * What the intake needs from outside, and what it is given.
 */
import type { Counters, DeliveryMark, JournalEntry, UndatedMessage } from '../core/journal.ts';
import type { Mapping } from '../core/mapping/mapping.ts';
import type { MappingState } from '../core/mapping/mapping-state.ts';
import type { Extraction } from '../core/reading.ts';
import type { Sighting } from '../core/sighting.ts';
import type { EpochMs } from '../core/time.ts';

/** A PUBLISH as a broker hands it over. */
export interface Publish {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly retain: boolean;
  readonly dup: boolean;
  /** Only with QoS 1 and 2. */
  readonly packetId: number | undefined;
  /** `undefined` for the broker's own and for wills of clients that are gone. */
  readonly clientId: string | undefined;
  /** Whose client it is, where that is known. */
  readonly account?: string | undefined;
  /** Delivered because of a subscription, not because somebody published: sets state, counts nothing. */
  readonly replay?: boolean;
  /** How long a second copy may be under way; default: as long as a device's. */
  readonly redeliveredWithinMs?: number;
}

/** Called once a publish is durable, or with the error for which it was not taken. */
export type Taken = (error?: Error, result?: { readonly duplicate: boolean }) => void;

/** A mapping with the evaluation of its expressions. */
export interface Rule<Parsed> {
  readonly mapping: Mapping;
  extract(payload: Parsed): Extraction | Promise<Extraction>;
}

/** The journal: what `transact` gathers is durable when it returns, and gone when it throws. */
export interface Journal {
  transact<T>(work: () => T): T;
  count(verdict: keyof Counters): void;
  state(mapping: string, topic: string): MappingState | undefined;
  putState(mapping: string, topic: string, state: MappingState, dueAt: EpochMs | undefined): void;
  /** The states that want to be woken. */
  due(): { readonly mapping: string; readonly topic: string }[];
  storedStates(): Iterable<{
    readonly mapping: string;
    readonly topic: string;
    readonly state: MappingState;
  }>;
  isNewIdentity(mapping: string, topic: string, identity: string, now: EpochMs): boolean;
  add(entry: JournalEntry): void;
  addUndated(message: Omit<UndatedMessage, 'seq'>): void;
  undated(most: number): UndatedMessage[];
  removeUndated(seq: number): void;
  /** The boots of the undated messages, oldest first, and when in each the last one came. */
  undatedBoots(): { readonly bootId: string; readonly lastMs: number }[];
  /** `at`: `undefined` where the message has no date yet. */
  recentDeliveries(most: number): { readonly mark: DeliveryMark; readonly at: EpochMs | undefined }[];
}

export interface Clock {
  now(): EpochMs;
  /** Milliseconds since boot. */
  monotonicMs(): number;
  /** Runs `task` at `instant`; gives back how to call it off. */
  at(instant: EpochMs, task: () => void): () => void;
}

export interface IntakeParts<Parsed> {
  readonly journal: Journal;
  readonly clock: Clock;
  readonly bootId: string;
  /** The zone that days are counted in; `undefined` while the time or the zone is not known. */
  readonly zone: () => string | undefined;
  readonly parse: (payload: Uint8Array) => Parsed;
  /** Something was added to a day. */
  readonly onContributions: () => void;
  readonly onRefused: (topic: string, reason: string, sample: string, account: string | undefined) => void;
  /** Messages of a boot that never knew the time were dated as late as they can have come. */
  readonly onEstimated: (messages: number) => void;
  /** A message came, and what became of it; what was to be written is. */
  readonly onSeen: (sighting: Sighting) => void;
  /** A group was written. */
  readonly onStored: () => void;
  /** A group could not be written; its publishes are not acknowledged. */
  readonly onFault: (error: unknown) => void;
}
