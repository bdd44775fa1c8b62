/**
 * The machine's clocks, and timers that may be weeks away.
 */
import { readFileSync } from 'node:fs';
import type { EpochMs } from '../core/time.ts';

/** Node's timers overflow past 2^31-1 ms; and a clock that is stepped is noticed within this. */
const LONGEST_TIMER_MS = 60_000;
/** A day: past 2^31-1 ms a timer would go off at once. */
const LONGEST_DELAY_MS = 86_400_000;
/** Sleep of the machine is noticed within this. */
const UPTIME_READ_EVERY_MS = 1_000;

export class SystemClock {
  private bootedMs = -Infinity;
  private readAtMs = -Infinity;

  now(): EpochMs {
    return Date.now() as EpochMs;
  }

  /** Milliseconds since the machine was booted, sleep included: goes on through a restart of the daemon. */
  monotonicMs(): number {
    const processMs = performance.now();
    // Reading the file takes longer than all else that is done for a message.
    if (processMs - this.readAtMs > UPTIME_READ_EVERY_MS) {
      this.readAtMs = processMs;
      // The file is in hundredths of a second: what it tells must not turn the clock back by one.
      this.bootedMs = Math.max(this.bootedMs, uptimeMs() - processMs);
    }
    return this.bootedMs + processMs;
  }

  /** Runs `task` after so long, whatever the wall clock does meanwhile; gives back how to call it off. */
  after(delayMs: number, task: () => void): () => void {
    const timer = setTimeout(task, Math.min(delayMs, LONGEST_DELAY_MS));
    return () => {
      clearTimeout(timer);
    };
  }
}

/** Runs `task` once `now` has reached `instant`, also where it jumps; gives back how to call it off. */
export function atInstant(now: () => EpochMs, instant: EpochMs, task: () => void): () => void {
  let timer: NodeJS.Timeout;
  const arm = (): void => {
    const leftMs = Math.max(0, instant - now());
    timer = setTimeout(
      () => {
        if (now() >= instant) task();
        else arm();
      },
      Math.min(leftMs, LONGEST_TIMER_MS),
    );
  };
  arm();
  return () => {
    clearTimeout(timer);
  };
}

function uptimeMs(): number {
  try {
    const [seconds = ''] = readFileSync('/proc/uptime', 'utf8').split(' ');
    const read = Number(seconds) * 1_000;
    if (Number.isFinite(read) && read > 0) return read;
  } catch {
    // Not Linux: the clock of the process is monotonic too, on most systems since boot.
  }
  return Number(process.hrtime.bigint() / 1_000_000n);
}

/** Names this boot of the machine: monotonic times of one boot can be compared with each other only. */
export function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    // Without one, each start of the daemon counts as a boot of its own.
    return `process-${process.pid}-${Date.now()}`;
  }
}
