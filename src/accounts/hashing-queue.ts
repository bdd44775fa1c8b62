/**
 * One password is hashed at a time: a small machine has other work, and each takes megabytes. The others wait in
 * order, not too many, not too long.
 */

export interface Work {
  readonly address: string;
  /** Nobody waits for the answer any more. */
  readonly isGone: () => boolean;
  readonly hash: () => Promise<boolean | 'busy'>;
}

interface Waiting extends Work {
  readonly sinceMs: number;
  readonly settle: (result: boolean | 'busy') => void;
  readonly fail: (error: unknown) => void;
}

const MOST_WAITING = 64;
/** Behind a container's proxy all devices share one address, so this is not small. */
const MOST_WAITING_PER_ADDRESS = 32;
/** Whoever waits longer is about to be disconnected for not having been welcomed. */
const LONGEST_WAIT_MS = 8_000;

export class HashingQueue {
  private waiting: Waiting[] = [];
  private isBusy = false;

  constructor(private readonly nowMs: () => number) {}

  /** What `hash` says; `busy` where its turn does not come. */
  run(work: Work): Promise<boolean | 'busy'> {
    const ofAddress = this.waiting.filter(({ address }) => address === work.address).length;
    if (this.waiting.length >= MOST_WAITING || ofAddress >= MOST_WAITING_PER_ADDRESS) {
      return Promise.resolve('busy');
    }
    return new Promise((settle, fail) => {
      this.waiting.push({ ...work, sinceMs: this.nowMs(), settle, fail });
      this.next();
    });
  }

  /** All that wait are told `busy`. */
  clear(): void {
    for (const { settle } of this.waiting.splice(0)) settle('busy');
  }

  private next(): void {
    if (this.isBusy) return;
    for (;;) {
      const turn = this.waiting.shift();
      if (!turn) return;
      if (turn.isGone() || this.nowMs() - turn.sinceMs > LONGEST_WAIT_MS) {
        turn.settle('busy');
        continue;
      }
      this.isBusy = true;
      turn
        .hash()
        .finally(() => {
          this.isBusy = false;
          this.next();
        })
        .then(turn.settle, turn.fail);
      return;
    }
  }
}
