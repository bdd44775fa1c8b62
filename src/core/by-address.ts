import { sourceOf } from './address.ts';

/** Of more addresses than that, those that nothing depends on are forgotten. */
const MOST_ADDRESSES = 1_000;

/** What is kept of each address. The one that was used the longest ago makes room, but for those that are in use. */
export class ByAddress<Kept> {
  /** The one used last is the last. */
  private readonly kept = new Map<string, Kept>();

  constructor(
    private readonly begin: () => Kept,
    private readonly isInUse: (kept: Kept) => boolean,
  ) {}

  /** What is kept of `address`; begun where there is nothing. */
  use(address: string): Kept {
    const source = sourceOf(address);
    const known = this.kept.get(source);
    if (known === undefined && this.kept.size >= MOST_ADDRESSES) this.forgetOne();
    const kept = known ?? this.begin();
    this.kept.delete(source);
    this.kept.set(source, kept);
    return kept;
  }

  /** Without counting as a use. */
  find(address: string): Kept | undefined {
    return this.kept.get(sourceOf(address));
  }

  clear(): void {
    this.kept.clear();
  }

  private forgetOne(): void {
    for (const [source, kept] of this.kept) {
      if (this.isInUse(kept)) continue;
      this.kept.delete(source);
      return;
    }
  }
}
