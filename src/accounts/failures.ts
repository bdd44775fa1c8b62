/**
 * Failed logins by address: each makes the answers to further ones come later.
 *
 * An address is forgotten ten minutes after its last failure.
 */
import { ByAddress } from '../core/by-address.ts';

interface Record {
  /** In a row. */
  failures: number;
  lastAtMs: number;
  /** Answers that are being held back. */
  waiting: number;
}

const FIRST_DELAY_MS = 1_000;
/** Below the time in which a connection must be welcomed, so that the device is told why it is not. */
const LONGEST_DELAY_MS = 5_000;
const FORGET_MS = 600_000;
/** An address with so many unanswered failures gets no password looked at: connections in parallel help nobody. */
const MOST_WAITING = 8;

export class Failures {
  private readonly records = new ByAddress<Record>(
    () => ({ failures: 0, lastAtMs: -Infinity, waiting: 0 }),
    ({ waiting }) => waiting > 0,
  );

  /** How long the answer to this failure is held back. `release` must be called once it is given. */
  add(address: string, nowMs: number): number {
    const record = this.records.use(address);
    if (nowMs - record.lastAtMs > FORGET_MS) record.failures = 0;
    record.failures += 1;
    record.lastAtMs = nowMs;
    record.waiting += 1;
    return Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(record.failures - 1, 10));
  }

  /** The answer was given. */
  release(address: string): void {
    const record = this.records.find(address);
    if (record && record.waiting > 0) record.waiting -= 1;
  }

  isFull(address: string): boolean {
    return (this.records.find(address)?.waiting ?? 0) >= MOST_WAITING;
  }
}
