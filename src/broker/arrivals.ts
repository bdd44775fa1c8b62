/**
 * When a connection is let in: at once, or one after the other where its address opens too many. To open and close one
 * is more work than a reading, and who is cut off for what it does is soon back to do it again.
 *
 * By default the bounds are above a home whose devices all come back after a power cut, even one where a proxy makes their
 * addresses one. Who waits costs a socket that is not read from; its time until the CONNACK runs.
 */
import { Bucket } from './bucket.ts';
import type { After } from './write-behind.ts';

/** What is let in at once, in seconds of the rate. */
const BURST_SECONDS = 5;
const LOOK_EVERY_MS = 50;
/** Of more addresses than that, those that nobody waits at are forgotten. */
const MOST_ADDRESSES = 1_000;

interface Line {
  readonly bucket: Bucket;
  readonly waiting: (() => void)[];
  cancel: (() => void) | undefined;
}

export class Arrivals {
  private readonly lines = new Map<string, Line>();

  constructor(
    private readonly parts: {
      /** Of one address. */
      readonly perSecond: number;
      /** Milliseconds that only ever rise. */
      readonly now: () => number;
      readonly after: After;
    },
  ) {}

  /** Calls `enter` when it is the turn of who came from `address`. */
  come(address: string, enter: () => void): void {
    const line = this.lineOf(address);
    line.waiting.push(enter);
    this.letIn(line);
  }

  /** Who still waits is not called. */
  stop(): void {
    for (const { cancel } of this.lines.values()) cancel?.();
    this.lines.clear();
  }

  private lineOf(address: string): Line {
    const known = this.lines.get(address);
    if (known) return known;
    if (this.lines.size >= MOST_ADDRESSES) this.forgetOne();
    const { perSecond, now } = this.parts;
    const bucket = new Bucket(BURST_SECONDS * perSecond, perSecond, now());
    const line: Line = { bucket, waiting: [], cancel: undefined };
    this.lines.set(address, line);
    return line;
  }

  private letIn(line: Line): void {
    const { now, after } = this.parts;
    const welcome = line.bucket.take(line.waiting.length, now());
    for (const enter of line.waiting.splice(0, welcome)) enter();
    if (line.waiting.length === 0) return;
    line.cancel ??= after(LOOK_EVERY_MS, () => {
      line.cancel = undefined;
      this.letIn(line);
    });
  }

  private forgetOne(): void {
    for (const [address, { waiting }] of this.lines) {
      if (waiting.length > 0) continue;
      this.lines.delete(address);
      return;
    }
  }
}
