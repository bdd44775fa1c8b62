/**
 * Failed logins by address: each makes the answers to further ones come later.
 *
 * An address is forgotten ten minutes after its last failure.
 */
import { sourceOf } from '../core/address.ts';

interface Record {
  failures: number;
  lastAtMs: number;
  /** Answers that are being held back. */
  waiting: number;
}

const FIRST_DELAY_MS = 1_000;
/** Below the time in which a connection must be welcomed, so that the device is told why it is not. */
const LONGEST_DELAY_MS = 5_000;
const FORGET_MS = 600_000;
const MOST_ADDRESSES = 1_000;
/** An address with so many unanswered failures gets no password looked at: connections in parallel help nobody. */
const MOST_WAITING = 8;

export class Failures {
  private readonly records = new Map<string, Record>();

  /** How long the answer to this failure is held back. `release` must be called once it is given. */
  add(address: string, nowMs: number): number {
    const source = sourceOf(address);
    const before = this.records.get(source);
    const isForgotten = before !== undefined && nowMs - before.lastAtMs > FORGET_MS;
    const failures = before === undefined || isForgotten ? 1 : before.failures + 1;
    // Moved to the end: the first is the one whose last failure is longest ago.
    this.records.delete(source);
    this.records.set(source, { failures, lastAtMs: nowMs, waiting: (before?.waiting ?? 0) + 1 });
    this.makeRoom();
    return Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(failures - 1, 10));
  }

  /** The answer was given. */
  release(address: string): void {
    const record = this.records.get(sourceOf(address));
    if (record && record.waiting > 0) record.waiting -= 1;
  }

  isFull(address: string): boolean {
    return (this.records.get(sourceOf(address))?.waiting ?? 0) >= MOST_WAITING;
  }

  private makeRoom(): void {
    if (this.records.size <= MOST_ADDRESSES) return;
    const [longestAgo] = this.records.keys();
    if (longestAgo !== undefined) this.records.delete(longestAgo);
  }
}
