import { describe, expect, test } from 'vitest';
import { keyOf, newValueKey } from '../../../src/core/delivery/state.ts';
import { MINUTE_MS } from '../../../src/core/time.ts';
import { Bench, NOON, ok, sending, TODAY, units, unknown } from './bench.ts';

/** 3 was sent to 10 in mode shared, and 12 was shown then. */
function inConflict(): Bench {
  const bench = sending(3, 10, 'shared');
  bench.answer(unknown);
  bench.wake(90_000);
  bench.show(12);
  return bench;
}

describe('a conflict', () => {
  test.each(['start', 'night'])('is looked at each %s for what stands there, and not judged', (when) => {
    const bench = inConflict();
    const held = bench.key();
    bench.step({ type: 'started' });
    if (when === 'night') {
      bench.show(12);
      bench.wake((bench.account.nextAuditAt ?? 0) - bench.now);
    }
    expect(bench.account.call?.request).toMatchObject({ kind: 'read', items: [{ attribute: 'water' }] });
    expect(bench.show(13)).toBeUndefined();
    expect(bench.key()).toEqual({ ...held, seen: units(13), seenAt: bench.now });
    expect(bench.wake(MINUTE_MS)).toBeUndefined();
  });

  test('is looked at within the ordinary budget', () => {
    const bench = inConflict();
    bench.account.spent = [{ minute: Math.floor(bench.now / MINUTE_MS), calls: 270 }];
    expect(bench.step({ type: 'started' }).call).toBeUndefined();
  });

  test('shows nothing new where a read does not show it', () => {
    const bench = inConflict();
    bench.step({ type: 'started' });
    bench.answer(ok({ kind: 'read', values: new Map() }));
    expect(bench.key()).toMatchObject({ seen: units(12), held: { state: 'conflict' } });
  });

  test('of a day that is written whole is looked at too', () => {
    const bench = new Bench().attribute('weight', { mode: 'shared' });
    const id = keyOf('weight', TODAY);
    const held = { state: 'conflict', reason: 'an older copy', since: NOON } as const;
    bench.keys.set(id, { ...newValueKey('weight', TODAY, units(72), NOON), openSince: null, held });
    bench.step({ type: 'started' });
    expect(bench.show(80, 'weight')).toBeUndefined();
    expect(bench.keys.get(id)).toMatchObject({ seen: units(80), seenAt: NOON, held, delivered: null });
  });
});

test('what Exist refused is looked at too, and stays refused', () => {
  const bench = sending();
  bench.fail('validation');
  const held = bench.key();
  expect(bench.step({ type: 'started' }).call?.request).toMatchObject({ kind: 'read' });
  expect(bench.show(14)).toBeUndefined();
  expect(bench.key()).toEqual({ ...held, seen: units(14), seenAt: bench.now });
});

describe('what the user decides about a held item', () => {
  const settle = (bench: Bench, how: 'retry' | 'drop' | 'count'): void => {
    bench.step({ type: 'settled', settlement: { attribute: 'water', day: TODAY, how } });
    bench.show(12);
    bench.wake(10 * MINUTE_MS);
  };

  test('retry: it is sent again', () => {
    const bench = inConflict();
    settle(bench, 'retry');
    expect(bench.account.call?.request).toMatchObject({ kind: 'increment', items: [{ value: units(3) }] });
  });

  test.each(['drop', 'count'] as const)('%s: nothing is sent, and later counts go on', (how) => {
    const bench = inConflict();
    settle(bench, how);
    expect(bench.account.call?.request.kind).not.toBe('increment');
    if (bench.account.call) bench.show(12);
    bench.contribute('water', 4);
    expect(bench.wake(10 * MINUTE_MS)).toMatchObject({ kind: 'increment', items: [{ value: units(4) }] });
    expect(bench.applied(16)).toBeUndefined();
  });

  test.each(['drop', 'count'] as const)('%s: goes by what was shown last while it was held', (how) => {
    const bench = inConflict();
    bench.step({ type: 'started' });
    bench.show(14);
    bench.step({ type: 'settled', settlement: { attribute: 'water', day: TODAY, how } });
    expect(bench.key()).toMatchObject({ base: units(how === 'drop' ? 14 : 11) });
    expect(bench.show(14)).toBeUndefined();
    expect(bench.key()).toMatchObject({ base: units(how === 'drop' ? 14 : 11), repair: false });
  });

  test('set: the total is written', () => {
    const bench = inConflict();
    const settlement = { attribute: 'water', day: TODAY, how: 'set', total: units(13) } as const;
    expect(bench.step({ type: 'settled', settlement }).call?.request).toMatchObject({ kind: 'read' });
    expect(bench.show(12)).toMatchObject({ kind: 'update', items: [{ value: units(13) }] });
  });
});
