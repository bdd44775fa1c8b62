/**
 * Lets work through a few pieces at a time in each turn of the event loop, whoever it is for: first come, first served.
 *
 * Ten thousand retained messages for each of a hundred subscriptions would otherwise make every turn a long one, and an
 * acknowledgement takes several turns.
 */
export class Turnstile {
  private waiting: (() => void)[] = [];
  private isOpening = false;

  constructor(private readonly perTurn: number) {}

  pass(): Promise<void> {
    return new Promise((resolve) => {
      this.waiting.push(resolve);
      this.openSoon();
    });
  }

  private openSoon(): void {
    if (this.isOpening) return;
    this.isOpening = true;
    setImmediate(() => {
      this.isOpening = false;
      const through = this.waiting.splice(0, this.perTurn);
      for (const go of through) go();
      if (this.waiting.length > 0) this.openSoon();
    });
  }
}
