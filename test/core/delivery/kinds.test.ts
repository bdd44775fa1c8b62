/** A mapping that changes its operation in the middle of a day, while a call is on its way or not. */
import { describe, expect, test } from 'vitest';
import { countInto, setInto } from '../../../src/core/delivery/contribute.ts';
import { keyOf, type Key, type Mode } from '../../../src/core/delivery/state.ts';
import { MINUTE_MS } from '../../../src/core/time.ts';
import { Bench, TODAY, ok, units, unknown } from './bench.ts';

const ID = keyOf('water', TODAY);

class Turning extends Bench {
  stands: number | null = null;

  count(amount: number): this {
    this.keys.set(ID, countInto(this.keys.get(ID), this.of, units(amount)));
    return this;
  }

  set(value: number): this {
    this.keys.set(ID, setInto(this.keys.get(ID), this.of, units(value), true));
    return this;
  }

  private get of() {
    return { attribute: 'water', day: TODAY, now: this.now };
  }

  get it(): Key {
    const key = this.keys.get(ID);
    if (!key) throw new Error('no key');
    return key;
  }

  /** Lets Exist answer all that is due within the next hour. */
  run(): this {
    for (let minute = 0; minute < 60; minute += 1) {
      if (!this.account.call) this.wake(MINUTE_MS);
      while (this.account.call) this.reply();
    }
    return this;
  }

  private reply(): void {
    const request = this.account.call?.request;
    if (request?.kind === 'read') {
      this.show(this.stands);
      return;
    }
    if (request?.kind !== 'increment' && request?.kind !== 'update') throw new Error('what?');
    const value = Number(request.items[0]?.value) / 1_000_000;
    this.stands = request.kind === 'update' ? value : (this.stands ?? 0) + value;
    this.applied(request.kind === 'update' ? undefined : this.stands);
  }
}

const attribute = (mode: Mode): Turning => new Turning().attribute('water', { mode });

describe.each<Mode>(['strict', 'guarded', 'shared'])('in mode %s', (mode) => {
  const outcomes = [
    [
      'applied and answered',
      true,
      ok({ kind: 'written', success: [{ name: 'water', day: TODAY, current: undefined }], failed: [] }),
    ],
    ['applied, its answer lost', true, unknown],
    ['lost', false, unknown],
    ['never sent', false, { kind: 'not-sent', cause: 'network', message: 'no' }],
  ] as const;

  test.each(outcomes)(
    'counts are added to the last value, whose update was %s',
    (_what, isApplied, outcome) => {
      const bench = attribute(mode).set(5).run();
      bench.set(7);
      expect(bench.wake(5 * MINUTE_MS)).toMatchObject({ kind: 'update', items: [{ value: units(7) }] });
      bench.count(1);
      if (isApplied) bench.stands = 7;
      bench.answer(outcome);
      bench.run().count(3).run();
      expect(bench.stands).toBe(11);
      expect(bench.it).toMatchObject({ kind: 'sum', flight: 'none', held: null, fixed: null });
    },
  );

  test.each(outcomes)(
    'a value is written over counts, the last of which was %s',
    (_what, isApplied, outcome) => {
      const bench = attribute(mode).count(1).run();
      bench.count(2);
      expect(bench.wake(5 * MINUTE_MS)).toMatchObject({ kind: 'increment', items: [{ value: units(2) }] });
      bench.set(9);
      if (isApplied) bench.stands = 3;
      bench.answer(outcome);
      bench.run();
      expect(bench.stands).toBe(9);
      expect(bench.it).toMatchObject({ kind: 'value', flight: 'none', delivered: units(9) });
      // And back: nothing that was counted before the value is sent again.
      bench.run().count(1).run();
      expect(bench.stands).toBe(10);
    },
  );

  test('a value refused is held, and counts wait for the user with it', () => {
    const bench = attribute(mode).set(5).run().set(7);
    bench.wake(5 * MINUTE_MS);
    bench.count(1);
    bench.fail('validation');
    expect(bench.it).toMatchObject({ kind: 'sum', flight: 'none', held: { state: 'refused' } });
    bench.step({ type: 'settled', settlement: { attribute: 'water', day: TODAY, how: 'retry' } });
    bench.run();
    expect(bench.stands).toBe(8);
  });
});

test('a repair that is on its way while the mapping changes is booked as what stands there', () => {
  const bench = attribute('strict').count(3);
  bench.wake(2_000);
  bench.show(null);
  bench.answer(unknown);
  bench.wake(90_000);
  expect(bench.show(null)).toMatchObject({ kind: 'update', items: [{ value: units(3) }] });
  bench.set(9);
  bench.stands = 3;
  bench.applied(undefined);
  bench.run();
  expect(bench.stands).toBe(9);
});

test('somebody else’s value is not written over by one that a mapping left behind in mode shared', () => {
  const bench = attribute('shared').set(5).run().set(7);
  bench.wake(5 * MINUTE_MS);
  bench.answer(unknown);
  bench.count(1);
  bench.stands = 99;
  bench.run();
  expect(bench.stands).toBe(99);
  expect(bench.it.held).toMatchObject({ state: 'conflict' });
});

test('counts do not wait for a follow-up look where the value before them was in doubt', () => {
  const bench = attribute('guarded').set(5).run().set(7);
  bench.wake(5 * MINUTE_MS);
  bench.answer(unknown);
  bench.stands = 7;
  bench.run().count(1);
  bench.wake(2_000);
  expect(bench.account.call?.request.kind).toBe('read');
});

test('what a repair of unknown outcome wrote, and arrives after the day was written whole, is written over', () => {
  const bench = attribute('guarded').count(3).run();
  // Somebody lowers it; that is set right twice, since the first answer is lost.
  bench.stands = 1;
  bench.step({ type: 'started' });
  bench.show(1);
  expect(bench.account.call?.request).toMatchObject({ kind: 'update', items: [{ value: units(3) }] });
  bench.answer(unknown);
  bench.run();
  expect(bench.stands).toBe(3);
  bench.set(50).run();
  expect(bench.stands).toBe(50);
  bench.stands = 3;
  bench.step({ type: 'started' });
  bench.show(3);
  bench.run();
  expect(bench.stands).toBe(50);
});
