/**
 * One life of the delivery: counts and values come, calls go wrong in every way the model knows, the daemon crashes
 * at the boundaries of its effects, people edit days by hand, mappings change, attributes are lost and found, the user
 * settles what is held, and in the end the network heals. Then the books are compared, and once more when the user has
 * settled all that is held.
 */
import type { Decision } from '../../src/core/delivery/draft.ts';
import type { ValueType } from '../../src/core/attribute.ts';
import { countInto, setInto } from '../../src/core/delivery/contribute.ts';
import { heldAmount, waitsForAttribute, type Settlement } from '../../src/core/delivery/settlement.ts';
import {
  keyOf,
  newAccount,
  type Account,
  type Attribute,
  type DeliveryState,
  type Key,
  type Settings,
  type SumKey,
} from '../../src/core/delivery/state.ts';
import { step, type Event } from '../../src/core/delivery/step.ts';
import { DAY_MS, HOUR_MS, localDate, type EpochMs } from '../../src/core/time.ts';
import type { Units } from '../../src/core/units.ts';
import { Books } from './books.ts';
import { Clockwork } from './clockwork.ts';
import { ExistModel, FAULTS, type Fault } from './exist-model.ts';
import { flatter, isOfJudging, misjudge } from './mutants.ts';
import { Random } from './random.ts';
import { attributeOf, SENSORS, SETTINGS, type Scenario, type Sensor, type Verdict } from './scenario.ts';

/** Calls an hour: enough, few, and so few that a repair, or anything, has to wait for the next hour. */
const BUDGETS = [300, 300, 10, 3, 2, 1] as const;

/** A life of two weeks takes a hundred. */
const MOST_CALLS = 5_000;

export function live(scenario: Scenario): Verdict {
  return new History(scenario).run();
}

class History extends Clockwork {
  private readonly random: Random;
  private readonly exist: ExistModel;
  private account: Account = newAccount();
  private readonly attributes = new Map<string, Attribute>();
  private readonly keys = new Map<string, Key>();
  /** Those of `keys` that are not closed. */
  private readonly open = new Map<string, Key>();
  private readonly books: Books;
  private readonly sensors: Sensor[];
  /** Each edit is larger than all before it and all counts: no doubt can explain it. */
  private editAmount = 1_000_000_123;
  private calls = 0;
  private isHealed = false;
  private readonly faults: readonly [Fault, ...Fault[]];
  private readonly faultRate: number;
  /** Of the delivery's own; what is left out of a history must not change the rest of it. */
  private readonly jitter: Random;
  /** Items whose outcome was unknown. */
  private readonly doubted = new Set<string>();
  private readonly settings: Settings;
  private settling: { readonly key: Key; readonly total: Units | string | undefined } | undefined;

  constructor(scenario: Scenario) {
    super(scenario);
    this.random = new Random(scenario.seed);
    const callsPerHour = new Random(scenario.seed + 3_000_017).pick(BUDGETS);
    const settleMs = scenario.mutant === 'no-settle' ? 0 : SETTINGS.settleMs;
    this.settings = { ...SETTINGS, callsPerHour, settleMs };
    this.jitter = new Random(scenario.seed + 1_000_003);
    this.faultRate = scenario.faults?.length === 0 ? 0 : this.random.pick([0.05, 0.2, 0.5]);
    const [first = 'lost', ...others] = scenario.faults ?? FAULTS;
    this.faults = [first, ...others];
    const from = this.random.whole(0, SENSORS.length - 1);
    const count = this.random.whole(1, 3);
    this.sensors = SENSORS.filter((_, n) => (n - from + SENSORS.length) % SENSORS.length < count).map(
      (sensor) => ({
        ...sensor,
      }),
    );
    for (const sensor of this.sensors) this.attributes.set(sensor.name, attributeOf(sensor, scenario.mode));
    const stoodBefore = new Map<string, Units>();
    const echoesDates = this.random.chance(0.5);
    for (const { name, kind, valueType } of this.sensors) {
      const isFound = scenario.mode !== 'strict' && this.random.chance(0.5);
      if (!isFound || valueType === 'text' || (kind === 'value' && scenario.isExact === true)) continue;
      stoodBefore.set(
        keyOf(name, localDate(this.now, 'UTC')),
        (this.random.whole(1, 50) * 1_000_000) as Units,
      );
    }
    const typeOf = (name: string): ValueType => this.attributes.get(name)?.valueType ?? 'decimal';
    this.exist = new ExistModel(
      new Random(scenario.seed + 2_000_003),
      echoesDates,
      stoodBefore,
      scenario.latestMs,
      typeOf,
    );
    this.books = new Books(scenario.mode, this.exist, typeOf);
    for (const [id, value] of stoodBefore) this.books.found(id, value, this.now);
  }

  run(): Verdict {
    this.dispatch({ type: 'started' });
    const events = this.random.whole(4, 14);
    for (let done = 0; done < events; done += 1) {
      this.passUntil((this.now + this.pause()) as EpochMs);
      this.contribute(done);
      const { random } = this;
      if (random.chance(0.15)) this.editByHand(done);
      if (random.chance(0.02)) this.changeMapping(done);
      if (random.chance(0.05) && this.happens(`reload ${done}`, 'the configuration is read again')) {
        this.dispatch({ type: 'reloaded' });
      }
      if (random.chance(0.05)) this.loseAttribute(done);
      if (random.chance(0.1)) this.tryAttributes(`attributes ${done}`);
      if (random.chance(0.4)) this.settleOne(done);
      if (random.chance(0.1) && this.happens(`restart ${done}`, 'the daemon starts again')) {
        this.dispatch({ type: 'started' });
      }
    }
    this.isHealed = true;
    this.tryAttributes('attributes at last');
    // Late requests, settling, repairs, and the audits of two nights after the last day.
    this.passUntil((this.now + 6 * DAY_MS) as EpochMs);
    const deviations = this.deviations();
    const held = this.held().length;
    for (let round = 0; round < 3 && deviations.length === 0 && this.held().length > 0; round += 1) {
      for (const key of this.held()) this.settle(key, this.truth(key));
      this.passUntil((this.now + 4 * DAY_MS) as EpochMs);
    }
    if (held > 0 && deviations.length === 0) deviations.push(...this.deviations());
    for (const { attribute: name, day } of this.held()) deviations.push(`${day} ${name}: held for good`);
    return this.verdict(deviations, held);
  }

  private pause(): number {
    return this.random.pick([500, 3_000, 60_000, 400_000, HOUR_MS, 9 * HOUR_MS]) * this.random.whole(1, 3);
  }

  private contribute(event: number): void {
    const { random } = this;
    const sensor = this.sensors[random.whole(0, this.sensors.length - 1)];
    if (!sensor) return;
    const { name } = sensor;
    const day = localDate((this.now - (random.chance(0.2) ? DAY_MS : 0)) as EpochMs, 'UTC');
    const amount = (random.pick([1, 1, 1, 2, 3, 0.25]) * 1_000_000) as Units;
    // Readings that come back to an earlier value are the hard ones.
    const level = random.whole(70, 74);
    const id = keyOf(name, day);
    const key = this.keys.get(id);
    const of = { attribute: name, day, now: this.now };
    if (sensor.kind === 'sum') {
      if (!this.happens(`reading ${event}`, `${name} +${amount / 1_000_000} on ${day}`)) return;
      const after = countInto(key, of, amount);
      this.books.count(id, amount, key, after);
      this.put(after);
    } else {
      const wanted = sensor.valueType === 'text' ? `level ${level}` : ((level * 1_000_000) as Units);
      if (!this.happens(`reading ${event}`, `${name} = ${wanted} on ${day}`)) return;
      const after = setInto(key, of, wanted, true);
      this.books.set(id, key, after, this.now);
      this.put(after);
    }
    this.wakeToFlush(this.account);
  }

  private put(key: Key): void {
    const id = keyOf(key.attribute, key.day);
    this.keys.set(id, key);
    if (key.closed) this.open.delete(id);
    else this.open.set(id, key);
  }

  private editByHand(event: number): void {
    const { random } = this;
    const ids = [...this.open.keys()];
    const id = ids[random.whole(0, Math.max(0, ids.length - 1))];
    const key = id === undefined ? undefined : this.open.get(id);
    if (id === undefined || !key || this.scenario.isExact === true || !this.isEditable(id, key)) return;
    const isText = this.attributes.get(key.attribute)?.valueType === 'text';
    const by = this.editAmount;
    this.editAmount *= 2;
    const before = this.exist.values.get(id) ?? 0;
    const value = isText
      ? `edited ${by}`
      : key.kind === 'value'
        ? (by as Units)
        : ((Number(before) + by) as Units);
    if (this.happens(`edit ${event}`, `somebody makes ${id} ${value}`))
      this.books.edit(id, key, value, this.now);
  }

  /**
   * Nobody can lock Exist: what is changed between the look and the `update` that follows within a minute, or before
   * an `update` that comes late, is overwritten. And what is changed after the last look of a day is not seen.
   */
  private isEditable(id: string, key: Key): boolean {
    const isLooked = key.sentAt !== null && this.now - key.sentAt < DAY_MS;
    if (!isLooked || this.exist.isAwaited(id)) return false;
    return key.kind === 'value' || (key.base !== null && !key.repair && !key.fixed);
  }

  private changeMapping(event: number): void {
    const sensor = this.sensors.find(({ valueType }) => valueType !== 'text');
    if (!sensor || this.scenario.isExact === true) return;
    const kind = sensor.kind === 'sum' ? 'value' : 'sum';
    if (!this.happens(`mapping ${event}`, `${sensor.name} is a ${kind} from now on`)) return;
    sensor.kind = kind;
    this.dispatch({ type: 'reloaded' });
  }

  /** Exist does not let us write one: what waits for it is the user's to settle, or rests until it works again. */
  private loseAttribute(event: number): void {
    const attribute = [...this.attributes.values()][0];
    if (attribute?.state !== 'ready' || this.scenario.isExact === true) return;
    const { name } = attribute;
    if (!this.happens(`loss ${event}`, `${name} cannot be written from now on`)) return;
    this.attributes.set(name, { ...attribute, state: 'held', reason: 'not yours' });
  }

  private tryAttributes(incident: string): void {
    for (const { name: attribute, state } of this.attributes.values()) {
      if (state !== 'held') continue;
      // Not to be left out at the end: what is held with its attribute is visible, and never sent.
      const isTold = this.happens(`${incident} ${attribute}`, `the user tries ${attribute} again`);
      if (!isTold && !this.isHealed) continue;
      this.dispatch({ type: 'settled', settlement: { attribute, day: null, how: 'retry' } });
    }
  }

  private held(): Key[] {
    return [...this.open.values()].filter((key) => key.held);
  }

  /** Sums of attributes that are held as a whole, and that the user has not set yet. */
  private waiting(): Key[] {
    return [...this.open.values()].filter(
      (key) => key.kind === 'sum' && !key.fixed && waitsForAttribute(key, this.attributes.get(key.attribute)),
    );
  }

  /** What somebody would say who knows what became of it. */
  private truth(key: Key): 'retry' | 'count' {
    if (!key.held) return 'count';
    const isConflict = key.kind === 'sum' && key.held.state === 'conflict' && key.flight === 'unknown';
    return isConflict && this.exist.timesApplied(keyOf(key.attribute, key.day)) > 0 ? 'count' : 'retry';
  }

  private settleOne(event: number): void {
    const how = this.random.pick(['truth', 'truth', 'drop', 'set', 'set'] as const);
    const total = this.random.whole(0, 60) * 1_000_000;
    const [key] = [...this.held(), ...this.waiting()];
    if (!key || this.scenario.isExact === true) return;
    const isText = this.attributes.get(key.attribute)?.valueType === 'text';
    const said = how === 'truth' || (how === 'drop' && key.kind === 'value') ? this.truth(key) : how;
    const id = keyOf(key.attribute, key.day);
    if (!this.happens(`user ${event}`, `the user settles ${id}: ${said} ${total / 1_000_000}`)) return;
    // Who says that it stands there already, where nobody has looked yet, has typed it in.
    if (said === 'count' && !key.held && key.kind === 'sum' && key.base === null) this.typeIn(id, key);
    this.settle(key, said, isText ? `said ${total}` : (total as Units));
  }

  private typeIn(id: string, key: SumKey): void {
    const amount = heldAmount(key, this.attributes.get(key.attribute));
    this.exist.edit(id, (Number(this.exist.values.get(id) ?? 0) + amount) as Units);
  }

  private settle(
    key: Key,
    how: 'retry' | 'drop' | 'count' | 'set',
    total: Units | string = 0 as Units,
  ): void {
    const { attribute: name, day } = key;
    const settlement: Settlement =
      how === 'set' ? { attribute: name, day, how, total } : { attribute: name, day, how };
    this.settling = { key, total: how === 'set' ? total : undefined };
    this.dispatch({ type: 'settled', settlement });
    this.settling = undefined;
  }

  protected dispatch(first: Event): void {
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
    return { account: this.account, attributes: this.attributes, keys: this.open };
  }

  private save(decision: Decision): void {
    const { mutant } = this.scenario;
    this.account = { ...decision.account };
    if (mutant === 'no-audit') this.account.nextAuditAt = null;
    if (mutant === 'two-dates-of-one-name') this.account.datesEchoed = true;
    for (const changed of decision.attributes) this.attributes.set(changed.name, changed);
    const looked = decision.finished?.request.kind === 'read';
    for (const changed of decision.keys) {
      const id = keyOf(changed.attribute, changed.day);
      const before = this.keys.get(id);
      let after = changed;
      if (mutant === 'no-audit') after = { ...changed, lookAt: null };
      else if (mutant !== undefined && before && isOfJudging(mutant)) {
        after = misjudge(mutant, before, changed, looked, this.now);
      }
      this.put(after);
      if (changed.flight === 'unknown') this.doubted.add(id);
    }
    for (const { attribute: name, day, text } of decision.notes) {
      if (name !== undefined && day !== undefined) this.books.note(keyOf(name, day), text);
    }
    const { settling } = this;
    if (!settling) return;
    this.settling = undefined;
    const id = keyOf(settling.key.attribute, settling.key.day);
    const after = this.keys.get(id);
    if (after) this.books.settle(id, settling.key, after, settling.total, this.now);
  }

  private carryOut(decision: Decision): Event | undefined {
    const { mutant } = this.scenario;
    if (!decision.call) {
      this.save(decision);
      this.wakeBy(decision.wakeAt);
      return undefined;
    }
    this.calls += 1;
    if (this.calls > MOST_CALLS) throw new Error(`seed ${this.scenario.seed}: the delivery never rests`);
    const { id, request } = decision.call;
    const chance = new Random(this.scenario.seed * 31 + this.calls * 1_009);
    const crash = this.isHealed ? undefined : this.crash(chance, request.kind);
    if (mutant !== 'no-write-ahead') this.save(decision);
    if (crash === 'before') {
      this.exist.neverCame(request);
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
    if (mutant === 'no-judge') outcome = flatter(outcome, this.keys);
    return { type: 'answered', callId: id, outcome };
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
  private deviations(): string[] {
    const { isExact } = this.scenario;
    return [...this.keys].flatMap(([id, key]) => {
      const attribute = this.attributes.get(key.attribute);
      const deviation = attribute && this.books.deviation(id, key, attribute, isExact === true);
      return deviation === undefined ? [] : [deviation];
    });
  }

  private verdict(deviations: string[], held: number): Verdict {
    if (this.scenario.faults?.length === 0 && this.doubted.size > 0) {
      deviations.push(`in doubt although nothing went wrong: ${[...this.doubted].join(', ')}`);
    }
    return { seed: this.scenario.seed, deviations, calls: this.calls, held, story: this.story };
  }
}
