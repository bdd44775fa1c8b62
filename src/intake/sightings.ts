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

/** Topics that are remembered of those that mappings take, and of the others; the ones seen longest ago make room. */
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
  /** By topic. What no mapping takes pushes out none of these, and what somebody had no right to say changes none. */
  private readonly mapped = new Map<string, Seen>();
  /** By topic; what was denied by topic and sender. */
  private readonly others = new Map<string, Seen>();
  private readonly watchers = new Set<Watcher>();

  constructor(private readonly monotonicMs: () => number) {}

  saw(sighting: Sighting): void {
    const minute = Math.floor(this.monotonicMs() / MINUTE_MS);
    const { payload } = sighting;
    const seen = this.freshlySeen(sighting, minute);
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
    return [...this.mapped.values(), ...this.others.values()]
      .filter(({ sighting }) => fits(sighting.topic))
      .map((seen) => {
        roll(seen, minute);
        const { topic, at, from, retain, mappings, fate, reason, isLook = false } = seen.sighting;
        return {
          topic,
          last_seen: new Date(at).toISOString(),
          messages: seen.messages,
          last_10_min: seen.perMinute.reduce((sum, count) => sum + count, 0),
          looked_at: isLook,
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

  /** What is known of its topic, as the newest of its kind. */
  private freshlySeen(sighting: Sighting, minute: number): Seen {
    const { topic, payload, mappings, fate } = sighting;
    const isDenied = fate === 'denied';
    const key = isDenied ? `${topic}\0${sighting.from ?? ''}` : topic;
    const known = (isDenied ? undefined : this.mapped.get(key)) ?? this.others.get(key);
    if (!isDenied) this.mapped.delete(key);
    this.others.delete(key);
    const kind = mappings.length > 0 && !isDenied ? this.mapped : this.others;
    const seen = known ?? {
      sighting,
      payload,
      payloadBytes: 0,
      messages: 0,
      perMinute: new Uint32Array(MINUTES),
      minute,
    };
    kind.set(key, seen);
    const oldest = kind.keys().next();
    if (kind.size > MOST_TOPICS && !oldest.done) kind.delete(oldest.value);
    return seen;
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
