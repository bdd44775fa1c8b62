/**
 * One life of the delivery: contributions come, calls go wrong in every way the model knows, the daemon crashes
 * at the boundaries of its effects, and in the end the network heals. Then the books are compared.
 */
import type { Decision } from '../../src/core/delivery/draft.ts';
import {
  keyOf,
  newAccount,
  newSumKey,
  type Account,
  type Attribute,
  type DeliveryState,
  type Key,
  type Mode,
  type Settings,
} from '../../src/core/delivery/state.ts';
import type { Outcome } from '../../src/core/delivery/outcome.ts';
import type { Answer } from '../../src/core/delivery/request.ts';
import { step, type Event } from '../../src/core/delivery/step.ts';
import { DAY_MS, HOUR_MS, localDate, type EpochMs, type LocalDate } from '../../src/core/time.ts';
import type { Units } from '../../src/core/units.ts';
import { ExistModel, FAULTS, type Fault } from './exist-model.ts';
import { Random } from './random.ts';

const START = Date.parse('2026-03-27T08:00:00Z') as EpochMs;
const SETTINGS: Settings = {
  settleMs: 90_000,
  callsPerHour: 300,
  flushEveryMs: 300_000,
  lingerMs: 2_000,
  batch: 35,
  timezone: 'UTC',
};

/** What a defect would look like; each one must be caught. */
export type Mutant =
  'no-write-ahead' | 'no-settle' | 'no-judge' | 'no-audit' | 'blind-retry' | 'two-dates-of-one-name';

export interface Verdict {
  readonly seed: number;
  /** What is wrong, if anything: sentences with attribute and day. */
  readonly deviations: readonly string[];
  readonly calls: number;
  readonly held: number;
  /** What the devices, the network and the power did, in its order. */
  readonly story: readonly Incident[];
}

/** One thing that happened; another run can be confined to some of them by name. */
export interface Incident {
  readonly name: string;
  readonly text: string;
}

export interface Scenario {
  readonly seed: number;
  readonly mode: Mode;
  readonly mutant?: Mutant;
  /** Faults that may occur; all by default. Where there are none, the power does not go either. */
  readonly faults?: readonly Fault[];
  /** The latest that a request is applied after it was sent; without a bound by default. */
  readonly latestMs?: number;
  /** Nothing may deviate or be held, be it reported or not. */
  readonly isExact?: boolean;
  /** Names of the incidents that may happen; all by default. */
  readonly only?: ReadonlySet<string>;
}

export function live(scenario: Scenario): Verdict {
  return new History(scenario).run();
}

class History {
  private readonly random: Random;
  private readonly exist: ExistModel;
  private account: Account = newAccount();
  private readonly attributes = new Map<string, Attribute>();
  private readonly keys = new Map<string, Key>();
  private readonly did = new Map<string, number>();
  private readonly stoodBefore = new Map<string, Units>();
  private readonly edited = new Map<string, number>();
  private readonly reported = new Set<string>();
  private now = START;
  private wakeAt: EpochMs | undefined = START;
  private calls = 0;
  private isHealed = false;
  private readonly faults: readonly [Fault, ...Fault[]];
  private readonly faultRate: number;
  /** Of the delivery's own; what is left out of a history must not change the rest of it. */
  private readonly jitter: Random;
  /** Items whose outcome was unknown. */
  private readonly doubted = new Set<string>();
  private readonly settings: Settings;
  private readonly story: Incident[] = [];

  constructor(private readonly scenario: Scenario) {
    this.random = new Random(scenario.seed);
    this.settings = scenario.mutant === 'no-settle' ? { ...SETTINGS, settleMs: 0 } : SETTINGS;
    this.jitter = new Random(scenario.seed + 1_000_003);
    this.faultRate = scenario.faults?.length === 0 ? 0 : this.random.pick([0.05, 0.2, 0.5]);
    const [first = 'lost', ...others] = scenario.faults ?? FAULTS;
    this.faults = [first, ...others];
    for (const name of ['fridge', 'water', 'coffee'].slice(0, this.random.whole(1, 3))) {
      this.attributes.set(name, attribute(name, scenario.mode));
    }
    for (const name of this.attributes.keys()) {
      if (scenario.mode === 'strict' || this.random.chance(0.5)) continue;
      const key = keyOf(name, localDate(this.now, 'UTC'));
      const before = (this.random.whole(1, 50) * 1_000_000) as Units;
      this.stoodBefore.set(key, before);
    }
    const echoesDates = this.random.chance(0.5);
    this.exist = new ExistModel(
      new Random(scenario.seed + 2_000_003),
      echoesDates,
      this.stoodBefore,
      scenario.latestMs,
    );
  }

  run(): Verdict {
    this.dispatch({ type: 'started' });
    const events = this.random.whole(4, 14);
    for (let done = 0; done < events; done += 1) {
      this.passUntil((this.now + this.pause()) as EpochMs);
      this.contribute(done);
      const { mode, isExact } = this.scenario;
      if (mode === 'shared' && this.random.chance(0.15) && isExact !== true) this.editByHand(done);
      if (this.random.chance(0.1) && this.happens(`restart ${done}`, 'the daemon starts again')) {
        this.dispatch({ type: 'started' });
      }
    }
    this.isHealed = true;
    // Late requests, settling, repairs, and the audits of two nights after the last day.
    this.passUntil((this.now + 6 * DAY_MS) as EpochMs);
    return this.verdict();
  }

  private pause(): number {
    return this.random.pick([500, 3_000, 60_000, 400_000, HOUR_MS, 9 * HOUR_MS]) * this.random.whole(1, 3);
  }

  /** Tells the story; `false` where this is to be left out. */
  private happens(name: string, text: string): boolean {
    if (this.scenario.only && !this.scenario.only.has(name)) return false;
    this.story.push({ name, text: `${new Date(this.now).toISOString()}  ${text}` });
    return true;
  }

  private contribute(event: number): void {
    const names = [...this.attributes.keys()];
    const name = names[this.random.whole(0, names.length - 1)] ?? '';
    const day = localDate((this.now - (this.random.chance(0.2) ? DAY_MS : 0)) as EpochMs, 'UTC');
    const amount = this.random.pick([1, 1, 1, 2, 3, 0.25]) * 1_000_000;
    if (!this.happens(`reading ${event}`, `${name} +${amount / 1_000_000} on ${day}`)) return;
    const id = keyOf(name, day);
    this.did.set(id, (this.did.get(id) ?? 0) + amount);
    const key = this.keys.get(id);
    const openSince = key?.openSince ?? this.now;
    this.keys.set(
      id,
      key?.kind === 'sum'
        ? { ...key, total: (key.total + amount) as Units, openSince, closed: false }
        : newSumKey(name, day, amount as Units, openSince),
    );
    const flushAt = Math.max(
      this.now + SETTINGS.lingerMs,
      (this.account.lastFlushAt ?? 0) + SETTINGS.flushEveryMs,
    );
    if (this.wakeAt === undefined || flushAt < this.wakeAt) this.wakeAt = flushAt as EpochMs;
  }

  private editByHand(event: number): void {
    const ids = [...this.keys.keys()];
    const id = ids[this.random.whole(0, ids.length - 1)];
    if (id === undefined) return;
    const amount = this.random.whole(5, 9) * 1_000_000 + 123;
    if (!this.happens(`edit ${event}`, `somebody adds ${amount / 1_000_000} to ${id}`)) return;
    this.edited.set(id, (this.edited.get(id) ?? 0) + amount);
    this.exist.values.set(id, ((this.exist.values.get(id) ?? 0) + amount) as Units);
  }

  private passUntil(until: EpochMs): void {
    for (let steps = 0; this.wakeAt !== undefined && this.wakeAt <= until; steps += 1) {
      if (steps > 5_000) throw new Error(`seed ${this.scenario.seed}: the delivery never comes to rest`);
      this.now = Math.max(this.now, this.wakeAt) as EpochMs;
      this.wakeAt = undefined;
      this.dispatch({ type: 'wake' });
    }
    this.now = Math.max(this.now, until) as EpochMs;
  }

  private dispatch(first: Event): void {
    let event: Event | undefined = first;
    while (event) {
      this.exist.advance(this.now);
      const decision: Decision = step(this.state(), event, {
        settings: this.settings,
        now: this.now,
        random: this.jitter.next(),
      });
      event = this.carryOut(decision);
    }
  }

  private state(): DeliveryState {
    const keys = new Map([...this.keys].filter(([, key]) => !key.closed));
    return { account: this.account, attributes: this.attributes, keys };
  }

  private save(decision: Decision): void {
    const { mutant } = this.scenario;
    this.account = { ...decision.account };
    if (mutant === 'no-audit') this.account.nextAuditAt = null;
    if (mutant === 'two-dates-of-one-name') this.account.datesEchoed = true;
    for (const changed of decision.attributes) this.attributes.set(changed.name, changed);
    for (const changed of decision.keys) {
      const id = keyOf(changed.attribute, changed.day);
      this.keys.set(id, mutant === 'no-audit' ? { ...changed, lookAt: null } : changed);
      if (changed.flight === 'unknown') this.doubted.add(id);
    }
    for (const { attribute: name, day } of decision.notes) {
      if (name !== undefined && day !== undefined) this.reported.add(keyOf(name, day));
    }
  }

  private carryOut(decision: Decision): Event | undefined {
    const { mutant } = this.scenario;
    if (!decision.call) {
      this.save(decision);
      this.wakeAt = earliest(this.wakeAt, decision.wakeAt);
      return undefined;
    }
    this.calls += 1;
    const { id, request } = decision.call;
    const chance = new Random(this.scenario.seed * 31 + this.calls * 1_009);
    const crash = this.isHealed ? undefined : this.crash(chance, request.kind);
    if (mutant !== 'no-write-ahead') this.save(decision);
    if (crash === 'before') {
      this.now = (this.now + chance.whole(1, 600) * 1_000) as EpochMs;
      return { type: 'started' };
    }
    const fault = this.isHealed ? undefined : this.fault(chance, request.kind);
    let outcome = this.exist.call(request, this.now, fault);
    const tookMs = outcome.kind === 'unknown' ? chance.pick([50, 30_000]) : chance.whole(20, 3_000);
    this.now = (this.now + tookMs) as EpochMs;
    if (crash === 'after') {
      this.now = (this.now + chance.whole(1, 600) * 1_000) as EpochMs;
      return { type: 'started' };
    }
    if (mutant === 'no-write-ahead') this.save(decision);
    if (mutant === 'blind-retry' && outcome.kind === 'unknown') {
      outcome = { kind: 'not-sent', cause: 'network', message: outcome.message };
    }
    if (mutant === 'no-judge') outcome = this.flatter(outcome);
    return { type: 'answered', callId: id, outcome };
  }

  /** What a delivery that never judges would make of an answer: all is as it should be. */
  private flatter(outcome: Outcome<Answer>): Outcome<Answer> {
    if (outcome.kind !== 'answered') return outcome;
    const { body } = outcome;
    const expected = (name: string, day: LocalDate | undefined): Units | null => {
      const key = day === undefined ? undefined : this.keys.get(keyOf(name, day));
      if (key?.kind !== 'sum' || key.base === null) return null;
      return (key.base + key.ours + key.flightAmount) as Units;
    };
    if (body.kind === 'read') {
      const values = new Map(
        [...body.values].map(([name, days]) => [
          name,
          new Map([...days].map(([day, value]) => [day, expected(name, day) ?? value])),
        ]),
      );
      return { ...outcome, body: { ...body, values } };
    }
    if (body.kind !== 'written') return outcome;
    const success = body.success.map((item) => ({
      ...item,
      current: expected(item.name, item.day) ?? undefined,
    }));
    return { ...outcome, body: { ...body, success } };
  }

  private crash(chance: Random, kind: string): 'before' | 'after' | undefined {
    if (!chance.chance(this.faultRate / 3)) return undefined;
    const when = chance.pick<'before' | 'after'>(['before', 'after']);
    const text = `the power goes ${when} call ${this.calls} (${kind})`;
    return this.happens(`crash ${this.calls}`, text) ? when : undefined;
  }

  private fault(chance: Random, kind: string): Fault | undefined {
    if (!chance.chance(this.faultRate)) return undefined;
    const fault = chance.pick(this.faults);
    return this.happens(`fault ${this.calls}`, `call ${this.calls} (${kind}): ${fault}`) ? fault : undefined;
  }

  /** The oracle: what the devices did = what stands in Exist + what is visibly held. */
  private verdict(): Verdict {
    const deviations: string[] = [];
    let held = 0;
    for (const [id, key] of this.keys) {
      if (key.kind !== 'sum') continue;
      const stands = this.exist.values.get(id) ?? 0;
      const others = (this.stoodBefore.get(id) ?? 0) + (this.edited.get(id) ?? 0);
      const expected = others + (this.did.get(id) ?? 0);
      if (key.held) held += 1;
      const { isExact, mode } = this.scenario;
      if (isExact === true && key.held) deviations.push(`${id}: held: ${key.held.reason}`);
      if (key.held || stands === expected) continue;
      if (isExact !== true && mode === 'shared' && this.reported.has(id)) continue;
      const kind = stands < expected ? 'lost' : 'doubled';
      deviations.push(`${id}: ${kind}: stands at ${stands}, expected ${expected}; ${JSON.stringify(key)}`);
    }
    if (this.scenario.faults?.length === 0 && this.doubted.size > 0) {
      deviations.push(`in doubt although nothing went wrong: ${[...this.doubted].join(', ')}`);
    }
    return { seed: this.scenario.seed, deviations, calls: this.calls, held, story: this.story };
  }
}

function earliest(a: EpochMs | undefined, b: EpochMs | undefined): EpochMs | undefined {
  if (a === undefined) return b;
  return b === undefined ? a : (Math.min(a, b) as EpochMs);
}

function attribute(name: string, mode: Mode): Attribute {
  return {
    name,
    existName: name,
    template: null,
    label: name,
    group: 'custom',
    valueType: 'decimal',
    wantedMode: mode,
    mode,
    state: 'ready',
    createdByUs: mode === 'strict',
    reacquired: false,
    reason: null,
    retryAt: null,
  };
}
