/**
 * Notices sensors that have gone quiet: a mapping or a device may say after how long without a message
 * (`silent_after`). Of a mapping with wildcards each topic counts by itself once it was heard: one door of five is missed,
 * too. It only tells; a day never gets a value that nobody measured.
 *
 * When something was last heard of survives restarts, written down every now and then: a few minutes too old at worst.
 */
import { wordsOf, type Silent, type Watched } from '../core/silence.ts';
import { DAY_MS, HOUR_MS, MINUTE_MS, type EpochMs } from '../core/time.ts';

export interface Watch {
  /** What it is heard by: a mapping's key, or what `deviceKey` makes of a name. */
  readonly key: string;
  readonly of: Watched;
  readonly silentAfterMs: number;
  /** It is many sensors, one a topic. */
  readonly isMany: boolean;
}

export interface SilenceParts {
  /** As they are now: the configuration and the devices change while the daemon runs. */
  readonly watches: () => readonly Watch[];
  /** `undefined` while the time is not known. */
  readonly now: () => EpochMs | undefined;
  readonly monotonicMs: () => number;
  readonly after: (delayMs: number, task: () => void) => () => void;
  /** Instants by key, as the last run saved them. */
  readonly load: () => Readonly<Record<string, number>>;
  readonly save: (heard: Readonly<Record<string, number>>) => void;
  readonly log: (level: 'info' | 'warn', message: string) => void;
}

const CHECK_EVERY_MS = MINUTE_MS;
const SAVE_EVERY_MS = 10 * MINUTE_MS;
/** Topics of a mapping that are watched; further ones only keep the mapping as a whole from being silent. */
const MOST_TOPICS = 200;
/** A sensor that has been quiet for so long was taken away: its topic is forgotten. */
const GONE_MS = 30 * DAY_MS;

/** No mapping has it: theirs begin with an attribute and a colon. */
export function deviceKey(name: string): string {
  return `device ${name}`;
}

/** In place of a topic: all of them. */
const WHOLE = '';
/** Neither keys nor topics have it [MQTT-1.5.3-2]. */
const SEPARATOR = '\0';

interface Sensor {
  readonly id: string;
  readonly of: Watched;
  readonly quietMs: number;
}

function idOf(key: string, topic: string): string {
  return topic === WHOLE ? key : `${key}${SEPARATOR}${topic}`;
}

export class Silence {
  /** By the monotonic clock: of a key, and of each topic of those that are many. */
  private readonly heardMs = new Map<string, Map<string, number>>();
  private readonly quiet = new Set<string>();
  /** What the last run heard is taken over, which wants the time. */
  private isLoaded = false;
  private savedMs = 0;
  private cancel: (() => void) | undefined;

  constructor(private readonly parts: SilenceParts) {}

  start(): void {
    this.savedMs = this.parts.monotonicMs();
    this.check();
  }

  /** Idempotent. */
  stop(): void {
    if (this.cancel) this.save();
    this.cancel?.();
    this.cancel = undefined;
  }

  /** A message came that `key` was waiting for. */
  heard(key: string, topic = WHOLE): void {
    const nowMs = this.parts.monotonicMs();
    const known = this.heardMs.get(key);
    if (!known) {
      this.heardMs.set(key, new Map([WHOLE, topic].map((one) => [one, nowMs])));
      return;
    }
    known.set(WHOLE, nowMs);
    if (known.has(topic) || known.size <= MOST_TOPICS) known.set(topic, nowMs);
  }

  /** Those that nothing was heard of for too long. */
  list(): Silent[] {
    const now = this.parts.now();
    if (now === undefined) return [];
    return this.parts.watches().flatMap((watch) =>
      this.sensorsOf(watch).flatMap(({ of, quietMs }) => {
        if (quietMs < watch.silentAfterMs) return [];
        const since = new Date(now - quietMs).toISOString();
        return [{ ...of, last_heard: since, silent_after_s: watch.silentAfterMs / 1_000 }];
      }),
    );
  }

  /** What is watched one by one: each topic of a mapping that is many, once there is one; else the whole. */
  private sensorsOf({ key, of, isMany }: Watch): Sensor[] {
    const nowMs = this.parts.monotonicMs();
    const known = this.heardMs.get(key) ?? new Map([[WHOLE, nowMs]]);
    const topics = isMany && of.kind === 'mapping' ? [...known].filter(([topic]) => topic !== WHOLE) : [];
    if (of.kind !== 'mapping' || topics.length === 0) {
      return [{ id: key, of, quietMs: nowMs - (known.get(WHOLE) ?? nowMs) }];
    }
    return topics.map(([topic, ms]) => ({
      id: idOf(key, topic),
      of: { ...of, topics: [topic] },
      quietMs: nowMs - ms,
    }));
  }

  /** Takes over what the last run heard. What is new is given its time from now on; what is gone is forgotten. */
  private follow(watches: readonly Watch[], now: EpochMs): void {
    const saved = this.isLoaded ? {} : this.parts.load();
    this.isLoaded = true;
    const nowMs = this.parts.monotonicMs();
    const keys = new Set(watches.map(({ key }) => key));
    for (const key of this.heardMs.keys()) if (!keys.has(key)) this.heardMs.delete(key);
    for (const [id, at] of Object.entries(saved)) {
      const [key = '', topic = WHOLE] = id.split(SEPARATOR);
      if (!keys.has(key)) continue;
      const known = this.heardMs.get(key) ?? new Map<string, number>();
      this.heardMs.set(key, known);
      if (!known.has(topic)) known.set(topic, nowMs - Math.max(0, now - at));
    }
    for (const key of keys) {
      const known = this.heardMs.get(key);
      if (!known) this.heardMs.set(key, new Map([[WHOLE, nowMs]]));
      for (const [topic, ms] of known ?? []) {
        if (topic !== WHOLE && nowMs - ms > GONE_MS) known?.delete(topic);
      }
    }
  }

  private check(): void {
    const now = this.parts.now();
    if (now !== undefined) {
      const watches = this.parts.watches();
      this.follow(watches, now);
      const ids = new Set<string>();
      for (const watch of watches) {
        for (const sensor of this.sensorsOf(watch)) {
          ids.add(sensor.id);
          this.tell(sensor, watch.silentAfterMs);
        }
      }
      for (const id of this.quiet) if (!ids.has(id)) this.quiet.delete(id);
      if (this.parts.monotonicMs() - this.savedMs >= SAVE_EVERY_MS) this.save();
    }
    this.cancel = this.parts.after(CHECK_EVERY_MS, () => {
      this.check();
    });
  }

  /** Once when it goes quiet, once when it is back. */
  private tell({ id, of, quietMs }: Sensor, silentAfterMs: number): void {
    const isQuiet = quietMs >= silentAfterMs;
    if (isQuiet === this.quiet.has(id)) return;
    if (isQuiet) {
      this.quiet.add(id);
      const hours = Math.round((quietMs / HOUR_MS) * 10) / 10;
      this.parts.log('warn', `nothing was heard of ${wordsOf(of)} for ${hours} h`);
    } else {
      this.quiet.delete(id);
      this.parts.log('info', `${wordsOf(of)} is heard of again`);
    }
  }

  private save(): void {
    const now = this.parts.now();
    const watches = this.parts.watches();
    if (now === undefined || !this.isLoaded || watches.length === 0) return;
    this.savedMs = this.parts.monotonicMs();
    const nowMs = this.parts.monotonicMs();
    const heard = watches.flatMap(({ key, isMany }) =>
      [...(this.heardMs.get(key) ?? [])]
        .filter(([topic]) => isMany || topic === WHOLE)
        .map(([topic, ms]): [string, number] => [idOf(key, topic), now - (nowMs - ms)]),
    );
    this.parts.save(Object.fromEntries(heard));
  }
}
