/**
 * One existing broker as a source of readings: kept connected, subscribed to what the mappings want, each message
 * given to the intake and acknowledged when the intake is done with it.
 *
 * ```
 *   start ─▶ connecting ─▶ connected ◀──────┐ accepted
 *                │             │ lost       │
 *                └── failed ───┴─▶ down ────┘   tries again after a growing, jittered pause
 * ```
 *
 * The session is persistent: the broker keeps what it has for us while we are away, and sends again what we did
 * not acknowledge. Packet ids are the broker's and mean something only within a session, so the marks by which
 * the intake knows a redelivery carry the session; a broker that has lost the session begins a new one, and marks
 * of the old one can no longer make a new message look like a second copy.
 */
import { backOffMs } from '../core/delivery/pace.ts';
import { filterTest, isOwnTopic } from '../core/topic.ts';
import { disjointFilters } from './disjoint.ts';
import { subackText, type Failure } from './failure.ts';
import type { Rival, Witness } from './farewell.ts';
import { Link, type Incoming } from './link.ts';
import type { Announcement, SourceOptions, SourceParts, SourceStatus } from './ports.ts';
import { Replays } from './replays.ts';
import { Session } from './session.ts';
import { sessionKey, urlOf } from './session-key.ts';

const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;
/** For a broker that refuses us until somebody does something: some lock out who asks too often. */
const LONGEST_REFUSED_PAUSE_MS = 5 * 60_000;
/** A connection that held so long ends a row of failures. */
const STEADY_AFTER_MS = 30_000;
/** An outage shorter than this needs nobody's attention. */
const OUTAGE_IS_TROUBLE_AFTER_MS = 60_000;
/** Filters in one SUBSCRIBE or UNSUBSCRIBE. */
const MOST_IN_A_PACKET = 100;
/** For an answer that somebody waits for. */
const ANSWER_WITHIN_MS = 1_000;
const WITNESS_WITHIN_MS = 10_000;

export class Source implements Rival {
  /** Names its session in the store: one belongs to a client id at a broker. */
  readonly key: string;
  private readonly url: string;
  private readonly session: Session;
  private readonly replays: Replays;
  private link: Link | undefined;
  private state: SourceStatus['state'] = 'connecting';
  private since: number;
  private failures = 0;
  private lastError: string | undefined;
  private messages = 0;
  private cancelPause: (() => void) | undefined;
  private connectedAtMs = 0;
  private hadLink = false;
  private isStopped = false;
  /** Changed where the broker does not speak it. */
  private version: 4 | 5;
  /** Changes of subscriptions, one after the other. */
  private changing: Promise<void> = Promise.resolve();
  private readonly refused = new Map<string, number>();
  private wanted: readonly string[];

  constructor(
    private readonly options: SourceOptions,
    filters: readonly string[],
    private readonly parts: SourceParts,
    /** What the broker is to know of the bridge, by topic. */
    private readonly announcements: ReadonlyMap<string, string>,
    /** Under what else its session may be in the store. */
    predecessor: () => string | undefined,
  ) {
    this.wanted = wantedOf(filters);
    this.version = options.protocol ?? 5;
    this.since = parts.now();
    this.key = sessionKey(options);
    this.url = urlOf(options);
    this.session = new Session(parts.sessions, this.key, parts.newSession, predecessor);
    this.replays = new Replays((topic) => {
      parts.log('info', `${this.title} keeps the retain flag on live messages; they are told from replays`, {
        topic,
      });
    });
  }

  start(): void {
    this.connect();
  }

  /** Messages not yet acknowledged stay with the broker. */
  async stop(): Promise<void> {
    this.isStopped = true;
    this.cancelPause?.();
    const { link } = this;
    this.link = undefined;
    await link?.close(false);
  }

  /**
   * The connection was taken out of the configuration: the broker should keep nothing for us. What cannot be ended now
   * stays in the store, for a farewell.
   */
  async leave(): Promise<void> {
    const { link } = this;
    let isLeft = false;
    if (link && this.state === 'connected') {
      const answer = await inTime(this.unsubscribe(link, this.session.subscribed), ANSWER_WITHIN_MS);
      // MQTT 3.1.1 has no word for the end of a session.
      isLeft = answer === 'holds' && link.version === 5;
    }
    this.isStopped = true;
    this.cancelPause?.();
    this.link = undefined;
    await link?.close(true);
    try {
      if (isLeft) this.session.forget();
    } catch (error) {
      this.parts.log('debug', `${this.title} is left, which cannot be stored: ${messageOf(error)}`);
    }
  }

  witness(): Witness | undefined {
    const { link } = this;
    if (!link || this.state !== 'connected') return undefined;
    return () => inTime(link.answers(), WITNESS_WITHIN_MS);
  }

  inherit(filters: readonly string[]): void {
    this.session.inherit(filters);
    if (this.link && this.state === 'connected') this.changeSubscriptions(this.link, false);
  }

  /** Other filters from now on. */
  reconfigure(filters: readonly string[]): void {
    this.wanted = wantedOf(filters);
    if (this.link && this.state === 'connected') this.changeSubscriptions(this.link, false);
  }

  /** Tells the broker, or leaves it for when it is connected: it is among the announcements then. */
  publish(announcement: Announcement): void {
    if (this.link && this.state === 'connected') this.announce(this.link, [announcement]);
  }

  /** Why nothing can be looked at there, besides what the session brings; `undefined` where it can. */
  get blindness(): string | undefined {
    if (this.state === 'connected') return undefined;
    return this.lastError ?? 'no answer yet';
  }

  /** As the broker speaks it. */
  get protocol(): 4 | 5 {
    return this.version;
  }

  /** Whether the session brings what is published to `topic`. */
  hears(topic: string): boolean {
    return this.state === 'connected' && this.session.subscribed.some((filter) => filterTest(filter)(topic));
  }

  status(): SourceStatus {
    const { state, since, lastError, messages } = this;
    return {
      name: this.options.name,
      url: this.url,
      state,
      since,
      lastError,
      messages,
      trouble: this.trouble(),
    };
  }

  private get title(): string {
    return `connection ${this.options.name} (${this.url})`;
  }

  private trouble(): string | undefined {
    const now = this.parts.now();
    if (this.state !== 'connected' && now - this.since >= OUTAGE_IS_TROUBLE_AFTER_MS) {
      const minutes = Math.floor((now - this.since) / 60_000);
      return `${this.title} is down for ${minutes} min: ${this.lastError ?? 'no answer yet'}`;
    }
    const [first] = this.refused;
    if (!first) return undefined;
    const more = this.refused.size > 1 ? ` and ${this.refused.size - 1} more` : '';
    return `${this.title} refuses the subscription to ${first[0]}${more}: ${subackText(first[1])}`;
  }

  private connect(): void {
    if (this.isStopped) return;
    const { parts } = this;
    const link: Link = new Link(this.options, this.version, parts.will, {
      accepted: (isSessionPresent) => {
        this.guard(link, () => {
          this.session.resume(isSessionPresent);
          this.replays.begin(parts.monotonicMs());
        });
      },
      ready: () => {
        this.connected(link);
      },
      message: (message, done) => {
        this.take(message, done);
      },
      released: (packetIds) => {
        for (const packetId of packetIds) parts.inlet.released(this.client, packetId);
      },
      failed: (failure) => {
        this.failed(link, failure);
      },
    });
    this.link = link;
    link.open();
  }

  /** As the marks of redeliveries name us. */
  private get client(): string {
    return `source:${this.options.name}:${this.session.sessionId}`;
  }

  private take(message: Incoming, done: (error?: Error) => void): void {
    const { topic, payload, retain, dup, packetId } = message;
    if (isOwnTopic(topic)) {
      done();
      return;
    }
    this.messages += 1;
    const { inlet, monotonicMs } = this.parts;
    const replay = this.replays.isReplay(topic, message, monotonicMs());
    // Marks are void when the broker says that the session is: no time has to pass for that.
    const redeliveredWithinMs = Number.POSITIVE_INFINITY;
    const clientId = this.client;
    inlet.take({ topic, payload, retain, replay, dup, packetId, clientId, redeliveredWithinMs }, done);
  }

  private connected(link: Link): void {
    if (this.link !== link) return;
    const { log, now, monotonicMs } = this.parts;
    if (this.hadLink && this.state === 'down') {
      log('info', `${this.title} is back`, { down_s: Math.round((now() - this.since) / 1_000) });
    } else {
      log('info', `${this.title} is connected`, { mqtt: link.version === 5 ? '5' : '3.1.1' });
    }
    this.hadLink = true;
    this.state = 'connected';
    this.since = now();
    this.connectedAtMs = monotonicMs();
    this.refused.clear();
    this.changeSubscriptions(link, true);
    this.announce(
      link,
      [...this.announcements].map(([topic, payload]) => ({ topic, payload })),
    );
  }

  private failed(link: Link, failure: Failure): void {
    if (this.link !== link || this.isStopped) return;
    this.link = undefined;
    const { log, now, random, after, monotonicMs } = this.parts;
    const wasConnected = this.state === 'connected';
    if (this.options.protocol === undefined && !wasConnected && this.isOfVersion(failure)) {
      this.version = this.version === 5 ? 4 : 5;
      if (failure.kind === 'version' && this.version === 4) {
        this.connect();
        return;
      }
    }
    if (wasConnected && monotonicMs() - this.connectedAtMs >= STEADY_AFTER_MS) this.failures = 0;
    this.failures += 1;
    this.lastError = failure.text;
    if (this.state === 'down') {
      log('debug', `${this.title} is still down: ${failure.text}`);
    } else {
      log('warn', `${this.title} ${wasConnected ? 'is lost' : 'fails'}: ${failure.text}; it is tried again`);
      if (wasConnected) this.since = now();
      this.state = 'down';
    }
    const isForSomebody = failure.kind === 'refused' || failure.kind === 'size';
    const longestMs = isForSomebody ? LONGEST_REFUSED_PAUSE_MS : LONGEST_PAUSE_MS;
    this.cancelPause = after(backOffMs(this.failures, random(), FIRST_PAUSE_MS, longestMs), () => {
      this.connect();
    });
  }

  /** Some old brokers answer a CONNECT of MQTT 5 with a refusal, others by hanging up. */
  private isOfVersion({ kind }: Failure): boolean {
    return kind === 'version' || kind === 'mute';
  }

  /**
   * Asks for what is wanted and lets go of the rest. With MQTT 5 all of it is asked for at each connection: a
   * broker that came back with an old state learns it anew, and nothing is replayed for what it still had. MQTT
   * 3.1.1 would replay all retained messages, so there only what is not known to be subscribed is asked for.
   */
  private changeSubscriptions(link: Link, isNewLink: boolean): void {
    this.changing = this.changing
      .then(() => this.subscribeTo(link, isNewLink && link.version === 5))
      .catch((error: unknown) => {
        link.abort({ text: `subscribing failed: ${messageOf(error)}`, kind: 'other' });
      });
  }

  private async subscribeTo(link: Link, again: boolean): Promise<void> {
    if (this.link !== link) return;
    const { qos } = this.options;
    const { unsubscribe, subscribe } = this.session.change(this.wanted, qos, again);
    if (subscribe.length > 0) this.replays.begin(this.parts.monotonicMs());
    // In this order, at once: what both match must not come twice, and nothing should fall between them.
    const gone = unsubscribe.length > 0 ? this.unsubscribe(link, unsubscribe) : Promise.resolve();
    const answers = chunks(subscribe).map(async (filters) => ({
      filters,
      codes: await link.subscribe(filters, qos),
    }));
    await gone;
    for (const { filters, codes } of await Promise.all(answers)) {
      const isRefused = (_: string, index: number) => (codes[index] ?? 0x80) >= 0x80;
      const granted = filters.filter((filter, index) => !isRefused(filter, index));
      if (granted.length > 0) this.session.granted(granted, qos);
      for (const filter of granted) this.refused.delete(filter);
      const refused = filters.filter(isRefused);
      if (refused.length === 0) continue;
      this.session.gone(refused);
      for (const filter of refused) this.refused.set(filter, codes[filters.indexOf(filter)] ?? 0x80);
      this.parts.log('warn', `${this.title} refuses subscriptions`, { filters: refused.slice(0, 20) });
    }
    for (const filter of this.refused.keys()) if (!this.wanted.includes(filter)) this.refused.delete(filter);
  }

  private async unsubscribe(link: Link, filters: readonly string[]): Promise<void> {
    await Promise.all(chunks(filters).map((some) => link.unsubscribe(some)));
    this.session.gone(filters);
  }

  private announce(link: Link, announcements: readonly Announcement[]): void {
    void (async () => {
      for (const announcement of announcements) {
        if (this.link !== link) return;
        await link.publish(announcement);
      }
    })().catch((error: unknown) => {
      this.parts.log('debug', `${this.title} does not take what the bridge tells`, {
        reason: messageOf(error),
      });
    });
  }

  /** What throws here is the store: without it nothing can be promised, so the connection waits. */
  private guard(link: Link, work: () => void): void {
    try {
      work();
    } catch (error) {
      link.abort({ text: `its session cannot be stored: ${messageOf(error)}`, kind: 'other' });
    }
  }
}

function wantedOf(filters: readonly string[]): string[] {
  return disjointFilters(filters.filter((filter) => !isOwnTopic(filter)));
}

function chunks(filters: readonly string[]): string[][] {
  const count = Math.ceil(filters.length / MOST_IN_A_PACKET);
  return Array.from({ length: count }, (_, n) =>
    filters.slice(n * MOST_IN_A_PACKET, (n + 1) * MOST_IN_A_PACKET),
  );
}

/** What came of a question to the broker. */
async function inTime(answer: Promise<void>, withinMs: number): ReturnType<Witness> {
  let timer: NodeJS.Timeout | undefined;
  const silence = new Promise<'silent'>((resolve) => {
    timer = setTimeout(() => resolve('silent'), withinMs);
  });
  const said = answer.then(
    () => 'holds' as const,
    () => 'lost' as const,
  );
  const first = await Promise.race([said, silence]);
  clearTimeout(timer);
  return first;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
