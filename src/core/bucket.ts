/** A token bucket: what may be done at once, and how much of it comes back in a second. */
export class Bucket {
  private left: number;

  /** @param now milliseconds that only ever rise */
  constructor(
    private readonly most: number,
    private readonly perSecond: number,
    private at: number,
  ) {
    this.left = most;
  }

  /** As much of `wanted` as there is, in whole pieces. */
  take(wanted: number, now: number): number {
    this.left = Math.min(this.most, this.left + (Math.max(0, now - this.at) / 1_000) * this.perSecond);
    this.at = now;
    const taken = Math.min(wanted, Math.floor(this.left));
    this.left -= taken;
    return taken;
  }

  /** So much of what was taken was not needed. */
  giveBack(pieces: number): void {
    this.left = Math.min(this.most, this.left + pieces);
  }
}
