/**
 * When a connection is let in: at once, or one after the other where its address opens too many. To open and close one
 * is more work than a reading, and who is cut off for what it does is soon back to do it again.
 *
 * As many as may be there at a time are let in at once: after a power cut all devices come back, and behind a proxy they
 * share one address. Who waits costs a socket with little read of it; its time until the CONNACK runs. Who is gone while
 * it waits takes nobody's turn.
 */
import { sourceOf } from '../core/address.ts';
import { Bucket } from '../core/bucket.ts';
import type { BrokerLimits } from './limits.ts';
import type { After } from './write-behind.ts';

const LOOK_EVERY_MS = 50;
/** Of more addresses than that, those that nobody waits at are forgotten. */
const MOST_ADDRESSES = 1_000;

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
  cancel: (() => void) | undefined;
}

export class Arrivals {
  private readonly lines = new Map<string, Line>();

  constructor(private readonly parts: ArrivalsParts) {}

  /** Calls `enter` when it is its turn, or `turnAway` where it is gone by then. */
  come(arrival: Arrival, enter: () => void, turnAway: () => void): void {
    const line = this.lineOf(sourceOf(arrival.address));
    line.waiting.push({ arrival, enter, turnAway });
    if (!line.cancel) this.letIn(line);
  }

  /** Who still waits is not called. */
  stop(): void {
    for (const { cancel } of this.lines.values()) cancel?.();
    this.lines.clear();
  }

  private lineOf(source: string): Line {
    const known = this.lines.get(source);
    if (known) return known;
    if (this.lines.size >= MOST_ADDRESSES) this.forgetOne();
    const { limits, now } = this.parts;
    const bucket = new Bucket(limits.connectionsPerAddress, limits.connectionsPerSecond, now());
    const line: Line = { bucket, waiting: [], cancel: undefined };
    this.lines.set(source, line);
    return line;
  }

  private letIn(line: Line): void {
    const { now, after } = this.parts;
    for (const { arrival, turnAway } of line.waiting) if (arrival.isGone) turnAway();
    const here = line.waiting.filter(({ arrival }) => !arrival.isGone);
    const welcome = line.bucket.take(here.length, now());
    line.waiting = here.slice(welcome);
    for (const { enter } of here.slice(0, welcome)) enter();
    if (line.waiting.length === 0) return;
    line.cancel = after(LOOK_EVERY_MS, () => {
      line.cancel = undefined;
      this.letIn(line);
    });
  }

  private forgetOne(): void {
    for (const [source, { waiting }] of this.lines) {
      if (waiting.length > 0) continue;
      this.lines.delete(source);
      return;
    }
  }
}
