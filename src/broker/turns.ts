/**
 * Whose packets are dealt with next: who says little first, who says much in turns.
 *
 * Everything that is read in one turn of the event loop ends in one commit, and each acknowledgement waits for all of
 * it. So a client that floods must not fill it: its packets stay in its socket, and TCP tells it to wait.
 *
 * States of a connection: quiet (has credit: read from at once) → busy (its credit is spent) → queued (it wants to be
 * read from while quiet ones are there) → granted (so many packets of it are in the running round) → busy or quiet.
 * Aside from that: slowed (its client is above its rate; a timer runs), and after a long time of that cut off.
 *
 * A round is a handful of packets of whoever is queued, the fewer the more work each makes. The next one begins when all
 * of them are stored and forwarded and three times as much time has passed: busy clients get at most a quarter of the
 * broker's time, and a quiet one waits for one round at most. Where nobody is quiet there are no rounds: nobody is there
 * to be spared.
 */
import { Bucket } from '../core/bucket.ts';
import type { BrokerLimits } from './limits.ts';
import type { After } from './write-behind.ts';

/** Packets at once from a quiet client; a gateway tells the state of all its devices when it starts. */
const MOST_CREDIT = 50;
/** Who has just come has so much of it: a device that wakes, tells its reading and sleeps again. */
const FIRST_CREDIT = 4;
/** Copies for sessions that are as much work as a packet. */
const COPIES_PER_PACKET = 5;
/** What a device may say all day without being busy; and all that come under one name, first of all. */
const CREDIT_PER_SECOND = 20;
/** A busy client that has said nothing for so long is quiet again. */
const RECOVERY_MS = (1_000 * MOST_CREDIT) / 2 / CREDIT_PER_SECOND;
const LOOK_EVERY_MS = 100;
/** Packets of a round at most: a millisecond or two of work, some twenty on a Pi Zero, where nobody subscribes to them. */
const ROUND_PACKETS = 64;
/** Work of a round. One that took more, because each packet goes to hundreds of subscribers, makes the next ones smaller. */
const ROUND_MS = 8;
/** After a round busy clients wait for so many times its length. */
const REST_SHARE = 3;
/** What was acknowledged is with its subscribers so many turns of the event loop later. */
const FORWARDING_TURNS = 4;
/** With fewer of one client, its packets are hardly worth the visit. */
const LEAST_SHARE = 4;
/** What a client may say above its rate after a quiet time, in seconds of it: a day's readings after an outage. */
const BURST_SECONDS = 20;
/** A client that has gathered so much again, in seconds of its rate, is above it no more. */
const BREATH_SECONDS = 2;
/** A slowed client is read from so many times a second. */
const SLICES_PER_SECOND = 20;
/** Names under which the credit of those who are gone is still remembered. */
const MOST_REMEMBERED = 1_000;
/** A client that is slowed is told of in the log so often. */
const WARN_EVERY_MS = 3_600_000;

/** What a client has said of late; it outlives the connection, so that coming back gains nothing. */
class Pace {
  credit = MOST_CREDIT;
  warnedAt = -Infinity;
  /** Since when it has been above its rate, with no more than breaths in between. */
  slowedSince: number | undefined;

  constructor(
    public at: number,
    public budget: number,
  ) {}

  refill(now: number, perSecond: number): void {
    const seconds = Math.max(0, now - this.at) / 1_000;
    this.credit = Math.min(MOST_CREDIT, this.credit + seconds * CREDIT_PER_SECOND);
    this.budget = Math.min(perSecond * BURST_SECONDS, this.budget + seconds * perSecond);
    this.at = now;
    if (this.budget > perSecond * BREATH_SECONDS) this.slowedSince = undefined;
  }

  spend(packets: number, messages: number, perSecond: number): void {
    this.credit = Math.max(0, this.credit - packets);
    this.budget -= messages;
    if (this.budget < perSecond / SLICES_PER_SECOND) this.slowedSince ??= this.at;
  }

  /** No more is left to it than to another one under the same name. */
  share({ budget, slowedSince }: Pace): void {
    if (budget >= this.budget) return;
    this.budget = budget;
    this.slowedSince = slowedSince;
  }

  get isFresh(): boolean {
    return this.credit >= MOST_CREDIT && this.slowedSince === undefined;
  }
}

/** A connection, as far as its turns go. */
export interface Speaker {
  /** Publishes that are taken and not done. */
  readonly pending: number;
  /** To be read from again: an attempt may have been in vain. */
  readonly resume: () => void;
  /** Closes it. */
  readonly cut: () => void;
}

interface Place {
  readonly speaker: Speaker;
  readonly pace: Pace;
  readonly clientId: string;
  readonly rememberedAs: string;
  state: 'quiet' | 'busy' | 'queued' | 'granted';
  /** Packets that are left to it in this round. */
  turn: number;
  cancel: (() => void) | undefined;
}

export interface TurnsParts {
  readonly limits: Pick<
    BrokerLimits,
    'pendingReadings' | 'pendingPerConnection' | 'messagesPerSecond' | 'floodTimeoutMs'
  >;
  /** Publishes of all connections that are not done. */
  readonly pending: () => number;
  /** Milliseconds that only ever rise. */
  readonly now: () => number;
  /** Milliseconds of work that this process has done; waiting for the disk is none. */
  readonly workMs: () => number;
  readonly after: After;
  /** The client is above its rate; told seldom. */
  readonly onSlowed: (clientId: string) => void;
  /** It has been above its rate for too long. */
  readonly onFlood: (speaker: Speaker, clientId: string) => void;
}

export class Turns {
  /** Connections whose client is welcome. */
  private readonly places = new Map<Speaker, Place>();
  private readonly remembered = new Map<string, Pace>();
  /** What is left of the first credit, for all that come under one name. */
  private readonly firstCredits = new Map<string, Bucket>();
  private readonly queue = new Set<Place>();
  private readonly round = new Set<Place>();
  private roundBeganAt = 0;
  private workBeforeMs = 0;
  private roundPackets = ROUND_PACKETS;
  private granted: Place[] = [];
  private isRoundRunning = false;
  private isEnding = false;
  private busyCount = 0;
  private lookedAt = -Infinity;
  private cancelRest: (() => void) | undefined;

  constructor(private readonly parts: TurnsParts) {}

  /**
   * The client is welcome: from here on its packets count.
   * @param rememberedAs what it has said is remembered under this name once it is gone: whoever can choose another client
   * identifier each time cannot choose this
   */
  join(speaker: Speaker, clientId: string, rememberedAs = clientId): void {
    const { now, limits } = this.parts;
    const known = this.remembered.get(rememberedAs);
    this.remembered.delete(rememberedAs);
    const pace = known ?? new Pace(now(), limits.messagesPerSecond * BURST_SECONDS);
    for (const other of this.places.values()) if (other.rememberedAs === rememberedAs) pace.share(other.pace);
    pace.credit = this.firstCredit(rememberedAs, Math.min(FIRST_CREDIT, pace.credit));
    const place: Place = {
      speaker,
      pace,
      clientId,
      rememberedAs,
      state: 'quiet',
      turn: 0,
      cancel: undefined,
    };
    this.places.set(speaker, place);
  }

  leave(speaker: Speaker): void {
    const place = this.places.get(speaker);
    if (!place) return;
    this.places.delete(speaker);
    place.cancel?.();
    this.become(place, 'quiet');
    this.queue.delete(place);
    if (this.round.delete(place)) this.endRound();
    this.remember(place);
  }

  /** How many packets may be read from it now. With 0 it is told when to try again, unless something of it is pending. */
  allowance(speaker: Speaker): number {
    const { limits, pending, now } = this.parts;
    const place = this.places.get(speaker);
    const isCrowded = pending() >= limits.pendingReadings / 2;
    const most = (isCrowded ? 1 : limits.pendingPerConnection) - speaker.pending;
    if (!place || most <= 0) return Math.max(0, most);
    const { pace } = place;
    pace.refill(now(), limits.messagesPerSecond);
    if (pace.budget < 1) {
      this.rest(place);
      return 0;
    }
    const allowed = Math.min(most, Math.floor(pace.budget));
    if (place.turn > 0) return Math.min(allowed, place.turn);
    if (place.state === 'granted' || place.state === 'queued') return this.ask(place);
    if (pace.credit >= (place.state === 'busy' ? MOST_CREDIT / 2 : 1)) {
      this.become(place, 'quiet');
      return Math.min(allowed, Math.floor(pace.credit));
    }
    this.become(place, 'busy');
    return this.isAnybodyQuiet() ? this.ask(place) : allowed;
  }

  /** So many packets were read, so many of them not just answers to what the broker sent. */
  spend(speaker: Speaker, packets: number, messages: number): void {
    const place = this.places.get(speaker);
    if (!place) return;
    const { pace } = place;
    pace.spend(packets, messages, this.parts.limits.messagesPerSecond);
    if (pace.slowedSince !== undefined) this.slowed(place);
    place.turn = Math.max(0, place.turn - packets);
  }

  /** A publish of it left so many copies for sessions. */
  copied(speaker: Speaker, copies: number): void {
    const place = this.places.get(speaker);
    if (!place) return;
    const worth = copies / COPIES_PER_PACKET;
    place.pace.spend(worth, 0, this.parts.limits.messagesPerSecond);
    place.turn = Math.max(0, place.turn - Math.floor(worth));
  }

  /** Nothing of it is pending any more. */
  idle(speaker: Speaker): void {
    const place = this.places.get(speaker);
    if (place && this.round.delete(place)) this.endRound();
  }

  stop(): void {
    this.cancelRest?.();
    this.cancelRest = undefined;
    for (const { cancel } of this.places.values()) cancel?.();
  }

  /** Coming again and again, or with many, gains nothing. */
  private firstCredit(name: string, wanted: number): number {
    const now = this.parts.now();
    const bucket = this.firstCredits.get(name) ?? new Bucket(MOST_CREDIT, CREDIT_PER_SECOND, now);
    this.firstCredits.delete(name);
    makeRoom(this.firstCredits);
    this.firstCredits.set(name, bucket);
    return bucket.take(Math.floor(wanted), now);
  }

  private ask(place: Place): number {
    // It is asked for again in the round after the running one.
    this.queue.add(place);
    if (place.state !== 'granted') this.become(place, 'queued');
    this.beginSoon();
    return 0;
  }

  private become(place: Place, state: Place['state']): void {
    if (place.state === 'quiet' && state !== 'quiet') this.busyCount += 1;
    if (place.state !== 'quiet' && state === 'quiet') this.busyCount -= 1;
    place.state = state;
  }

  private isAnybodyQuiet(): boolean {
    const now = this.parts.now();
    if (this.busyCount === this.places.size && now - this.lookedAt >= LOOK_EVERY_MS) {
      this.lookedAt = now;
      for (const place of this.places.values()) {
        if (place.state === 'busy' && now - place.pace.at >= RECOVERY_MS) this.become(place, 'quiet');
      }
    }
    return this.busyCount < this.places.size;
  }

  private beginSoon(): void {
    if (this.isRoundRunning || this.cancelRest) return;
    this.isRoundRunning = true;
    setImmediate(() => this.begin());
  }

  private begin(): void {
    this.roundBeganAt = this.parts.now();
    this.workBeforeMs = this.parts.workMs();
    const isEverybody = !this.isAnybodyQuiet();
    const { pendingPerConnection } = this.parts.limits;
    const share = isEverybody
      ? pendingPerConnection
      : Math.max(
          Math.min(LEAST_SHARE, this.roundPackets),
          Math.floor(this.roundPackets / Math.max(1, this.queue.size)),
        );
    let left = isEverybody ? Infinity : this.roundPackets;
    for (const place of this.queue) {
      if (left <= 0) break;
      this.queue.delete(place);
      left -= share;
      place.turn = share;
      this.become(place, 'granted');
      this.granted.push(place);
    }
    for (const place of this.granted) {
      place.speaker.resume();
      if (place.speaker.pending > 0 && this.places.has(place.speaker)) this.round.add(place);
    }
    this.endRound();
  }

  /** Once nothing of it is pending; what waited for an acknowledgement gets the chance to use up its turn. */
  private endRound(): void {
    if (!this.isRoundRunning || this.isEnding || this.round.size > 0) return;
    this.isEnding = true;
    turnsLater(FORWARDING_TURNS, () => {
      this.isEnding = false;
      const tookMs = this.parts.now() - this.roundBeganAt;
      this.fitRound(this.parts.workMs() - this.workBeforeMs);
      for (const place of this.granted.splice(0)) this.endTurn(place);
      this.isRoundRunning = false;
      if (this.isAnybodyQuiet()) {
        this.cancelRest = this.parts.after(Math.max(1, REST_SHARE * tookMs), () => {
          this.cancelRest = undefined;
          if (this.queue.size > 0) this.beginSoon();
        });
      } else if (this.queue.size > 0) this.beginSoon();
    });
  }

  private fitRound(workMs: number): void {
    const fitting = workMs > ROUND_MS ? (this.roundPackets * ROUND_MS) / workMs : this.roundPackets * 2;
    this.roundPackets = Math.min(ROUND_PACKETS, Math.max(1, Math.floor(fitting)));
  }

  private endTurn(place: Place): void {
    place.turn = 0;
    if (!this.places.has(place.speaker)) return;
    if (place.state === 'granted') this.become(place, this.queue.has(place) ? 'queued' : 'busy');
  }

  /** It is told of, and in the end cut off. */
  private slowed({ pace, speaker, clientId }: Place): void {
    const { limits, onFlood, onSlowed } = this.parts;
    if (pace.at - pace.warnedAt >= WARN_EVERY_MS) {
      pace.warnedAt = pace.at;
      onSlowed(clientId);
    }
    if (pace.slowedSince === undefined || pace.at - pace.slowedSince < limits.floodTimeoutMs) return;
    pace.slowedSince = undefined;
    onFlood(speaker, clientId);
  }

  /** It is read from a few times a second, which is how its acknowledgements slow down. */
  private rest(place: Place): void {
    const { limits, after } = this.parts;
    place.cancel ??= after(1_000 / Math.min(SLICES_PER_SECOND, limits.messagesPerSecond), () => {
      place.cancel = undefined;
      place.speaker.resume();
    });
  }

  private remember({ rememberedAs, pace }: Place): void {
    const before = this.remembered.get(rememberedAs);
    for (const one of [pace, before]) one?.refill(this.parts.now(), this.parts.limits.messagesPerSecond);
    if (before) pace.share(before);
    this.remembered.delete(rememberedAs);
    if (pace.isFresh) return;
    makeRoom(this.remembered);
    this.remembered.set(rememberedAs, pace);
  }
}

function makeRoom(remembered: Map<string, unknown>): void {
  if (remembered.size < MOST_REMEMBERED) return;
  const [oldest] = remembered.keys();
  if (oldest !== undefined) remembered.delete(oldest);
}

function turnsLater(turns: number, task: () => void): void {
  setImmediate(() => {
    if (turns <= 1) task();
    else turnsLater(turns - 1, task);
  });
}
