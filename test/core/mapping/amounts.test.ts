import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Operation } from '../../../src/core/mapping/mapping.ts';
import { fromUnits, subtract } from '../../../src/core/units.ts';
import { mapping, Player, units } from './player.ts';

const rise: Operation = { kind: 'rise', reset: 'zero' };

describe('adding', () => {
  test('adds the number itself, with scale', () => {
    const water = new Player(mapping({ kind: 'add' }, { scale: 1000 }));
    water.read('0,25 l');
    water.read(0.5);
    expect(water.total()).toBe(750);
  });

  test('is exact', () => {
    const water = new Player(mapping({ kind: 'add' }));
    for (let times = 0; times < 1_000; times += 1) water.read('0.1');
    expect(water.total()).toBe(100);
  });

  test.each(['full', true, '1 2', 1e10, ''])('refuses %j', (value) => {
    const water = new Player(mapping({ kind: 'add' }));
    expect(water.read(value)).toMatchObject({ verdict: 'refused', contributions: [], state: undefined });
  });

  test('refuses negative amounts unless the range admits them', () => {
    const water = new Player(mapping({ kind: 'add' }));
    expect(water.read('-3')).toMatchObject({ verdict: 'refused', reason: expect.stringContaining('range') });
    const beers = new Player(mapping({ kind: 'add' }, { range: [-1, 5] }));
    beers.read(2);
    beers.read(-1);
    expect(beers.total()).toBe(1);
  });

  test('counts neither replays nor a retained first reading', () => {
    const water = new Player(mapping({ kind: 'add' }));
    water.read(250, 0, { retain: true });
    water.replay(250, 1);
    expect(water.total()).toBe(0);
    water.read(250, 2);
    expect(water.total()).toBe(250);
  });

  test('contributes nothing for 0', () => {
    const water = new Player(mapping({ kind: 'add' }));
    expect(water.read(0)).toMatchObject({ verdict: 'accepted', contributions: [] });
  });

  test('debounces', () => {
    const water = new Player(mapping({ kind: 'add' }, { debounceMs: 1_000 }));
    water.read(250, 0);
    water.read(250, 0.5);
    water.read(250, 1.5);
    expect(water.total()).toBe(500);
  });
});

describe('a meter', () => {
  test('gives its rise; the first reading is only the base line', () => {
    const tap = new Player(mapping(rise));
    expect(tap.read(1532)).toMatchObject({ verdict: 'accepted', contributions: [] });
    tap.read(1540);
    tap.read(1540);
    expect(tap.total()).toBe(8);
  });

  test('adds the new reading where it started over', () => {
    const tap = new Player(mapping(rise));
    for (const value of [1540, 3, 5]) tap.read(value);
    expect(tap.total()).toBe(5);
  });

  test('only takes a new base line with `ignore`', () => {
    const tap = new Player(mapping({ ...rise, reset: 'ignore' }));
    for (const value of [1540, 3, 5]) tap.read(value);
    expect(tap.total()).toBe(2);
  });

  test('that dips a little adds nothing until it has passed its last reading', () => {
    const tap = new Player(mapping(rise));
    for (const value of [1000, 950, 900, 990]) tap.read(value);
    expect(tap.total()).toBe(0);
    tap.read(1010);
    expect(tap.total()).toBe(10);
  });

  test('has started over just below nine tenths', () => {
    const tap = new Player(mapping(rise));
    tap.read(1000);
    tap.read(900);
    expect(tap.total()).toBe(0);
    tap.read(899.999999);
    expect(tap.total()).toBe(899.999999);
  });

  test('with a new instance has started over, even where it reads more', () => {
    const pulses = new Player(mapping(rise));
    pulses.read(10, 0, { instance: 'a' });
    pulses.read(12, 1, { instance: 'a' });
    pulses.read(15, 2, { instance: 'b' });
    pulses.read(16, 3, { instance: 'b' });
    expect(pulses.total()).toBe(2 + 15 + 1);
  });

  test('with a new instance and `ignore` has a new base line', () => {
    const pulses = new Player(mapping({ ...rise, reset: 'ignore' }));
    pulses.read(10, 0, { instance: 'a' });
    pulses.read(15, 1, { instance: 'b' });
    pulses.read(16, 2, { instance: 'b' });
    expect(pulses.total()).toBe(1);
  });

  test('is not poisoned by one corrupt reading', () => {
    const meter = new Player(mapping({ ...rise, maxStep: 50 }));
    meter.read(138_212);
    expect(meter.read(999_999)).toMatchObject({
      verdict: 'refused',
      reason: expect.stringContaining('max_step'),
    });
    meter.read(138_215);
    expect(meter.total()).toBe(3);
    expect(meter.read(4).verdict).toBe('accepted');
  });

  test('that truly jumped goes on from the second reading that says so', () => {
    const meter = new Player(mapping({ ...rise, maxStep: 50 }));
    meter.read(100);
    expect(meter.read(5_000).verdict).toBe('refused');
    expect(meter.read(5_010)).toMatchObject({
      verdict: 'refused',
      reason: expect.stringContaining('base line'),
    });
    meter.read(5_012);
    expect(meter.total()).toBe(2);
  });

  test('with corrupt readings in a row that do not agree keeps its base line', () => {
    const meter = new Player(mapping({ ...rise, maxStep: 50 }));
    for (const value of [100, 5_000, 9_000, 7_000, 101, 5_000, 102, 5_001]) meter.read(value);
    expect(meter.total()).toBe(2);
  });

  test('that was replayed still gives the whole rise with the next live reading', () => {
    const tap = new Player(mapping(rise));
    tap.read(100);
    tap.replay(150);
    expect(tap.total()).toBe(0);
    tap.read(160);
    expect(tap.total()).toBe(60);
  });

  test('has its first base line by a replay', () => {
    const tap = new Player(mapping(rise));
    tap.replay(100);
    tap.read(108);
    expect(tap.total()).toBe(8);
  });

  test('rises by what was scaled, whatever the offset', () => {
    const meter = new Player(mapping(rise, { scale: 3785.41, offset: 50 }));
    for (const value of [10_047, 10_048, 1]) meter.read(value);
    expect(meter.total()).toBe(2 * 3785.41);
  });

  test('refuses words and what is too large, and keeps its base line', () => {
    const tap = new Player(mapping(rise));
    tap.read(1);
    expect(tap.read('leak').verdict).toBe('refused');
    expect(tap.read(1e10).verdict).toBe('refused');
    expect(tap.read(9e9).verdict).toBe('accepted');
    expect(tap.total()).toBe(9e9 - 1);
  });

  test('adds up to last − first however it rises', () => {
    const readings = fc.array(fc.double({ min: 0, max: 1e9, noNaN: true }), { minLength: 2, maxLength: 60 });
    fc.assert(
      fc.property(readings, (values) => {
        const rising = [...values].sort((a, b) => a - b);
        const meter = new Player(mapping(rise));
        for (const value of rising) meter.read(value);
        const expected = subtract(units(rising.at(-1) ?? 0), units(rising[0] ?? 0));
        expect(meter.total()).toBe(fromUnits(expected));
      }),
    );
  });

  test('never contributes less than nothing', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: -9e9, max: 9e9, noNaN: true })), (values) => {
        const meter = new Player(mapping(rise));
        for (const value of values) meter.read(value);
        expect(meter.contributions.every((one) => one.kind === 'sum' && one.amount > 0)).toBe(true);
      }),
    );
  });
});
