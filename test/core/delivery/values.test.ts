/** Days that are written whole: what looks show, and what waits to be sent. */
import { describe, expect, test } from 'vitest';
import { setInto } from '../../../src/core/delivery/contribute.ts';
import { keyOf, type Mode, type ValueKey } from '../../../src/core/delivery/state.ts';
import { MINUTE_MS } from '../../../src/core/time.ts';
import { Bench, TODAY, units, unknown } from './bench.ts';

const ID = keyOf('weight', TODAY);

class Scales extends Bench {
  constructor(mode: Mode) {
    super();
    this.attribute('weight', { mode });
  }

  weigh(value: number): this {
    const of = { attribute: 'weight', day: TODAY, now: this.now };
    this.keys.set(ID, setInto(this.keys.get(ID), of, units(value), true));
    return this;
  }

  /** A value that Exist has taken. */
  delivered(value: number): this {
    this.weigh(value);
    if (this.wake(5 * MINUTE_MS)?.kind === 'read') this.show(null, 'weight');
    this.applied(undefined, 'weight');
    return this;
  }

  /** The audit of a start. */
  audit(shown: number | null) {
    this.step({ type: 'started' });
    expect(this.account.call?.request.kind).toBe('read');
    return this.show(shown, 'weight');
  }

  /** The next write: looks on the way to it show `shown`. */
  next(shown: number) {
    for (let minute = 0; minute < 10; minute += 1) {
      const request = this.account.call?.request ?? this.wake(MINUTE_MS);
      if (request?.kind === 'read') this.show(shown, 'weight');
      if (this.account.call?.request.kind === 'update') break;
    }
    return this.account.call?.request;
  }

  get it(): ValueKey {
    const key = this.keys.get(ID);
    if (key?.kind !== 'value') throw new Error('no value');
    return key;
  }
}

describe.each([
  ['a read that lags behind', 70],
  ['a hand edit', 99],
])('a newer value that waits is not lost through %s at an audit', (_what, shown) => {
  test.each<Mode>(['strict', 'guarded'])('in mode %s: it goes out', (mode) => {
    const bench = new Scales(mode).delivered(70).delivered(71).weigh(74);
    bench.audit(shown);
    expect(bench.next(shown)).toMatchObject({ kind: 'update', items: [{ value: units(74) }] });
    expect(bench.it.delivered).not.toBe(units(74));
  });

  test('in mode shared: it is held, since nobody else’s value is written over', () => {
    const bench = new Scales('shared').delivered(70).delivered(71).weigh(74);
    bench.audit(shown);
    expect(bench.wake(5 * MINUTE_MS)).toBeUndefined();
    expect(bench.it).toMatchObject({ wanted: units(74), held: { state: 'conflict' } });
  });
});

test('what somebody else wrote is adopted, kept apart from what was delivered, and said once', () => {
  const bench = new Scales('guarded').delivered(71);
  bench.audit(99);
  expect(bench.it).toMatchObject({ wanted: units(71), delivered: units(71), adopted: units(99) });
  bench.step({ type: 'started' });
  const callId = bench.account.call?.id ?? 0;
  const values = new Map([['weight', new Map([[TODAY, units(99)]])]]);
  const outcome = { kind: 'answered', status: 200, body: { kind: 'read', values } } as const;
  expect(bench.step({ type: 'answered', callId, outcome }).notes).toEqual([]);
});

test('a reading that comes after somebody else’s change is written over it, also where it is the same again', () => {
  const bench = new Scales('guarded').delivered(71);
  bench.audit(99);
  bench.weigh(71);
  expect(bench.next(99)).toMatchObject({ kind: 'update', items: [{ value: units(71) }] });
});

test('what was adopted in mode shared is not written over by the next reading', () => {
  const bench = new Scales('shared').delivered(71);
  bench.audit(99);
  bench.weigh(74);
  expect(bench.wake(5 * MINUTE_MS)).toMatchObject({ kind: 'read' });
  expect(bench.show(99, 'weight')).toBeUndefined();
  expect(bench.it.held).toMatchObject({ state: 'conflict' });
});

test('a day that a read shows empty after a value stood there is sent again: Exist never forgets one', () => {
  const bench = new Scales('strict').delivered(71);
  bench.audit(null);
  bench.wake(5 * MINUTE_MS);
  expect(bench.account.call?.request).toMatchObject({ kind: 'update', items: [{ value: units(71) }] });
});

describe('an update of unknown outcome', () => {
  const doubtful = (mode: Mode): Scales => {
    const bench = new Scales(mode).delivered(70).weigh(71);
    bench.wake(5 * MINUTE_MS);
    bench.answer(unknown);
    expect(bench.wake(90_000)).toMatchObject({ kind: 'read' });
    return bench;
  };

  test('over which somebody wrote another value is held in mode shared', () => {
    const bench = doubtful('shared');
    expect(bench.show(99, 'weight')).toBeUndefined();
    expect(bench.wake(60 * MINUTE_MS)).toBeUndefined();
    expect(bench.it).toMatchObject({ wanted: units(71), held: { state: 'conflict' } });
  });

  test.each<Mode>(['strict', 'guarded', 'shared'])(
    'that left the value before it is sent again in mode %s',
    (mode) => {
      const bench = doubtful(mode);
      bench.show(70, 'weight');
      const request = bench.account.call?.request ?? bench.wake(5 * MINUTE_MS);
      if (request?.kind === 'read') bench.show(70, 'weight');
      expect(bench.account.call?.request).toMatchObject({ kind: 'update', items: [{ value: units(71) }] });
    },
  );

  test('is followed by a newer value that is the one delivered before it', () => {
    // Found by the simulation: while 71 was in doubt, 70 seemed to stand there already.
    const bench = new Scales('strict').delivered(70).weigh(71);
    bench.wake(5 * MINUTE_MS);
    bench.answer(unknown);
    bench.weigh(70);
    expect(bench.wake(1_000)).toBeUndefined();
    bench.wake(90_000);
    bench.show(71, 'weight');
    expect(bench.next(71)).toMatchObject({ kind: 'update', items: [{ value: units(70) }] });
  });
});
