/**
 * What the intake writes down of a message, whichever store keeps it.
 */
import type { Contribution } from './reading.ts';
import type { EpochMs } from './time.ts';

/** One line of the journal. */
export interface JournalEntry {
  readonly receivedAt: EpochMs;
  readonly topic: string;
  readonly verdict: 'accepted' | 'ignored' | 'refused' | 'duplicate' | 'timer';
  readonly delivery: DeliveryMark | undefined;
  readonly contributions: readonly Contribution[];
  readonly reason: string | undefined;
  /** A bounded piece of a refused payload. */
  readonly sample: string | undefined;
}

/** What tells a redelivery: MQTT's client and packet id, and a digest of topic and payload. */
export interface DeliveryMark {
  readonly client: string;
  readonly packetId: number;
  readonly digest: string;
}

/** A message taken before its time could be told. */
export interface UndatedMessage {
  readonly seq: number;
  readonly bootId: string;
  /** Milliseconds since that boot. */
  readonly monotonicMs: number;
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly retain: boolean;
  readonly replay: boolean;
  readonly delivery: DeliveryMark | undefined;
}

/** How many readings came to what; counted for ever. */
export interface Counters {
  accepted: number;
  ignored: number;
  refused: number;
  duplicates: number;
}
