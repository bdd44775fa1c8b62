/**
 * When a connection is let in: at once, or one after the other where its address, or the whole house, opens too many. To
 * open and close one is more work than a reading, and who is cut off for what it does is soon back to do it again.
 *
 * A houseful is let in at once: after a power cut all devices come back, and behind a proxy they share one address. Then
 * the address goes first whose last turn is the longest ago, so that a crowd keeps nobody out. Who waits costs a socket
 * with little read of it; its time until the CONNACK runs. Who is gone while it waits takes nobody's turn.
 */
import { Bucket } from '../core/bucket.ts';
import { ByAddress } from '../core/by-address.ts';
import type { BrokerLimits } from './limits.ts';
import type { After } from './write-behind.ts';

/** Of the whole house; what comes on top is let in at the rate of so many addresses. */
const HOUSE_AT_ONCE = 100;
const HOUSE_ADDRESSES = 2;
/** Often: those that are let in by one look are one turn's work. */
const LOOK_EVERY_MS = 10;

/** Who comes. */
export interface Arrival {
  readonly address: string;
  /** It has hung up, or was cut off. */
  readonly isGone: boolean;
}

export interface ArrivalsParts {
  readonly limits: Pick<BrokerLimits, 'connectionsPerAddress' | 'connectionsPerSecond'>;
  /** Milliseconds that only ever rise. */
  readonly now: () => number;
  readonly after: After;
}

interface Waiting {
  readonly arrival: Arrival;
  readonly enter: () => void;
  readonly turnAway: () => void;
}

interface Line {
  readonly bucket: Bucket;
  waiting: Waiting[];
  /** When one of it was last let in. */
  lastTurn: number;
}

export class Arrivals {
  private readonly lines: ByAddress<Line>;
  /** Those that somebody waits in. */
  private readonly queue = new Set<Line>();
  private readonly house: Bucket;
  private cancel: (() => void) | undefined;

  constructor(private readonly parts: ArrivalsParts) {
    const { limits, now } = parts;
    this.lines = new ByAddress<Line>(
      () => ({
        bucket: new Bucket(limits.connectionsPerAddress, limits.connectionsPerSecond, now()),
        waiting: [],
        lastTurn: -Infinity,
      }),
      ({ waiting }) => waiting.length > 0,
    );
    const perSecond = HOUSE_ADDRESSES * limits.connectionsPerSecond;
    this.house = new Bucket(Math.max(HOUSE_AT_ONCE, perSecond), perSecond, now());
  }

  /** Calls `enter` when it is its turn, or `turnAway` where it is gone by then. */
  come(arrival: Arrival, enter: () => void, turnAway: () => void): void {
    const line = this.lines.use(arrival.address);
    line.waiting.push({ arrival, enter, turnAway });
    this.queue.add(line);
    // Behind others of its own it waits for the next look.
    if (line.waiting.length === 1) this.letIn();
  }

  /** Who still waits is not called. */
  stop(): void {
    this.cancel?.();
    this.lines.clear();
    this.queue.clear();
  }

  private letIn(): void {
    for (const line of this.queue) this.turnAwayGone(line);
    const now = this.parts.now();
    const mayCome = new Set(this.queue);
    for (let line = nextOf(mayCome); line && this.house.take(1, now) > 0; line = nextOf(mayCome)) {
      // Its own rate may be used up.
      const first = line.bucket.take(1, now) > 0 ? line.waiting.shift() : undefined;
      if (line.waiting.length === 0) this.queue.delete(line);
      if (!first || line.waiting.length === 0) mayCome.delete(line);
      if (first) {
        line.lastTurn = now;
        first.enter();
      } else this.house.giveBack(1);
    }
    if (this.queue.size === 0 || this.cancel) return;
    this.cancel = this.parts.after(LOOK_EVERY_MS, () => {
      this.cancel = undefined;
      this.letIn();
    });
  }

  private turnAwayGone(line: Line): void {
    for (const { arrival, turnAway } of line.waiting) if (arrival.isGone) turnAway();
    line.waiting = line.waiting.filter(({ arrival }) => !arrival.isGone);
    if (line.waiting.length === 0) this.queue.delete(line);
  }
}

/** The one whose last turn is the longest ago. */
function nextOf(lines: Iterable<Line>): Line | undefined {
  let next: Line | undefined;
  for (const line of lines) if (!next || line.lastTurn < next.lastTurn) next = line;
  return next;
}
