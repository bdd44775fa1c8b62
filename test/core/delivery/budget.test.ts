import { describe, expect, test } from 'vitest';
import { budgetFreeAt, callsLeft, reservedCalls } from '../../../src/core/delivery/pace.ts';
import type { Request } from '../../../src/core/delivery/request.ts';
import { keyOf, newValueKey, type Settings } from '../../../src/core/delivery/state.ts';
import { addDays, DAY_MS, HOUR_MS, MINUTE_MS, type EpochMs } from '../../../src/core/time.ts';
import type { Units } from '../../../src/core/units.ts';
import { Bench, NOON, ok, SETTINGS, TODAY, units, unknown, ZONELESS, seenAs } from './bench.ts';

/** Of which two are kept. */
const TWENTY: Settings = { ...SETTINGS, callsPerHour: 20 };

/** As if so many calls had been made so many minutes ago. */
function spend(bench: Bench, calls: number, minutesAgo = 0): void {
  const minute = NOON / MINUTE_MS - minutesAgo;
  bench.account.spent = [...bench.account.spent, { minute, calls }];
}

/** An increment of 3 whose outcome is unknown, rested. */
function inDoubt(bench: Bench, name = 'water', day = TODAY): void {
  bench.keys.set(keyOf(name, day), {
    ...bench.attribute(name).contribute(name, 3, day).key(name, day),
    base: units(10),
    openSince: null,
    flight: 'unknown',
    flightSince: (NOON - 90_000) as EpochMs,
    flightAmount: units(3),
  });
}

/** A day that is sent, and is to be looked at. */
function audited(bench: Bench, name: string, day = TODAY): void {
  bench.attribute(name).contribute(name, 1, day);
  const key = bench.key(name, day);
  bench.keys.set(keyOf(name, day), { ...key, openSince: null, base: units(0), ours: units(1), lookAt: NOON });
}

describe('the reserve of the hourly budget', () => {
  const ordinary: readonly [string, (bench: Bench) => void, Settings?][] = [
    ['the profile', () => undefined, ZONELESS],
    ['the list of what is owned', (bench) => bench.attribute('water', { state: 'wanted' })],
    ['acquiring', (bench) => bench.attribute('water', { state: 'missing' })],
    ['creating', (bench) => bench.attribute('water', { state: 'missing', existName: null })],
    ['an audit', (bench) => audited(bench, 'water')],
    ['a base line', (bench) => bench.attribute('water').contribute('water', 1)],
    [
      'a repair',
      (bench) => {
        audited(bench, 'water');
        bench.keys.set(keyOf('water', TODAY), { ...bench.key(), lookAt: null, seenAt: NOON, repair: true });
      },
    ],
    [
      'a value',
      (bench) => {
        bench.attribute('weight');
        bench.keys.set(keyOf('weight', TODAY), newValueKey('weight', TODAY, units(72), NOON));
      },
    ],
  ];
  test.each(ordinary)('is not for %s', (_what, prepare, settings = SETTINGS) => {
    const withCalls = (calls: number): Bench => {
      const bench = new Bench({ ...settings, callsPerHour: 20, lingerMs: 0 });
      spend(bench, calls);
      prepare(bench);
      return bench;
    };
    expect(withCalls(17).step({ type: 'wake' }).call).toBeDefined();
    const decision = withCalls(18).step({ type: 'wake' });
    expect(decision).toMatchObject({ call: undefined, wakeAt: NOON + 61 * MINUTE_MS });
    expect(decision.account.lastFlushAt).toBeNull();
  });

  test.each([
    ['reading back an unknown outcome', (bench: Bench) => inDoubt(bench), 'read'],
    [
      'the probe of a hold',
      (bench: Bench) => {
        bench.account.hold = { until: NOON, since: NOON, reason: 'forbidden', message: 'no' };
      },
      'profile',
    ],
  ] as const)('is for %s, to the last call', (_what, prepare, kind) => {
    const withCalls = (calls: number): Bench => {
      const bench = new Bench(TWENTY);
      spend(bench, calls);
      prepare(bench);
      return bench;
    };
    expect(withCalls(19).wake()).toMatchObject({ kind });
    expect(withCalls(20).step({ type: 'wake' }).wakeAt).toBe(NOON + 61 * MINUTE_MS);
  });

  test('lets an unknown outcome be read back behind a backlog of all else', () => {
    const bench = new Bench(TWENTY);
    spend(bench, 18);
    for (let n = 0; n < 40; n += 1) audited(bench, `audited ${n}`);
    bench.attribute('new', { state: 'wanted' });
    inDoubt(bench);
    expect(bench.wake()).toMatchObject({ kind: 'read', items: [{ attribute: 'water' }] });
    expect(bench.show(10)).toBeUndefined();
    expect(bench.key()).toMatchObject({ flight: 'none', ours: units(3), repair: true });
    expect(callsLeft(bench.account, TWENTY, bench.now)).toBe(1);
  });

  test('leaves the repair of what was read back to the next hour, which looks once more', () => {
    const bench = new Bench(TWENTY);
    spend(bench, 18);
    inDoubt(bench);
    bench.wake();
    const wakeAt = bench.answer(ok({ kind: 'read', values: new Map([['water', new Map([[TODAY, null]])]]) }));
    expect(wakeAt).toBeUndefined();
    expect(bench.wake(61 * MINUTE_MS)).toMatchObject({ kind: 'read' });
    expect(bench.show(10)).toMatchObject({ kind: 'update', items: [{ value: units(13) }] });
  });

  test.each([
    [1, 0],
    [2, 0],
    [3, 1],
    [10, 1],
    [300, 30],
  ])('of %i calls is %i', (callsPerHour, reserved) => {
    expect(reservedCalls({ ...SETTINGS, callsPerHour })).toBe(reserved);
  });
});

describe('a look', () => {
  test('carries unknown outcomes before all others', () => {
    const bench = new Bench();
    for (let n = 0; n < 40; n += 1) audited(bench, `audited ${n}`);
    inDoubt(bench);
    const request = bench.wake();
    const names = request?.kind === 'read' ? request.items.map(({ attribute }) => attribute) : [];
    expect(names).toHaveLength(35);
    expect(names.slice(0, 2)).toEqual(['water', 'audited 0']);
  });

  test('reaches back to an unknown outcome, and leaves newer days to the next', () => {
    const old = addDays(TODAY, -31);
    const bench = new Bench();
    audited(bench, 'audited');
    inDoubt(bench, 'water', old);
    expect(bench.wake()).toMatchObject({ dateMax: old, days: 1, items: [{ attribute: 'water', day: old }] });
    expect(bench.show(13, 'water', old)).toMatchObject({ dateMax: TODAY, items: [{ attribute: 'audited' }] });
  });
});

describe('where the budget is used up', () => {
  test('keeps a part of it for reading back', () => {
    const bench = new Bench({ ...SETTINGS, callsPerHour: 20, flushEveryMs: 1_000 }).attribute('water', {
      mode: 'strict',
    });
    let writes = 0;
    for (let round = 0; round < 40; round += 1) {
      bench.contribute('water', 1);
      const request = bench.wake(2_000);
      if (request?.kind === 'read') bench.show(0);
      if (bench.account.call?.request.kind !== 'increment') continue;
      writes += 1;
      if (writes < 17) bench.applied(writes);
      else bench.answer(unknown);
    }
    expect(writes).toBe(17);
    expect(bench.wake(90_000)).toMatchObject({ kind: 'read' });
  });

  test('the delivery wakes when an unknown outcome has rested, and not only when calls are free again', () => {
    const bench = new Bench(TWENTY);
    spend(bench, 18);
    bench.attribute('coffees').contribute('coffees', 1);
    inDoubt(bench);
    bench.keys.set(keyOf('water', TODAY), { ...bench.key(), flightSince: NOON });
    bench.now = (NOON + 5_000) as EpochMs;
    expect(bench.step({ type: 'wake' }).wakeAt).toBe(NOON + 90_000);
    expect(bench.wake(85_000)).toMatchObject({ kind: 'read', items: [{ attribute: 'water' }] });
  });

  test('it wakes when enough calls are free again, and does what waits', () => {
    const bench = new Bench({ ...TWENTY, lingerMs: 0 });
    // The oldest that leave the hour fill the reserve up again.
    spend(bench, 1, 40);
    spend(bench, 1, 30);
    spend(bench, 18, 20);
    bench.attribute('water').contribute('water', 1);
    const wakeAt = bench.step({ type: 'wake' }).wakeAt ?? 0;
    expect(wakeAt).toBe(NOON + 41 * MINUTE_MS);
    expect(bench.wake(wakeAt - NOON - 1)).toBeUndefined();
    expect(bench.wake(1)).toMatchObject({ kind: 'read' });
  });

  test('a lower limit counts what was spent under the higher one', () => {
    const bench = new Bench(TWENTY);
    spend(bench, 40, 30);
    spend(bench, 5, 10);
    expect(budgetFreeAt(bench.account, TWENTY, NOON, 3)).toBe(NOON + 31 * MINUTE_MS);
    expect(budgetFreeAt(bench.account, TWENTY, NOON, 16)).toBe(NOON + 51 * MINUTE_MS);
    expect(budgetFreeAt(bench.account, { ...TWENTY, callsPerHour: 100 }, NOON, 3)).toBe(NOON);
  });
});

/** An Exist that answers all calls, while counts come and a delivery wakes when it said it would. */
class Day {
  readonly calls: string[] = [];
  /** What was counted since the beginning. */
  counted = 0;
  stands = 0;
  private decision;

  constructor(
    readonly bench: Bench,
    /** A count comes that often. */
    private readonly countMs = Infinity,
  ) {
    this.decision = bench.step({ type: 'started' });
  }

  pass(ms: number): void {
    const { bench, countMs } = this;
    const until = bench.now + ms;
    let countAt = bench.now + countMs;
    for (let steps = 0; bench.now < until; steps += 1) {
      if (steps > 1_000) throw new Error('it does not come to rest');
      const { call, wakeAt = Infinity } = this.decision;
      if (call) {
        this.decision = this.answer(call.id, call.request);
        continue;
      }
      bench.now = Math.min(wakeAt, countAt, until) as EpochMs;
      if (bench.now >= countAt) {
        bench.contribute('water', 1);
        this.counted += 1;
        countAt += countMs;
      }
      this.decision = bench.step({ type: 'wake' });
    }
  }

  private answer(callId: number, request: Request) {
    this.calls.push(request.kind);
    return this.bench.step({ type: 'answered', callId, outcome: ok(this.bodyFor(request)) });
  }

  private bodyFor(request: Request) {
    switch (request.kind) {
      case 'profile':
        return { kind: 'profile', timezone: 'UTC' } as const;
      case 'owned':
        return { kind: 'owned', attributes: [], nextPage: null } as const;
      case 'acquire':
      case 'create': {
        return { kind: 'ownership', results: [{ seen: seenAs('water') }] } as const;
      }
      case 'read': {
        const days = request.items.map(({ day }) => [day, units(this.stands)] as const);
        return { kind: 'read', values: new Map([['water', new Map(days)]]) } as const;
      }
      case 'increment':
      case 'update': {
        const success = request.items.map(({ name, day, value }) => {
          this.stands = (request.kind === 'update' ? 0 : this.stands) + (value as Units) / 1_000_000;
          return { name, day, current: units(this.stands) };
        });
        return { kind: 'written', success, failed: [] } as const;
      }
    }
  }
}

describe.each([1, 2, 3, 10])('with %i calls an hour', (callsPerHour) => {
  const settings = { ...ZONELESS, callsPerHour };

  test('a first count gets there: zone, ownership, base line, flush', () => {
    const bench = new Bench(settings).attribute('water', { state: 'wanted', existName: null });
    bench.contribute('water', 3);
    const day = new Day(bench);
    day.pass(8 * HOUR_MS);
    expect(day.calls.slice(0, 5)).toEqual(['profile', 'owned', 'create', 'read', 'increment']);
    expect(day.stands).toBe(3);
  });

  test('what is to be set right is, though counts keep coming', () => {
    const bench = new Bench({ ...settings, timezone: 'UTC' }).attribute('water', { mode: 'strict' });
    const day = new Day(bench, 20 * MINUTE_MS);
    day.pass(4 * HOUR_MS);
    day.stands = 0;
    day.pass(12 * HOUR_MS);
    expect(day.calls).toContain('update');
    expect(bench.key()).toMatchObject({ base: 0, held: null });
    // What came within the last hours may still wait.
    expect(day.stands).toBeGreaterThan(day.counted - 12);
  });

  test('an outcome that is unknown is read back and set right', () => {
    const bench = new Bench({ ...settings, timezone: 'UTC' });
    bench.attribute('water', { mode: 'strict' }).contribute('water', 3);
    bench.wake(2_000);
    bench.show(0);
    if (!bench.account.call) bench.wake(61 * MINUTE_MS);
    bench.answer(unknown);
    const day = new Day(bench);
    day.pass(DAY_MS);
    expect(day.stands).toBe(3);
    expect(bench.key()).toMatchObject({ flight: 'none', ours: units(3), repair: false });
  });
});
