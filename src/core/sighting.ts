/**
 * What can be seen of messages as they come: `mqtt2exist topics` and `watch`.
 */
import type { Contribution } from './reading.ts';
import type { EpochMs } from './time.ts';

/**
 * What became of a message: `waiting` for the time to be known, `unmapped` where no mapping takes its topic, `denied`
 * where its account has no right to the topic, `looked_at` where it is mapped and came by a look at a connection only.
 */
export type Fate =
  'accepted' | 'ignored' | 'refused' | 'duplicate' | 'waiting' | 'unmapped' | 'denied' | 'looked_at';

/** For people. */
export function wordsOf(fate: Fate): string {
  return fate.replace('_', ' ');
}

/** One message, and what became of it. */
export interface Sighting {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly retain: boolean;
  /** It came because of a subscription, not because somebody published. */
  readonly replay: boolean;
  readonly at: EpochMs;
  /** The account, client or connection it came from, where that is known. */
  readonly from: string | undefined;
  /** Keys of the mappings that take it. */
  readonly keys: readonly string[];
  /** The same in words: `opens (count)`. */
  readonly mappings: readonly string[];
  readonly fate: Fate;
  readonly reason: string | undefined;
  readonly contributions: readonly Contribution[];
  /** A look at a connection brought it; others like it came while nobody looked. */
  readonly isLook?: boolean;
}

/** A topic as `GET /api/topics` shows it. */
export interface TopicSeen {
  readonly topic: string;
  /** ISO 8601. */
  readonly last_seen: string;
  /** Since the daemon was started, or since it was seen again after long. */
  readonly messages: number;
  /** Messages in the last ten minutes. */
  readonly last_10_min: number;
  /** Only looks at a connection bring it: what came while nobody looked is not counted. */
  readonly looked_at: boolean;
  readonly from: string | null;
  /** The beginning of the last payload; control characters are spaces. */
  readonly payload: string;
  readonly payload_bytes: number;
  readonly retain: boolean;
  readonly mappings: readonly string[];
  /** Of the last message. */
  readonly fate: Fate;
  readonly reason: string | null;
}

/** A line of `GET /api/watch`. */
export type WatchLine =
  | {
      readonly at: string;
      readonly topic: string;
      readonly from: string | null;
      readonly payload: string;
      readonly retain: boolean;
      readonly fate: Fate;
      readonly reason: string | null;
      /** `opens +1 (2026-11-24)`. */
      readonly contributions: readonly string[];
    }
  /** Lines that were left out because whoever watches reads too slowly. */
  | { readonly left_out: number }
  /** What cannot be shown, and why, in a sentence. */
  | { readonly note: string };
