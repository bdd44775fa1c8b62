/**
 * The working copy a step writes on: the state it began with stays as it is, and what changed is known at the end.
 */
import type { LocalDate } from '../time.ts';
import type { Outcome } from './outcome.ts';
import type { Request } from './request.ts';
import { keyOf, type Account, type Attribute, type DeliveryState, type Key, type Settings } from './state.ts';
import type { EpochMs } from '../time.ts';

/** Something worth telling: written beside the state, logged, and shown by `explain`. */
export interface Note {
  readonly level: 'info' | 'warn' | 'error';
  readonly text: string;
  readonly attribute?: string;
  readonly day?: LocalDate;
}

/** What became of a call, for the record. */
export interface CallRecord {
  readonly id: number;
  readonly request: Request;
  readonly startedAt: EpochMs;
  readonly finishedAt: EpochMs;
  readonly outcome: Outcome<unknown>['kind'] | 'crashed';
  readonly detail: string;
}

/** What a step decided. The caller writes all of it in one transaction, then carries out `call`. */
export interface Decision {
  readonly account: Account;
  readonly attributes: readonly Attribute[];
  readonly keys: readonly Key[];
  readonly notes: readonly Note[];
  readonly finished: CallRecord | undefined;
  /** The call to make now; `account.call` holds it too. */
  readonly call: { readonly id: number; readonly request: Request } | undefined;
  /** When to wake next, if nothing happens before. */
  readonly wakeAt: EpochMs | undefined;
}

export class Draft {
  readonly account: Account;
  finished: CallRecord | undefined;
  private readonly changedKeys = new Map<string, Key>();
  private readonly changedAttributes = new Map<string, Attribute>();
  private readonly notes: Note[] = [];

  constructor(
    private readonly before: DeliveryState,
    readonly settings: Settings,
    readonly now: EpochMs,
    /** In [0, 1): the step's share of chance, for jitter. */
    readonly random: number,
  ) {
    this.account = { ...before.account };
  }

  /** A copy to write on, the same one each time; `undefined` where the key is not open. */
  key(attribute: string, day: LocalDate): Key | undefined {
    const id = keyOf(attribute, day);
    const changed = this.changedKeys.get(id);
    if (changed) return changed;
    const found = this.before.keys.get(id);
    if (!found) return undefined;
    const copy = { ...found };
    this.changedKeys.set(id, copy);
    return copy;
  }

  /** All open keys as they now stand, to look at only. */
  *keys(): Generator<Readonly<Key>> {
    for (const [id, key] of this.before.keys) yield this.changedKeys.get(id) ?? key;
  }

  attribute(name: string): Attribute | undefined {
    const changed = this.changedAttributes.get(name);
    if (changed) return changed;
    const found = this.before.attributes.get(name);
    if (!found) return undefined;
    const copy = { ...found };
    this.changedAttributes.set(name, copy);
    return copy;
  }

  /** To look at only. */
  readonlyAttribute(name: string): Readonly<Attribute> | undefined {
    return this.changedAttributes.get(name) ?? this.before.attributes.get(name);
  }

  *attributes(): Generator<Readonly<Attribute>> {
    for (const [name, attribute] of this.before.attributes)
      yield this.changedAttributes.get(name) ?? attribute;
  }

  note(note: Note): void {
    this.notes.push(note);
  }

  decide(request: Request | undefined, wakeAt: EpochMs | undefined): Decision {
    const call = request && this.account.call ? { id: this.account.call.id, request } : undefined;
    return {
      account: this.account,
      attributes: [...this.changedAttributes.values()],
      keys: [...this.changedKeys.values()],
      notes: this.notes,
      finished: this.finished,
      call,
      wakeAt,
    };
  }
}
