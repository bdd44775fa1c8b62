/** What the intake's statements do to a day's row: the same as `core/delivery/contribute.ts`, and nothing gets lost. */
import { describe, expect, test } from 'vitest';
import { keyOf } from '../../src/core/delivery/state.ts';
import { Bench, TODAY, units } from './setup.ts';

const settings = { attribute: 'weight', day: TODAY } as const;

function later(bench: Bench): Bench {
  bench.pass(10);
  bench.deliver();
  return bench;
}

test('a mapping that goes over from values to counts and back counts nothing twice', () => {
  const bench = new Bench();
  bench.count(3, 'weight');
  later(bench).set(70);
  later(bench);
  expect(bench.atExist('weight')).toBe(70);
  bench.count(1, 'weight');
  later(bench);
  expect(bench.atExist('weight')).toBe(71);
  bench.set(80);
  bench.count(2, 'weight');
  later(bench);
  expect(bench.atExist('weight')).toBe(82);
  bench.close();
  bench.restartDelivery();
  later(bench);
  expect(bench.atExist('weight')).toBe(82);
});

test('a mapping that changes while the call is on its way does not stop the day', () => {
  const bench = new Bench();
  bench.set(60);
  later(bench).set(70);
  bench.pass(10);
  bench.beginCall();
  bench.count(1, 'weight');
  expect(bench.key('weight')).toMatchObject({ kind: 'sum', flight: 'sending', flightValue: units(70) });
  bench.close();
  bench.restartDelivery();
  later(bench);
  later(bench);
  expect(bench.atExist('weight')).toBe(71);
  expect(bench.key('weight')).toMatchObject({ flight: 'none', fixed: null, held: null });
});

describe('a total that the user set', () => {
  const held = (bench: Bench): void => {
    bench.count(1);
    bench.deliver('refused');
    expect(bench.key()?.held?.state).toBe('refused');
  };

  test('is on the disk until Exist has confirmed it', () => {
    const bench = new Bench();
    held(bench);
    bench.settleTo(40);
    expect(bench.key()).toMatchObject({ fixed: { total: units(40), by: 'user' } });
    bench.close();
    bench.restartDelivery();
    later(bench);
    expect(bench.atExist()).toBe(40);
    expect(bench.key()).toMatchObject({ fixed: null });
  });
});

test('a value that the user set is what further values are put together with', () => {
  const bench = new Bench();
  const max = (value: number): void =>
    bench.enter({
      contributions: [{ kind: 'value', ...settings, pick: 'max', at: bench.now, value: units(value) }],
    });
  max(900);
  bench.deliver('refused');
  bench.settleTo(5, 'weight');
  max(4);
  expect(bench.key('weight')).toMatchObject({ wanted: units(5) });
  max(6);
  expect(bench.key('weight')).toMatchObject({ wanted: units(6) });
  later(bench);
  expect(bench.atExist('weight')).toBe(6);
});

test.each(['drop', 'count'] as const)('a value that Exist refused does not come back after %s', (how) => {
  const bench = new Bench();
  bench.set(72);
  bench.deliver('refused');
  expect(bench.key('weight')?.held?.state).toBe('refused');
  bench.settle(how, 'weight');
  bench.pass(24 * 60);
  bench.restartDelivery();
  expect(bench.exist.values.get(keyOf('weight', TODAY))).toBeUndefined();
  expect(bench.key('weight')?.held).toBeNull();
  bench.enter({
    contributions: [{ kind: 'value', ...settings, pick: 'last', at: bench.now, value: units(73) }],
  });
  later(bench);
  expect(bench.atExist('weight')).toBe(73);
});

test('a value once more is sent again only where somebody else’s was taken in its place', () => {
  const bench = new Bench();
  bench.set(70);
  later(bench);
  bench.meddle("UPDATE attribute SET mode = 'guarded'");
  bench.exist.edit(keyOf('weight', TODAY), units(99));
  bench.restartDelivery();
  expect(bench.key('weight')).toMatchObject({ adopted: units(99), delivered: units(70) });
  bench.pass(1);
  bench.set(70);
  expect(bench.key('weight')).toMatchObject({ delivered: null });
  later(bench);
  expect(bench.atExist('weight')).toBe(70);
});
