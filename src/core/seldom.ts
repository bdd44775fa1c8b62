/** Lets a complaint through once in a while, however often there is reason for it. */
export class Seldom {
  private readonly toldAt = new Map<string, number>();

  /**
   * @param nowMs milliseconds that only ever rise
   * @param most things that are remembered as told; past it they may be told again
   */
  constructor(
    private readonly everyMs: number,
    private readonly nowMs: () => number,
    private readonly most = 1_000,
  ) {}

  /** Whether this may be told now. */
  isDue(what: string): boolean {
    const nowMs = this.nowMs();
    const toldAt = this.toldAt.get(what);
    if (toldAt !== undefined && nowMs - toldAt <= this.everyMs) return false;
    if (this.toldAt.size >= this.most) this.toldAt.clear();
    this.toldAt.set(what, nowMs);
    return true;
  }
}
