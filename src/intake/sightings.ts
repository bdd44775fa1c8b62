/**
 * What was seen lately on every topic, and whoever watches messages live. In memory only, bounded, and never in the
 * way of a message.
 */
import { sampleOf } from '../core/payload.ts';
import type { Contribution } from '../core/reading.ts';
import type { Sighting, TopicSeen, WatchLine } from '../core/sighting.ts';
import { MINUTE_MS } from '../core/time.ts';
import { filterTest } from '../core/topic.ts';
import { formatUnits } from '../core/units.ts';

/** Topics that are remembered; the ones seen longest ago make room. */
const MOST_TOPICS = 1_000;
const SAMPLE_BYTES = 200;
const MINUTES = 10;
/** Somebody who watches is one person at a terminal. */
const MOST_WATCHERS = 8;

interface Seen {
  sighting: Omit<Sighting, 'payload' | 'contributions'>;
  /** Copied: a slice would keep the whole packet. */
  payload: Uint8Array;
  payloadBytes: number;
  messages: number;
  /** Messages by minute, the present one at `minute % MINUTES`. */
  readonly perMinute: Uint32Array;
  minute: number;
}

interface Watcher {
  readonly fits: (topic: string) => boolean;
  readonly show: (line: WatchLine) => void;
}

export class Sightings {
  private readonly topics = new Map<string, Seen>();
  private readonly watchers = new Set<Watcher>();

  constructor(private readonly monotonicMs: () => number) {}

  saw(sighting: Sighting): void {
    const minute = Math.floor(this.monotonicMs() / MINUTE_MS);
    const { topic, payload } = sighting;
    let seen = this.topics.get(topic);
    if (seen) {
      // A fresh insertion keeps the map in order of age.
      this.topics.delete(topic);
    } else {
      seen = { sighting, payload, payloadBytes: 0, messages: 0, perMinute: new Uint32Array(MINUTES), minute };
    }
    this.topics.set(topic, seen);
    if (this.topics.size > MOST_TOPICS) this.forgetOldest();
    seen.sighting = sighting;
    seen.payload = Uint8Array.prototype.slice.call(payload, 0, SAMPLE_BYTES);
    seen.payloadBytes = payload.length;
    seen.messages += 1;
    roll(seen, minute);
    seen.perMinute[minute % MINUTES] = (seen.perMinute[minute % MINUTES] ?? 0) + 1;
    if (this.watchers.size > 0) this.tell(sighting);
  }

  /** The topics that `filter` takes, by name. */
  list(filter = '#'): TopicSeen[] {
    const fits = everything(filter);
    const minute = Math.floor(this.monotonicMs() / MINUTE_MS);
    return [...this.topics.values()]
      .filter(({ sighting }) => fits(sighting.topic))
      .map((seen) => {
        roll(seen, minute);
        const { topic, at, from, retain, mappings, fate, reason } = seen.sighting;
        return {
          topic,
          last_seen: new Date(at).toISOString(),
          messages: seen.messages,
          last_10_min: seen.perMinute.reduce((sum, count) => sum + count, 0),
          from: origin(from),
          payload: sampleOf(seen.payload),
          payload_bytes: seen.payloadBytes,
          retain,
          mappings,
          fate,
          reason: reason ?? null,
        };
      })
      .sort((a, b) => (a.topic < b.topic ? -1 : 1));
  }

  /** Shows what comes on the topics of `filter`, until the function given back is called; `undefined`: too many watch. */
  watch(filter: string, show: (line: WatchLine) => void): (() => void) | undefined {
    if (this.watchers.size >= MOST_WATCHERS) return undefined;
    const watcher = { fits: everything(filter), show };
    this.watchers.add(watcher);
    return () => {
      this.watchers.delete(watcher);
    };
  }

  private tell({ topic, payload, at, from, retain, fate, reason, contributions }: Sighting): void {
    let line: WatchLine | undefined;
    for (const { fits, show } of this.watchers) {
      if (!fits(topic)) continue;
      line ??= {
        at: new Date(at).toISOString(),
        topic,
        from: origin(from),
        payload: sampleOf(payload),
        retain,
        fate,
        reason: reason ?? null,
        contributions: contributions.map(inWords),
      };
      show(line);
    }
  }

  private forgetOldest(): void {
    const oldest = this.topics.keys().next();
    if (!oldest.done) this.topics.delete(oldest.value);
  }
}

/** Clients of connections carry the name of the connection and its session. */
function origin(from: string | undefined): string | null {
  const [, connection] = /^source:(.+):[^:]*$/.exec(from ?? '') ?? [];
  return connection === undefined ? (from ?? null) : `connection ${connection}`;
}

/** `#` of a subscription leaves topics with $ out; whoever looks around wants to see them too. */
function everything(filter: string): (topic: string) => boolean {
  return filter === '#' ? () => true : filterTest(filter);
}

/** Empties the minutes that have passed since it was last counted. */
function roll(seen: Seen, minute: number): void {
  for (let passed = Math.max(seen.minute + 1, minute - MINUTES + 1); passed <= minute; passed += 1) {
    seen.perMinute[passed % MINUTES] = 0;
  }
  seen.minute = minute;
}

function inWords(contribution: Contribution): string {
  const { attribute, day } = contribution;
  if (contribution.kind === 'sum') return `${attribute} +${formatUnits(contribution.amount)} (${day})`;
  const { value } = contribution;
  return `${attribute} = ${typeof value === 'string' ? JSON.stringify(value) : formatUnits(value)} (${day})`;
}
