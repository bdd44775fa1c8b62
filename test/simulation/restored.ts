/**
 * A life of the delivery whose card dies, and an older copy of its database is put back: at any boundary of an effect
 * the copy is made, the life goes on (and what it counts and sends from there is in no copy), the card dies, the copy
 * comes back as `restore` leaves it, and goes on among the same troubles.
 *
 * The oracle: what is held is the user's, and until then nothing of that day is sent by itself; what the user decides is
 * done exactly; and what is counted after the restore arrives exactly once on what stood there.
 */
import type { Decision } from '../../src/core/delivery/draft.ts';
import { countInto, setInto } from '../../src/core/delivery/contribute.ts';
import { endCall, holdOpen } from '../../src/core/delivery/older-copy.ts';
import { amountBehind, heldAmount } from '../../src/core/delivery/settlement.ts';
import { keyOf, newAccount, type Account, type Attribute, type Key } from '../../src/core/delivery/state.ts';
import { step, type Event } from '../../src/core/delivery/step.ts';
import { DAY_MS, HOUR_MS, localDate, type EpochMs } from '../../src/core/time.ts';
import type { Units } from '../../src/core/units.ts';
import { Clockwork } from './clockwork.ts';
import { ExistModel, FAULTS, type Fault } from './exist-model.ts';
import { Random } from './random.ts';
import { attributeOf, SENSORS, SETTINGS, type Scenario, type Sensor, type Verdict } from './scenario.ts';

/** A life of a month takes a hundred. */
const MOST_CALLS = 3_000;
const REASON = 'an older copy was restored';
/** Nothing that the dead card sent arrives after the copy is put back, and reads do not lag behind it any more. */
const PUTTING_BACK_MS = 20 * 60_000;
const LATEST_MS = 10 * 60_000;
/** In the modes that adopt, only what is exact there. */
const ONCE_FAULTS = FAULTS.filter((fault) => fault !== 'twice' && fault !== 'twice-lost');
const SHARED_FAULTS: readonly Fault[] = ['lost', 'applied-lost', 'late', 'network', 'refused'];
const SHARED_LATEST_MS = 60_000;

/** What must stand at Exist for a day, as far as the life after the restore goes. */
interface Expected {
  value: Units | string | null;
  /** Counts since that are not in `value`. */
  counted: number;
  /** May stand there as well: the user said that it does, and it was said again. */
  again?: Units | string;
}

interface Ledger {
  account: Account;
  attributes: Map<string, Attribute>;
  keys: Map<string, Key>;
}

export function liveRestored(scenario: Scenario): Verdict {
  return new RestoredHistory(scenario).run();
}

class RestoredHistory extends Clockwork {
  private readonly random: Random;
  private readonly exist: ExistModel;
  private ledger: Ledger = { account: newAccount(), attributes: new Map(), keys: new Map() };
  private copy: Ledger | undefined;
  private readonly sensors: readonly Sensor[];
  private readonly expected = new Map<string, Expected>();
  private readonly deviations: string[] = [];
  private readonly faults: readonly Fault[];
  private readonly faultRate: number;
  /** The call after whose intent is on disk the copy is made; a later one never comes. */
  private readonly copyAtCall: number;
  private isRestored = false;
  private isHealed = false;
  private calls = 0;
  private settledCount = 0;

  constructor(scenario: Scenario) {
    super(scenario);
    this.random = new Random(scenario.seed + 5_000_011);
    const { random } = this;
    const isShared = scenario.mode === 'shared';
    this.faults = { strict: FAULTS, guarded: ONCE_FAULTS, shared: SHARED_FAULTS }[scenario.mode];
    this.faultRate = random.pick([0, 0.1, 0.4]);
    this.copyAtCall = random.whole(1, 12);
    const from = random.whole(0, SENSORS.length - 1);
    this.sensors = SENSORS.filter(
      (_, n) => (n - from + SENSORS.length) % SENSORS.length < random.whole(1, 3),
    );
    for (const sensor of this.sensors)
      this.ledger.attributes.set(sensor.name, attributeOf(sensor, scenario.mode));
    this.exist = new ExistModel(
      new Random(scenario.seed + 2_000_003),
      random.chance(0.5),
      new Map(),
      isShared ? SHARED_LATEST_MS : LATEST_MS,
      (name) => this.ledger.attributes.get(name)?.valueType ?? 'decimal',
    );
  }

  run(): Verdict {
    this.dispatch({ type: 'started' });
    this.live('before', this.random.whole(2, 8));
    this.copy ??= this.snapshot();
    this.live('unsaved', this.random.whole(0, 6));
    this.putBack();
    this.live('after', this.random.whole(1, 8));
    this.isHealed = true;
    this.passUntil((this.now + 6 * DAY_MS) as EpochMs);
    this.check();
    for (let round = 0; round < 3 && this.held().length > 0; round += 1) {
      for (const key of this.held()) this.settle(key, `last ${round}`);
      this.passUntil((this.now + 4 * DAY_MS) as EpochMs);
    }
    for (const { attribute, day } of this.held()) this.deviations.push(`${day} ${attribute}: held for good`);
    this.check();
    const { calls, deviations, story, settledCount } = this;
    return { seed: this.scenario.seed, deviations, calls, held: settledCount, story };
  }

  private live(part: string, events: number): void {
    for (let done = 0; done < events; done += 1) {
      const pause = this.random.pick([500, 3_000, 60_000, 400_000, HOUR_MS, 9 * HOUR_MS]);
      this.passUntil((this.now + pause * this.random.whole(1, 3)) as EpochMs);
      this.contribute(`${part} ${done}`);
      const [key] = this.held();
      if (part === 'after' && key && this.random.chance(0.3)) this.settle(key, `${part} ${done}`);
    }
  }

  private contribute(incident: string): void {
    const { random } = this;
    const sensor = this.sensors[random.whole(0, this.sensors.length - 1)];
    const day = localDate((this.now - (random.chance(0.2) ? DAY_MS : 0)) as EpochMs, 'UTC');
    const amount = (random.pick([1, 1, 2, 3]) * 1_000_000) as Units;
    const level = random.whole(70, 73);
    if (!sensor) return;
    const { name, kind, valueType } = sensor;
    const id = keyOf(name, day);
    const before = this.ledger.keys.get(id);
    const of = { attribute: name, day, now: this.now };
    const wanted = valueType === 'text' ? `level ${level}` : ((level * 1_000_000) as Units);
    const said = kind === 'sum' ? `+${amount / 1_000_000}` : `= ${wanted}`;
    if (!this.happens(`reading ${incident}`, `${name} ${said} on ${day}`)) return;
    this.ledger.keys.set(
      id,
      kind === 'sum' ? countInto(before, of, amount) : setInto(before, of, wanted, true),
    );
    if (this.isRestored) {
      const expected = this.expectedOf(id);
      const isSaid = before?.kind === 'value' && before.wanted === wanted && before.delivered === wanted;
      if (kind === 'sum') expected.counted += amount;
      else if (isSaid) expected.again = wanted;
      else if (!before?.held) this.expected.set(id, { value: wanted, counted: 0 });
    }
    this.wakeToFlush(this.ledger.account);
  }

  private expectedOf(id: string): Expected {
    const expected = this.expected.get(id) ?? { value: null, counted: 0 };
    this.expected.set(id, expected);
    return expected;
  }

  private snapshot(): Ledger {
    this.tell('copy', 'a copy is made');
    const { account, attributes, keys } = this.ledger;
    return { account, attributes: new Map(attributes), keys: new Map(keys) };
  }

  /** The card died; what was on its way has come or never will. */
  private putBack(): void {
    if (!this.copy) return;
    this.now = (this.now + PUTTING_BACK_MS) as EpochMs;
    this.exist.advance(this.now);
    this.exist.catchUp();
    this.tell('restore', 'the copy is put back');
    const { account, attributes, keys } = this.copy;
    const older = { reason: REASON, now: this.now, lastCallId: this.ledger.account.lastCallId };
    this.ledger =
      this.scenario.mutant === 'older-copy-trusted'
        ? { account, attributes, keys }
        : {
            account: endCall(account, older),
            attributes,
            keys: new Map(
              [...keys].map(([id, key]) => [id, holdOpen(key, attributes.get(key.attribute), older)]),
            ),
          };
    this.isRestored = true;
    for (const [id, value] of this.exist.values) this.expected.set(id, { value, counted: 0 });
    this.dispatch({ type: 'started' });
  }

  private held(): Key[] {
    return [...this.ledger.keys.values()].filter((key) => key.held && !key.closed);
  }

  private settle(key: Key, incident: string): void {
    const { attribute, day } = key;
    const id = keyOf(attribute, day);
    const isRestored = key.held?.reason === REASON;
    const how = isRestored ? this.random.pick(['retry', 'drop', 'count', 'set'] as const) : this.truth(key);
    const total = (this.random.whole(0, 60) * 1_000_000) as Units;
    if (!this.happens(`user ${incident} ${id}`, `the user settles ${id}: ${how}`) && !this.isHealed) return;
    this.expect(key, how, total);
    this.settledCount += 1;
    const isText = this.ledger.attributes.get(attribute)?.valueType === 'text';
    const settlement =
      how === 'set'
        ? ({ attribute, day, how, total: isText ? `said ${total}` : total } as const)
        : ({ attribute, day, how } as const);
    this.dispatch({ type: 'settled', settlement });
  }

  /** Of what was held after the restore for reasons of its own, what somebody would say who knows. */
  private truth(key: Key): 'retry' | 'count' {
    const isConflict = key.kind === 'sum' && key.held?.state === 'conflict' && key.flight === 'unknown';
    return isConflict && this.exist.timesApplied(keyOf(key.attribute, key.day)) > 0 ? 'count' : 'retry';
  }

  private expect(key: Key, how: 'retry' | 'drop' | 'count' | 'set', total: Units): void {
    const id = keyOf(key.attribute, key.day);
    const expected = this.expectedOf(id);
    const isText = this.ledger.attributes.get(key.attribute)?.valueType === 'text';
    if (key.kind === 'value') {
      if (how === 'set') expected.value = isText ? `said ${total}` : total;
      else if (how === 'retry') expected.value = key.wanted;
      else expected.value = this.exist.values.get(id) ?? null;
      return;
    }
    if (how === 'set') {
      expected.value = total;
      expected.counted = 0;
    } else if (key.held?.reason === REASON && how === 'retry') {
      const of = this.ledger.attributes.get(key.attribute);
      expected.counted += heldAmount(key, of) - amountBehind(key, of);
    }
  }

  protected dispatch(first: Event): void {
    for (let event: Event | undefined = first; event;) {
      this.exist.advance(this.now);
      const keys = new Map([...this.ledger.keys].filter(([, key]) => !key.closed));
      const { account, attributes } = this.ledger;
      const circumstances = { settings: SETTINGS, now: this.now, random: this.random.next() };
      event = this.carryOut(step({ account, attributes, keys }, event, circumstances));
    }
  }

  private carryOut(decision: Decision): Event | undefined {
    this.save(decision);
    if (!decision.call) {
      this.wakeBy(decision.wakeAt);
      return undefined;
    }
    this.calls += 1;
    if (this.calls > MOST_CALLS) throw new Error(`seed ${this.scenario.seed}: the delivery never rests`);
    const { id, request } = decision.call;
    if (!this.copy && this.calls === this.copyAtCall) this.copy = this.snapshot();
    const fault = this.fault(request.kind);
    const outcome = this.exist.call(request, this.now, fault);
    this.now = (this.now + (outcome.kind === 'unknown' ? 30_000 : 200)) as EpochMs;
    const isCut =
      this.hits(0.1) && this.happens(`crash ${this.calls}`, `the power goes in call ${this.calls}`);
    return isCut ? { type: 'started' } : { type: 'answered', callId: id, outcome };
  }

  private save({ account, attributes, keys }: Decision): void {
    this.ledger.account = { ...account };
    for (const attribute of attributes) this.ledger.attributes.set(attribute.name, attribute);
    for (const key of keys) this.ledger.keys.set(keyOf(key.attribute, key.day), key);
  }

  private fault(kind: string): Fault | undefined {
    const fault = this.faults[this.random.whole(0, this.faults.length - 1)];
    if (!this.hits(1) || fault === undefined) return undefined;
    return this.happens(`fault ${this.calls}`, `call ${this.calls} (${kind}): ${fault}`) ? fault : undefined;
  }

  private hits(share: number): boolean {
    const isHit = this.random.chance(this.faultRate * share);
    return isHit && !this.isHealed;
  }

  private check(): void {
    if (this.deviations.length > 0) return;
    for (const [id, key] of this.ledger.keys) {
      const problem = this.problemOf(id, key);
      if (problem !== undefined) this.deviations.push(`${id}: ${problem}; ${JSON.stringify(key)}`);
    }
  }

  private problemOf(id: string, key: Key): string | undefined {
    const stands = this.exist.values.get(id) ?? null;
    const { value, counted, again } = this.expectedOf(id);
    if (key.kind === 'value') {
      if (key.held || stands === value || stands === again) return undefined;
      return `lost: stands at ${String(stands)}, expected ${String(value)}`;
    }
    // What is held of the life after the restore is among what was counted in it.
    const of = this.ledger.attributes.get(key.attribute);
    const isOfCopy = key.held?.reason === REASON;
    const waiting = !key.held ? 0 : isOfCopy ? amountBehind(key, of) : heldAmount(key, of);
    const expected = Number(value ?? 0) + counted - waiting;
    if (Number(stands ?? 0) === expected) return undefined;
    // A day that is held is not set right before it is settled.
    if (key.held && !isOfCopy && this.exist.ambiguous.has(id)) return undefined;
    const isDoubtful = key.held?.state === 'conflict' && !isOfCopy;
    if (isDoubtful && Number(stands ?? 0) === expected + key.flightAmount) return undefined;
    const kind = Number(stands ?? 0) < expected ? 'lost' : 'doubled';
    return `${kind}: stands at ${String(stands)}, expected ${expected}`;
  }
}
