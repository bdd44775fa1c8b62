/** A delivery whose steps are taken by hand, on a clock and with answers of the test's. */
import type { Decision } from '../../../src/core/delivery/draft.ts';
import type { Outcome } from '../../../src/core/delivery/outcome.ts';
import type { Answer, AttributeSeen, Request } from '../../../src/core/delivery/request.ts';
import {
  keyOf,
  newAccount,
  newSumKey,
  type Account,
  type Attribute,
  type Key,
  type Mode,
  type Settings,
  type SumKey,
} from '../../../src/core/delivery/state.ts';
import { step, type Event } from '../../../src/core/delivery/step.ts';
import { MINUTE_MS, type EpochMs, type LocalDate } from '../../../src/core/time.ts';
import type { Units } from '../../../src/core/units.ts';

export const TODAY = '2026-11-24' as LocalDate;
export const NOON = Date.parse('2026-11-24T12:00:00Z') as EpochMs;
/** The account's own zone is asked for. */
export const ZONELESS: Settings = {
  settleMs: 90_000,
  callsPerHour: 300,
  flushEveryMs: 5 * MINUTE_MS,
  lingerMs: 2_000,
  batch: 35,
};
export const SETTINGS: Settings = { ...ZONELESS, timezone: 'UTC' };

export const ok = (body: Answer): Outcome<Answer> => ({ kind: 'answered', status: 200, body });
export const unknown: Outcome<Answer> = { kind: 'unknown', message: 'cut off' };
export const units = (value: number): Units => Math.round(value * 1_000_000) as Units;

/** An attribute as Exist shows it. */
export const seenAs = (name: string): AttributeSeen => ({
  name,
  label: name,
  template: null,
  valueType: 'decimal',
  manual: false,
});

/** One that Exist has, guarded, unless `more` says otherwise. */
export function readyAttribute(name: string, more: Partial<Attribute> = {}): Attribute {
  return {
    name,
    existName: name,
    template: null,
    label: name,
    group: 'custom',
    valueType: 'decimal',
    wantedMode: null,
    mode: 'guarded',
    state: 'ready',
    createdByUs: false,
    reacquired: false,
    reason: null,
    retryAt: null,
    ...more,
  };
}

export class Bench {
  account: Account = { ...newAccount(), ownedPage: null };
  readonly attributes = new Map<string, Attribute>();
  readonly keys = new Map<string, Key>();
  now = NOON;

  constructor(private readonly settings: Settings = SETTINGS) {}

  attribute(name: string, more: Partial<Attribute> = {}): this {
    this.attributes.set(name, readyAttribute(name, more));
    return this;
  }

  contribute(name: string, amount: number, day = TODAY): this {
    const id = keyOf(name, day);
    const key = this.keys.get(id);
    const openSince = key?.openSince ?? this.now;
    const total = units(amount + (key?.kind === 'sum' ? key.total / 1_000_000 : 0));
    const sum = key?.kind === 'sum' ? key : newSumKey(name, day, total, openSince);
    this.keys.set(id, { ...sum, total, openSince, closed: false });
    return this;
  }

  step(event: Event): Decision {
    const state = { account: this.account, attributes: this.attributes, keys: this.keys };
    const decision = step(state, event, { settings: this.settings, now: this.now, random: 0.5 });
    this.account = decision.account;
    for (const attribute of decision.attributes) this.attributes.set(attribute.name, attribute);
    for (const key of decision.keys) this.keys.set(keyOf(key.attribute, key.day), key);
    return decision;
  }

  wake(laterMs = 0): Request | undefined {
    this.now = (this.now + laterMs) as EpochMs;
    return this.step({ type: 'wake' }).call?.request;
  }

  /** Answers the call on its way; gives back the next one. */
  answer(outcome: Outcome<Answer>): Request | undefined {
    const callId = this.account.call?.id ?? -1;
    return this.step({ type: 'answered', callId, outcome }).call?.request;
  }

  /** Shows `value` to the read on its way. */
  show(value: number | null, name = 'water', day = TODAY): Request | undefined {
    const days = new Map([[day, value === null ? null : units(value)]]);
    return this.answer(ok({ kind: 'read', values: new Map([[name, days]]) }));
  }

  applied(
    current: number | undefined,
    name = 'water',
    day: LocalDate | undefined = TODAY,
  ): Request | undefined {
    const success = [{ name, day, current: current === undefined ? undefined : units(current) }];
    return this.answer(ok({ kind: 'written', success, failed: [] }));
  }

  fail(code: string, name = 'water'): Request | undefined {
    return this.answer(
      ok({ kind: 'written', success: [], failed: [{ name, day: TODAY, code, message: 'no' }] }),
    );
  }

  key(name = 'water', day = TODAY): SumKey {
    const key = this.keys.get(keyOf(name, day));
    if (key?.kind !== 'sum') throw new Error(`no sum for ${name} on ${day}`);
    return key;
  }
}

/** A bench whose first increment is on its way, with `before` standing at Exist. */
export function sending(amount = 3, before: number | null = 10, mode: Mode = 'guarded'): Bench {
  const bench = new Bench().attribute('water', { mode }).contribute('water', amount);
  bench.wake(2_000);
  bench.show(before);
  return bench;
}
