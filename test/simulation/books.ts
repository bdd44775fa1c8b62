/**
 * The oracle's own books: what the devices, other people and the user did to a day, kept apart from the delivery's
 * ledger, and what must stand in Exist if all of it is to be found there or is visibly held.
 */
import { isWholeNumber, type ValueType } from '../../src/core/attribute.ts';
import { heldAmount } from '../../src/core/delivery/settlement.ts';
import type { Attribute, Key, Mode, SumKey, ValueKey } from '../../src/core/delivery/state.ts';
import type { EpochMs } from '../../src/core/time.ts';
import { wholePart, type Units } from '../../src/core/units.ts';
import type { ExistModel } from './exist-model.ts';

/** How a remark names the difference that it takes for somebody else's. */
const NAMED = /, (-?[\d.]+) away from what was sent/;

interface Sum {
  /** What stood there before the first count, or when the user set the total. */
  stood: number;
  /** All counts. */
  did: number;
  /** How much of `did` is in `stood`. */
  mark: number;
}

interface Value {
  wanted: Units | string;
  since: EpochMs;
  /** All that ever was the day's value, and since when. */
  readonly ever: Map<Units | string, EpochMs>;
}

export class Books {
  private readonly sums = new Map<string, Sum>();
  private readonly values = new Map<string, Value>();
  /** Somebody else's changes: their sum, and the last one. */
  private readonly edited = new Map<string, number>();
  private readonly lastEdit = new Map<string, { readonly value: Units | string; readonly at: EpochMs }>();
  /** What the notes named as somebody else's. */
  private readonly named = new Map<string, number>();
  private readonly told = new Map<string, string>();
  /** The user decided about it. */
  private readonly settled = new Set<string>();
  /** Its mapping changed from counting to a value, or back. */
  private readonly turned = new Set<string>();

  constructor(
    private readonly mode: Mode,
    private readonly exist: ExistModel,
    private readonly typeOf: (attribute: string) => ValueType,
  ) {}

  count(id: string, amount: number, before: Key | undefined, after: SumKey): void {
    const sum = this.sums.get(id) ?? { stood: this.number(id), did: 0, mark: 0 };
    this.sums.set(id, sum);
    if (before?.kind === 'value') {
      this.turned.add(id);
      const total = (after.base ?? 0) + after.ours;
      this.restart(id, sum, total, after);
      // Somebody edited it, and the delivery does not know yet.
      const stands = this.exist.values.get(id);
      const isEdited = stands !== undefined && stands === this.lastEdit.get(id)?.value;
      if (isEdited && !after.fixed && this.mode !== 'strict') this.edited.set(id, Number(stands) - total);
    }
    sum.did += amount;
  }

  /** All up to now makes `total`. */
  private restart(id: string, sum: Sum, total: number, key: SumKey): void {
    sum.stood = total;
    // What is in flight is void, whatever becomes of it.
    sum.mark = this.due(sum, key) - key.flightAmount;
    this.edited.delete(id);
    this.named.delete(id);
  }

  set(id: string, before: Key | undefined, after: ValueKey, now: EpochMs): void {
    const { wanted } = after;
    if (before?.kind === 'sum') this.turned.add(id);
    const value = this.values.get(id);
    if (value?.wanted === wanted && before?.kind === 'value') return;
    const ever = value?.ever ?? new Map<Units | string, EpochMs>();
    // What Exist was given last, once more, is nothing new to it: an edit in between may be older or younger.
    const isAgain = after.delivered === wanted;
    const since = isAgain ? (ever.get(wanted) ?? (0 as EpochMs)) : now;
    ever.set(wanted, since);
    this.values.set(id, { wanted, since, ever });
  }

  edit(id: string, key: Key, value: Units | string, now: EpochMs): void {
    if (typeof value === 'number' && key.kind === 'sum' && this.mode !== 'strict') {
      this.edited.set(id, (this.edited.get(id) ?? 0) + value - this.number(id));
    }
    this.lastEdit.set(id, { value, at: now });
    if (key.held) this.exist.ambiguous.add(id);
    this.exist.edit(id, value);
  }

  /** What others wrote before the first value. */
  found(id: string, value: Units, at: EpochMs): void {
    this.lastEdit.set(id, { value, at });
  }

  wasEdited(id: string): boolean {
    return this.lastEdit.has(id);
  }

  note(id: string, text: string): void {
    this.told.set(id, text);
    const [, difference] = NAMED.exec(text) ?? [];
    if (difference === undefined) return;
    this.named.set(id, (this.named.get(id) ?? 0) + Math.round(Number(difference) * 1_000_000));
  }

  /** The user decided; `before` is the key as it was held. */
  settle(id: string, before: Key, after: Key, total: Units | string | undefined, now: EpochMs): void {
    this.settled.add(id);
    if (after.kind === 'value') {
      const value = this.values.get(id);
      if (value) this.values.set(id, { ...value, wanted: total ?? value.wanted, since: now });
      value?.ever.set(total ?? value.wanted, now);
      return;
    }
    const sum = this.sums.get(id);
    if (!sum || before.kind !== 'sum') return;
    if (typeof total === 'number') this.restart(id, sum, total, after);
    // Left as it stands at Exist, which nobody had looked at.
    else if (before.fixed && after.base === null) this.restart(id, sum, this.number(id), after);
  }

  /** What is wrong with the day as it stands, in a sentence. */
  deviation(id: string, key: Key, attribute: Attribute, isExact: boolean): string | undefined {
    const problem =
      (isExact && key.held ? `held: ${key.held.reason}` : this.needless(id, key)) ??
      (key.kind === 'sum' ? this.ofSum(id, key, attribute, isExact) : this.ofValue(id, key, isExact));
    return problem && `${id}: ${problem}; ${JSON.stringify(key)}`;
  }

  /** Nothing is left to a person that could be decided. */
  private needless(id: string, { held }: Key): string | undefined {
    if (!held || this.turned.has(id)) return undefined;
    if (held.state === 'refused')
      return this.exist.refused.has(id) ? undefined : 'held as refused, and never was';
    const isDoubtful = this.exist.ambiguous.has(id) || this.wasEdited(id);
    return isDoubtful ? undefined : `held although it can be decided: ${held.reason}`;
  }

  private ofSum(id: string, key: SumKey, attribute: Attribute, isExact: boolean): string | undefined {
    const sum = this.sums.get(id);
    if (!sum) return 'never counted';
    const stands = this.number(id);
    const others = this.edited.get(id) ?? 0;
    const isAmbiguous = this.exist.ambiguous.has(id);
    const held = key.held ? heldAmount(key, attribute) : 0;
    const expected = sum.stood + others + this.due(sum, key) - sum.mark;
    // In a conflict nobody knows whether what was in flight is among what is missing.
    if (stands === expected - held || (key.held && stands === expected - held + key.flightAmount))
      return undefined;
    // A day that is held is not looked at: what came since is not in the amount that is shown.
    const isPast = isAmbiguous || this.settled.has(id) || (this.mode === 'strict' && this.wasEdited(id));
    if (key.held && isPast) return undefined;
    // Only who is alone with a day can tell his own from somebody else's.
    const isShared = this.mode === 'shared' || this.turned.has(id) || this.wasEdited(id);
    const isExcused = !isExact && (this.settled.has(id) || (isAmbiguous && isShared));
    // To the last digit what the notes name as somebody else's, and nothing else.
    if (isExcused && stands - expected === (this.named.get(id) ?? 0) - others) return undefined;
    const kind = stands < expected - held ? 'lost' : 'doubled';
    return `${kind}: stands at ${stands}, expected ${expected} less ${held} held`;
  }

  /** The part of the counts that Exist is to be told. */
  private due(sum: Sum, key: SumKey): number {
    const kept = (sum.did - key.dropped) as Units;
    return isWholeNumber(this.typeOf(key.attribute)) ? wholePart(kept) : kept;
  }

  private ofValue(id: string, key: ValueKey, isExact: boolean): string | undefined {
    const value = this.values.get(id);
    if (!value) return 'never set';
    const stands = this.exist.values.get(id) ?? null;
    if (key.wanted !== value.wanted) return `lost: ${value.wanted} is not what is wanted`;
    if (stands === value.wanted || key.held) return undefined;
    const edit = this.lastEdit.get(id);
    const isTold = (this.told.get(id) ?? '').includes(shown(stands));
    if (!isExact && isTold && this.mode !== 'strict') {
      if (edit && edit.at >= value.since && edit.value === stands) return undefined;
      const isOurs = stands !== null && (value.ever.has(stands) || this.turned.has(id));
      if (this.mode === 'shared' && isOurs && this.exist.ambiguous.has(id)) return undefined;
    }
    return `lost: stands at ${String(stands)}, wanted ${value.wanted}, told «${this.told.get(id) ?? ''}»`;
  }

  private number(id: string): number {
    const value = this.exist.values.get(id) ?? 0;
    return typeof value === 'number' ? value : NaN;
  }
}

function shown(value: Units | string | null): string {
  return typeof value === 'number' ? String(value / 1_000_000) : JSON.stringify(value);
}
