/**
 * Exist as the delivery may meet it: a store of daily values behind a network that loses, delays, repeats and
 * garbles. Only what an increment or an update did to the values is real; what the caller is told may not be.
 */
import type { ValueType } from '../../src/core/attribute.ts';
import type { Outcome } from '../../src/core/delivery/outcome.ts';
import type { Answer, Request, WriteItem } from '../../src/core/delivery/request.ts';
import { keyOf } from '../../src/core/delivery/state.ts';
import { addDays, type EpochMs, type LocalDate } from '../../src/core/time.ts';
import type { Units } from '../../src/core/units.ts';
import type { Random } from './random.ts';

export const FAULTS = [
  'lost',
  'applied-lost',
  'half-applied',
  'late',
  'twice',
  'twice-lost',
  'missing-item',
  'network',
  'rate-limited',
  'unauthorised',
  'forbidden',
  'not-owned',
  'refused',
] as const;
/** A request that comes later than this finds its outcome read back already. */
const SETTLED_MS = 60_000;

export type Fault = (typeof FAULTS)[number];

interface Applied {
  times: number;
}

type Write = Request & { kind: 'increment' | 'update' };

export class ExistModel {
  readonly values: Map<string, Units | string>;
  private late: { at: EpochMs; ids: ReadonlySet<string>; apply: () => void }[] = [];
  private stale: ReadonlyMap<string, Units | string>;
  readonly notOwned = new Set<string>();
  /** Keys of which the caller was told, or may yet meet, what no one can tell from somebody else's change. */
  readonly ambiguous = new Set<string>();
  /** Keys of which an item was refused. */
  readonly refused = new Set<string>();
  /** By key: how often the last write of it was applied. */
  private readonly lastWrite = new Map<string, Applied>();

  constructor(
    private readonly random: Random,
    /** Whether `increment` answers carry the date. */
    private readonly echoesDates: boolean,
    /** What stood there before us. */
    before: ReadonlyMap<string, Units | string>,
    /** No request is applied later than this after it was sent. */
    private readonly latestMs = Infinity,
    private readonly typeOf: (name: string) => ValueType = () => 'decimal',
  ) {
    this.values = new Map(before);
    this.stale = before;
  }

  /** Lets what was delayed take effect. */
  advance(now: EpochMs): void {
    if (this.late.length === 0) return;
    for (const { at, apply } of this.late.sort((a, b) => a.at - b.at)) if (at <= now) apply();
    this.late = this.late.filter(({ at }) => at > now);
  }

  /** Reads lag behind no more. */
  catchUp(): void {
    this.stale = new Map(this.values);
  }

  /** Whether a request that is late may still change the key. */
  isAwaited(id: string): boolean {
    return this.late.some(({ ids }) => ids.has(id));
  }

  timesApplied(id: string): number {
    return this.lastWrite.get(id)?.times ?? 0;
  }

  /** Somebody changes a day by hand. A read that lags behind hides writes of ours, and not that. */
  edit(id: string, value: Units | string): void {
    const before = this.values.get(id) ?? 0;
    const lagging = this.stale.get(id) ?? 0;
    const isMoved = typeof value === 'number' && typeof before === 'number' && typeof lagging === 'number';
    this.stale = new Map([...this.stale, [id, isMoved ? ((lagging + value - before) as Units) : value]]);
    this.values.set(id, value);
  }

  /** The power went before the request left. */
  neverCame(request: Request): void {
    if (request.kind !== 'increment' && request.kind !== 'update') return;
    for (const id of idsOf(request.items)) this.lastWrite.delete(id);
  }

  /** One exchange: what it does, and what the caller hears of it. */
  call(request: Request, now: EpochMs, fault: Fault | undefined): Outcome<Answer> {
    this.advance(now);
    if (fault === 'network') return { kind: 'not-sent', cause: 'network', message: 'no route' };
    if (fault === 'unauthorised' || fault === 'forbidden') {
      return { kind: 'not-sent', cause: fault, message: 'go away' };
    }
    if (fault === 'rate-limited') {
      const limited = { kind: 'not-sent', cause: 'rate-limited', message: 'slow down' } as const;
      return this.random.chance(0.5)
        ? limited
        : { ...limited, retryAfterMs: this.random.whole(1, 3_600) * 1_000 };
    }
    if (request.kind === 'increment' || request.kind === 'update') return this.write(request, now, fault);
    if (fault === 'lost' || fault === 'late' || fault === 'applied-lost') return unknown();
    return answered(this.answer(request, fault));
  }

  private answer(request: Request, fault: Fault | undefined): Answer {
    switch (request.kind) {
      case 'profile':
        return { kind: 'profile', timezone: 'UTC' };
      case 'owned':
        return { kind: 'owned', attributes: [], nextPage: null };
      case 'create':
        return {
          kind: 'ownership',
          results: request.items.map(({ attribute, label, valueType }) => ({
            seen: { name: attribute, label, template: null, valueType, manual: false },
          })),
        };
      case 'acquire':
        for (const { name } of request.items) this.notOwned.delete(name);
        return {
          kind: 'ownership',
          results: request.items.map(({ name }) => ({
            seen: { name, label: name, template: name, valueType: this.typeOf(name), manual: false },
          })),
        };
      case 'read': {
        // A read may come from a replica that lags behind: it shows values as they stood a while ago.
        const source = fault === 'twice' ? this.stale : this.values;
        const values = new Map<string, Map<LocalDate, Units | string | null>>();
        const hidden = fault === 'missing-item' ? request.items.at(-1)?.name : undefined;
        for (const { name } of request.items) {
          if (name === hidden) continue;
          const days = new Map<LocalDate, Units | string | null>();
          for (let back = 0; back < request.days; back += 1) {
            const day = addDays(request.dateMax, -back);
            const id = keyOf(name, day);
            const shown = source.get(id) ?? null;
            if (shown !== (this.values.get(id) ?? null)) this.ambiguous.add(id);
            days.set(day, shown);
          }
          values.set(name, days);
        }
        return { kind: 'read', values };
      }
      case 'increment':
      case 'update':
        throw new Error('writes are answered by write()');
    }
  }

  private write(request: Write, now: EpochMs, fault: Fault | undefined): Outcome<Answer> {
    this.stale = new Map(this.values);
    const { items } = request;
    for (const id of idsOf(items)) this.lastWrite.set(id, { times: 0 });
    switch (fault) {
      case 'lost':
        return unknown();
      case 'applied-lost':
        this.apply(request, items);
        return unknown();
      case 'half-applied':
        this.apply(request, items.slice(0, Math.ceil(items.length / 2)));
        return unknown();
      case 'late':
        this.applyLate(request, now);
        return unknown();
      case 'twice-lost':
        this.apply(request, items);
        this.applyLate(request, now, true);
        return unknown();
      case 'twice':
        this.apply(request, items);
        for (const id of idsOf(items)) this.ambiguous.add(id);
        return this.applied(request, items);
      case 'missing-item':
        return this.applied(request, items, (index) => index === items.length - 1);
      case 'not-owned':
        for (const { name } of items) this.notOwned.add(name);
        return this.applied(request, items);
      case 'refused': {
        const [first] = items;
        return first ? this.applied(request, items, undefined, first) : unknown();
      }
      default:
        return this.applied(request, items);
    }
  }

  private applyLate(request: Write, now: EpochMs, isSecond = false): void {
    const ids = idsOf(request.items);
    const at = this.lateAt(now);
    const isSettled = at - now <= SETTLED_MS && request.kind === 'increment' && !isSecond;
    if (!isSettled) for (const id of ids) this.ambiguous.add(id);
    const writes = new Map([...ids].map((id) => [id, this.lastWrite.get(id)]));
    this.late.push({ at, ids, apply: () => this.apply(request, request.items, writes) });
  }

  /** Most late requests come within minutes; a few come hours after. */
  private lateAt(now: EpochMs): EpochMs {
    const delayMs = this.random.chance(0.8)
      ? this.random.whole(1, 300) * 1_000
      : this.random.whole(1, 600) * 60_000;
    return (now + Math.min(delayMs, this.latestMs)) as EpochMs;
  }

  private applied(
    request: Write,
    items: readonly WriteItem[],
    leaveOut: (index: number) => boolean = () => false,
    refused?: WriteItem,
  ): Outcome<Answer> {
    const success: (Answer & { kind: 'written' })['success'][number][] = [];
    const failed: (Answer & { kind: 'written' })['failed'][number][] = [];
    items.forEach((item, index) => {
      const { name, day } = item;
      if (item === refused) {
        this.refused.add(keyOf(name, day));
        failed.push({ name, day, code: 'validation', message: 'not like this' });
      } else if (this.notOwned.has(name)) {
        failed.push({ name, day, code: 'unauthorised', message: 'not yours' });
      } else {
        this.apply(request, [item]);
        if (leaveOut(index)) return;
        const echoed = this.echoesDates || request.kind === 'update';
        const stands = this.values.get(keyOf(name, day));
        const current = typeof stands === 'string' ? undefined : stands;
        success.push({ name, day: echoed ? day : undefined, current });
      }
    });
    return answered({ kind: 'written', success, failed });
  }

  private apply(
    { kind }: Write,
    items: readonly WriteItem[],
    writes: ReadonlyMap<string, Applied | undefined> = this.lastWrite,
  ): void {
    for (const { name, day, value } of items) {
      if (this.notOwned.has(name)) continue;
      const id = keyOf(name, day);
      const write = writes.get(id);
      if (write) write.times += 1;
      const before = this.values.get(id) ?? 0;
      const isAdded = kind === 'increment' && typeof before === 'number' && typeof value === 'number';
      this.values.set(id, isAdded ? ((before + value) as Units) : value);
    }
  }
}

function idsOf(items: readonly WriteItem[]): Set<string> {
  return new Set(items.map(({ name, day }) => keyOf(name, day)));
}

function unknown(): Outcome<Answer> {
  return { kind: 'unknown', message: 'cut off' };
}

function answered(body: Answer): Outcome<Answer> {
  return { kind: 'answered', status: 200, body };
}
