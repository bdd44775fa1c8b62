/**
 * What is shown of messages besides what becomes of readings: what other brokers have that no mapping names, while
 * somebody looks, and what clients of the embedded one publish without a right. None of it is ever a reading.
 */
import type { Publish } from './broker/inlet.ts';
import type { Sighting, WatchLine } from './core/sighting.ts';
import { MINUTE_MS, type EpochMs } from './core/time.ts';
import type { Glimpse, Observer } from './sources/ports.ts';

/** Whoever has gone without a word must not keep other brokers busy. */
const LONGEST_LOOK_MS = 5 * MINUTE_MS;

export interface LookoutParts {
  readonly sightings: {
    saw(sighting: Sighting): void;
    watch(filter: string, show: (line: WatchLine) => void): (() => void) | undefined;
  };
  /** The mappings that take a topic, in words. */
  readonly mappingsOf: (topic: string) => readonly string[];
  /** Looks at all connections until the function given back is called. */
  readonly look: (filter: string, observer: Observer) => () => void;
  readonly now: () => EpochMs;
  readonly after: (delayMs: number, task: () => void) => () => void;
}

export class Lookout {
  constructor(private readonly parts: LookoutParts) {}

  /**
   * Shows what comes on the topics of `filter` until the function given back is called; `undefined`: too many watch.
   * @param isLooking connections are looked at, for some minutes
   */
  watch(filter: string, show: (line: WatchLine) => void, isLooking: boolean): (() => void) | undefined {
    const stopWatching = this.parts.sightings.watch(filter, show);
    if (!stopWatching || !isLooking) return stopWatching;
    const note = (words: string): void => {
      show({ note: words });
    };
    const stopLooking = this.parts.look(filter, { saw: (glimpse) => this.glimpsed(glimpse), note });
    const cancel = this.parts.after(LONGEST_LOOK_MS, () => {
      stopLooking();
      note('connections are looked at no longer: begin again to see more than what mappings name');
    });
    return () => {
      cancel();
      stopLooking();
      stopWatching();
    };
  }

  /** Why a device's messages come to nothing. */
  denied({ topic, payload, retain, clientId, account }: Publish, what: 'publish' | 'will'): void {
    const words = what === 'will' ? 'leave its will' : 'publish';
    const reason =
      account === undefined ? 'its account was taken away' : `account ${account} may not ${words} here`;
    this.show({ topic, payload, retain, from: account ?? clientId, fate: 'denied', reason });
  }

  private glimpsed({ topic, payload, retain, connection }: Glimpse): void {
    const isMapped = this.parts.mappingsOf(topic).length > 0;
    // As the intake names it.
    const from = `source:${connection}:look`;
    this.show({
      topic,
      payload,
      retain,
      from,
      fate: isMapped ? 'looked_at' : 'unmapped',
      reason: isMapped ? 'the connection has no subscription to it at the moment' : undefined,
      isLook: true,
    });
  }

  private show(seen: Omit<Sighting, 'replay' | 'at' | 'keys' | 'mappings' | 'contributions'>): void {
    const mappings = this.parts.mappingsOf(seen.topic);
    const at = this.parts.now();
    this.parts.sightings.saw({ ...seen, replay: seen.retain, at, keys: [], mappings, contributions: [] });
  }
}
