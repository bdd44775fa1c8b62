/**
 * From a publish to the ledger: which mappings want it, what they read from it, what that contributes; all of it
 * in one durable transaction per group, and only then the acknowledgements.
 *
 * A group is whatever has come while the last one was written (group commit without a timer): while the disk is
 * busy, packets pile up in the sockets and form the next group. Readings of one topic keep their order; one whose
 * expressions are still being evaluated holds back only its own topic.
 *
 * Until time and zone are known, messages are kept as they came and dated later, in their order (undated.ts).
 */
import { hash } from 'node:crypto';
import type { DeliveryMark } from '../core/journal.ts';
import type { Extraction, Message } from '../core/reading.ts';
import { ALL_PACKET_IDS, RecentPublishes } from '../core/redelivery.ts';
import type { Sighting } from '../core/sighting.ts';
import type { EpochMs } from '../core/time.ts';
import { inWords, Interpreter, sightingOf, type Changed, type ReadMessage } from './interpreter.ts';
import type { IntakeParts, Publish, Rule, Taken } from './ports.ts';
import { Timers } from './timers.ts';
import { Undated } from './undated.ts';

interface Entry<Parsed> {
  readonly message: Message;
  /** Time and zone were known when it came. */
  readonly isDated: boolean;
  readonly mark: DeliveryMark | undefined;
  readonly account: string | undefined;
  readonly dup: boolean;
  readonly redeliveredWithinMs: number | undefined;
  readonly rules: readonly Rule<Parsed>[];
  /** One per rule; there when all are known. */
  extractions: readonly Extraction[] | undefined;
  readonly done: Taken;
}

/** A transaction takes no more than this many readings; the rest is the next group. */
const MOST_PER_GROUP = 5_000;
/** Marks of redeliveries that are taken up at the start: a broker may have so many messages under way. */
const RECENT_MARKS = ALL_PACKET_IDS;

export class Intake<Parsed> {
  private queue: Entry<Parsed>[] = [];
  private isFlushing = false;
  private idle: (() => void)[] = [];
  private readonly recent = new RecentPublishes();
  private readonly interpreter: Interpreter<Parsed>;
  private readonly timers: Timers<Parsed>;
  private readonly undated: Undated<Parsed>;

  constructor(
    private readonly parts: IntakeParts<Parsed>,
    rules: readonly Rule<Parsed>[],
  ) {
    this.interpreter = new Interpreter(parts, rules);
    this.timers = new Timers(parts, this.interpreter);
    this.undated = new Undated(parts, this.interpreter, (changed) => {
      this.timers.schedule(changed);
    });
  }

  /** Takes up what the last run left: marks of redeliveries, running timers, messages without a date. */
  start(): void {
    const { journal, clock } = this.parts;
    for (const { mark, at } of journal.recentDeliveries(RECENT_MARKS)) {
      // Not known how long ago: as good as now.
      const ageMs = at === undefined ? 0 : Math.max(0, clock.now() - at);
      const atMs = clock.monotonicMs() - ageMs;
      this.recent.remember(mark.client, mark.packetId, mark.digest, atMs, RECENT_MARKS);
    }
    this.undated.start();
    this.timeKnown();
  }

  /** Resolves when all that was taken is written or given back. */
  async stop(): Promise<void> {
    this.timers.stop();
    if (this.queue.length > 0) await new Promise<void>((resolve) => this.idle.push(resolve));
    await this.undated.stop();
  }

  /** Other mappings from now on. State of those that stay is kept. */
  reconfigure(rules: readonly Rule<Parsed>[]): void {
    this.interpreter.reconfigure(rules);
    this.timers.arm();
  }

  /** Time and zone may be known now, or be others: messages that waited for them are dated, timers run. */
  timeKnown(): void {
    if (this.parts.zone() === undefined) return;
    this.undated.date();
    this.timers.arm();
  }

  /** The clock was wrong by so much since `from`: what the mappings remember of that time is set right. */
  timeCorrected(byMs: number, from: EpochMs): void {
    this.timers.correct(byMs, from);
  }

  /** Calls `done` once the publish is durable, or known to need no storing; with an error it was not taken. */
  take(publish: Publish, done: Taken): void {
    const rules = this.interpreter.match(publish.topic);
    const { topic, payload, retain, replay = false, dup, redeliveredWithinMs } = publish;
    const message: Message = { topic, payload, retain, replay, receivedAt: this.parts.clock.now() };
    if (rules.length === 0) {
      const { account = publish.clientId } = publish;
      this.parts.onSeen(sightingOf({ message, mark: undefined, account, rules }, UNMAPPED));
      done();
      return;
    }
    const extractions = this.interpreter.extract(payload, rules);
    const entry: Entry<Parsed> = {
      message,
      isDated: this.parts.zone() !== undefined,
      mark: markOf(publish),
      account: publish.account,
      dup,
      redeliveredWithinMs,
      rules,
      extractions: undefined,
      done,
    };
    this.queue.push(entry);
    if (extractions instanceof Promise) {
      void extractions.then((known) => {
        entry.extractions = known;
        this.flushSoon();
      });
    } else {
      entry.extractions = extractions;
      this.flushSoon();
    }
  }

  /** The mappings that take the topic, in words: `opens (count)`. */
  mappingsOf(topic: string): string[] {
    return this.interpreter.match(topic).map(inWords);
  }

  /** QoS 2: the exchange is over, its packet id is free again. */
  released(clientId: string, packetId: number): void {
    this.recent.forget(clientId, packetId);
  }

  private flushSoon(): void {
    if (this.isFlushing) return;
    this.isFlushing = true;
    setImmediate(() => {
      this.isFlushing = false;
      this.flush();
    });
  }

  private flush(): void {
    const group = this.nextGroup();
    if (group.length > 0) this.write(group);
    if (this.queue.some((entry) => entry.extractions)) this.flushSoon();
    if (this.queue.length === 0) for (const resolve of this.idle.splice(0)) resolve();
  }

  /** Takes from the queue, in order, what is evaluated; a topic waits as a whole. */
  private nextGroup(): ReadyEntry<Parsed>[] {
    const group: ReadyEntry<Parsed>[] = [];
    const rest: Entry<Parsed>[] = [];
    const waiting = new Set<string>();
    for (const entry of this.queue) {
      if (isReady(entry) && group.length < MOST_PER_GROUP && !waiting.has(entry.message.topic)) {
        group.push(entry);
      } else {
        waiting.add(entry.message.topic);
        rest.push(entry);
      }
    }
    this.queue = rest;
    return group;
  }

  private write(group: readonly ReadyEntry<Parsed>[]): void {
    const { journal } = this.parts;
    const remembered: DeliveryMark[] = [];
    const duplicates = new Set<Entry<Parsed>>();
    const changed: Changed = new Map();
    const seen: Sighting[] = [];
    let contributed: boolean;
    try {
      contributed = journal.transact(() => {
        let isContribution = false;
        const zone = this.parts.zone();
        for (const entry of group) {
          if (this.isRedelivery(entry)) {
            duplicates.add(entry);
            journal.count('duplicates');
            seen.push(sightingOf(entry, DUPLICATE));
            continue;
          }
          if (entry.mark) remembered.push(this.remember(entry.mark, entry.redeliveredWithinMs));
          if (zone === undefined || !entry.isDated || this.undated.isWaiting) {
            this.undated.keep(entry.message, entry.mark);
            seen.push(sightingOf(entry, WAITING));
          } else {
            const applied = this.interpreter.apply(entry, zone, changed);
            isContribution ||= applied.contributions.length > 0;
            seen.push(sightingOf(entry, applied));
          }
        }
        return isContribution;
      });
    } catch (error) {
      for (const { client, packetId } of remembered) this.recent.forget(client, packetId);
      this.parts.onFault(error);
      const refusal = error instanceof Error ? error : new Error(String(error));
      for (const entry of group) entry.done(refusal);
      return;
    }
    this.parts.onStored();
    for (const sighting of seen) this.parts.onSeen(sighting);
    this.timers.schedule(changed);
    for (const entry of group) entry.done(undefined, { duplicate: duplicates.has(entry) });
    if (contributed) this.parts.onContributions();
    // What came just before the time was known waits alone.
    if (this.parts.zone() !== undefined) this.undated.date();
  }

  private isRedelivery({ mark, dup, redeliveredWithinMs }: Entry<Parsed>): boolean {
    if (!mark) return false;
    const { client, packetId, digest } = mark;
    const nowMs = this.parts.clock.monotonicMs();
    return this.recent.isRedelivery(client, packetId, dup, digest, nowMs, redeliveredWithinMs);
  }

  private remember(mark: DeliveryMark, redeliveredWithinMs: number | undefined): DeliveryMark {
    const most = redeliveredWithinMs === undefined ? undefined : ALL_PACKET_IDS;
    this.recent.remember(mark.client, mark.packetId, mark.digest, this.parts.clock.monotonicMs(), most);
    return mark;
  }
}

const UNMAPPED = { fate: 'unmapped', reason: undefined, contributions: [] } as const;
const DUPLICATE = { fate: 'duplicate', reason: 'sent again', contributions: [] } as const;
const WAITING = { fate: 'waiting', reason: 'the time is not known yet', contributions: [] } as const;

type ReadyEntry<Parsed> = Entry<Parsed> & ReadMessage<Parsed>;

function isReady<Parsed>(entry: Entry<Parsed>): entry is ReadyEntry<Parsed> {
  return entry.extractions !== undefined;
}

function markOf({ clientId, packetId, topic, payload }: Publish): DeliveryMark | undefined {
  if (clientId === undefined || packetId === undefined) return undefined;
  return { client: clientId, packetId, digest: digestOf(topic, payload) };
}

/** 64 bits are enough to tell the few hundred publishes of one client apart. */
function digestOf(topic: string, payload: Uint8Array): string {
  return hash(
    'sha1',
    `${topic}\0${Buffer.from(payload.buffer, payload.byteOffset, payload.length).toString('latin1')}`,
  ).slice(0, 16);
}
