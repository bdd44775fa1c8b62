import { describe, expect, test } from 'vitest';
import type { Outcome } from '../../../src/core/delivery/outcome.ts';
import type { Answer } from '../../../src/core/delivery/request.ts';
import { keyOf } from '../../../src/core/delivery/state.ts';
import { addDays, DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from '../../../src/core/time.ts';
import { Bench, ok, SETTINGS, TODAY, units, unknown, seenAs } from './bench.ts';

const nothing = ok({ kind: 'read', values: new Map() });
const owned = ok({ kind: 'owned', attributes: [], nextPage: null });

function seen(name: string): Outcome<Answer> {
  return ok({ kind: 'ownership', results: [{ seen: seenAs(name) }] });
}

/** A bench that has 10 of others' and 3 of ours at Exist, and 2 more on their way. */
function counting(): Bench {
  const bench = new Bench().attribute('water').contribute('water', 3);
  bench.wake(2_000);
  bench.show(10);
  bench.applied(13);
  bench.contribute('water', 2);
  bench.wake(5 * MINUTE_MS);
  return bench;
}

describe('an attribute that was deleted at Exist', () => {
  test('is created anew when the user says so, and counts from what stands there then', () => {
    const bench = counting();
    expect(bench.fail('not_found')).toBeUndefined();
    expect(bench.wake(48 * HOUR_MS)).toBeUndefined();
    bench.step({ type: 'settled', settlement: { attribute: 'water', day: null, how: 'retry' } });
    expect(bench.account.call?.request).toMatchObject({ kind: 'owned' });
    expect(bench.answer(owned)).toMatchObject({ kind: 'create', items: [{ attribute: 'water' }] });
    bench.answer(seen('water'));
    expect(bench.key()).toMatchObject({ base: null, doubt: 0 });
  });

  test('has the total that the user set for a day written once it is there again', () => {
    const bench = counting();
    bench.fail('not_found');
    bench.step({
      type: 'settled',
      settlement: { attribute: 'water', day: TODAY, how: 'set', total: units(20) },
    });
    bench.step({ type: 'settled', settlement: { attribute: 'water', day: null, how: 'retry' } });
    bench.answer(owned);
    expect(bench.answer(seen('water'))).toMatchObject({ kind: 'read', items: [{ attribute: 'water' }] });
    expect(bench.show(0)).toMatchObject({ kind: 'update', items: [{ value: units(20) }] });
  });

  test('gets what was of unknown outcome once, and nothing of what others had counted before', () => {
    const bench = counting();
    bench.answer(unknown);
    bench.wake(SETTINGS.settleMs);
    bench.answer(nothing);
    bench.wake(SETTINGS.settleMs);
    bench.answer(nothing);
    bench.step({ type: 'settled', settlement: { attribute: 'water', day: null, how: 'retry' } });
    bench.answer(owned);
    bench.fail('not_found');
    bench.answer(ok({ kind: 'ownership', results: [{ failure: { code: 'not_found', message: 'gone' } }] }));
    bench.step({ type: 'settled', settlement: { attribute: 'water', day: null, how: 'retry' } });
    expect(bench.answer(owned)).toMatchObject({ kind: 'create' });
    bench.answer(seen('water'));
    expect(bench.key()).toMatchObject({ base: null, flight: 'none', ours: units(3), doubt: units(2) });
    if (!bench.account.call) bench.wake(5 * MINUTE_MS);
    expect(bench.show(0)).toMatchObject({ kind: 'increment', items: [{ value: units(2) }] });
    expect(bench.applied(2)).toBeUndefined();
    expect(bench.key()).toMatchObject({ ours: units(5), repair: false, held: null });
  });

  test('gets what had been booked and was missing when it was last looked at', () => {
    const bench = counting();
    bench.answer(unknown);
    bench.wake(SETTINGS.settleMs);
    expect(bench.show(13)).toMatchObject({ kind: 'update', items: [{ value: units(15) }] });
    bench.fail('not_found');
    bench.step({ type: 'settled', settlement: { attribute: 'water', day: null, how: 'retry' } });
    bench.answer(owned);
    bench.answer(seen('water'));
    expect(bench.key()).toMatchObject({ base: null, repair: false, ours: units(3) });
    if (!bench.account.call) bench.wake(5 * MINUTE_MS);
    expect(bench.show(0)).toMatchObject({ kind: 'increment', items: [{ value: units(2) }] });
  });

  test('is told of, with what brings it back', () => {
    const bench = counting();
    bench.fail('not_found');
    expect(bench.attributes.get('water')?.reason).toMatch(/was it deleted\? `held retry` creates it anew/);
  });
});

describe('an attribute that is another one by the time a call for it is answered', () => {
  /** 2 are on their way to what the configuration means no more. */
  const moved = (): Bench => {
    const bench = counting();
    return bench.attribute('water', { existName: null, state: 'wanted' });
  };

  test('has what was applied booked, and nothing taken for what stands in the new one', () => {
    const bench = moved();
    bench.keys.set(keyOf('water', TODAY), { ...bench.key(), base: null, seen: null });
    bench.applied(15);
    expect(bench.key()).toMatchObject({ base: null, seen: null, ours: units(5), flight: 'none' });
  });

  test.each([
    ['an answer of unknown outcome', (bench: Bench) => bench.answer(unknown)],
    ['the end of the daemon', (bench: Bench) => bench.step({ type: 'started' })],
  ])('has what was on its way held after %s', (_, happen) => {
    const bench = moved();
    happen(bench);
    expect(bench.key()).toMatchObject({ flight: 'unknown', flightAmount: units(2) });
    expect(bench.key().held?.reason).toMatch(/another attribute at Exist/);
  });

  test('is not lost because the one before is', () => {
    const bench = moved();
    bench.fail('not_found');
    expect(bench.attributes.get('water')).toMatchObject({ state: 'wanted' });
    expect(bench.key()).toMatchObject({ flight: 'none', held: null, openSince: bench.now });
  });
});

describe('an attribute that a read does not show', () => {
  const missing = (): Bench => {
    const bench = new Bench().attribute('water').contribute('water', 3);
    bench.wake(2_000);
    expect(bench.answer(nothing)).toBeUndefined();
    return bench;
  };

  test('is asked for once more after settle, and what stands there is not taken for nothing', () => {
    const bench = missing();
    expect(bench.attributes.get('water')?.state).toBe('ready');
    expect(bench.step({ type: 'wake' }).wakeAt).toBe(bench.now + SETTINGS.settleMs);
    expect(bench.wake(SETTINGS.settleMs - 1)).toBeUndefined();
    expect(bench.key()).toMatchObject({ base: null, flight: 'none' });
    expect(bench.wake(1)).toMatchObject({ kind: 'read', items: [{ attribute: 'water' }] });
    expect(bench.show(10)).toMatchObject({ kind: 'increment', items: [{ value: units(3) }] });
    expect(bench.key().base).toBe(units(10));
    expect(bench.attributes.get('water')?.retryAt).toBeNull();
  });

  test('is held for an hour where the second read does not show it either', () => {
    const bench = missing();
    bench.wake(SETTINGS.settleMs);
    expect(bench.answer(nothing)).toBeUndefined();
    expect(bench.attributes.get('water')).toMatchObject({ state: 'held', retryAt: bench.now + HOUR_MS });
    expect(bench.attributes.get('water')?.reason).toMatch(/read scope/);
    expect(bench.key()).toMatchObject({ base: null, flight: 'none' });
  });

  test('is asked for once more each time that it was shown in between', () => {
    const bench = missing();
    bench.wake(SETTINGS.settleMs);
    bench.show(10);
    bench.applied(13);
    bench.wake(DAY_MS);
    expect(bench.answer(nothing)).toBeUndefined();
    expect(bench.attributes.get('water')?.state).toBe('ready');
  });

  test('where only one of its days is missing is held all the same when that stays so', () => {
    const bench = new Bench().attribute('water');
    bench.contribute('water', 1, addDays(TODAY, -1)).contribute('water', 3);
    bench.wake(2_000);
    bench.show(10);
    bench.wake(SETTINGS.settleMs);
    bench.show(10);
    if (bench.account.call?.request.kind === 'increment') bench.applied(13);
    bench.wake(SETTINGS.settleMs);
    if (bench.account.call) bench.answer(nothing);
    expect(bench.attributes.get('water')?.state).toBe('held');
    expect(bench.key('water', addDays(TODAY, -1))).toMatchObject({ base: null, flight: 'none' });
  });

  test('does not keep the others of its call', () => {
    const bench = new Bench().attribute('water').attribute('coffees');
    bench.contribute('water', 3).contribute('coffees', 2);
    bench.wake(2_000);
    expect(bench.show(0, 'coffees')).toMatchObject({ kind: 'increment', items: [{ name: 'coffees' }] });
  });

  test('has an unknown outcome read back when it is asked for again, out of the reserve too', () => {
    const bench = new Bench({ ...SETTINGS, callsPerHour: 20 }).attribute('water').contribute('water', 3);
    bench.wake(2_000);
    bench.show(10);
    bench.answer(unknown);
    bench.wake(SETTINGS.settleMs);
    bench.answer(nothing);
    bench.account.spent = [{ minute: Math.floor(bench.now / MINUTE_MS), calls: 18 }];
    bench.attribute('new', { state: 'wanted' });
    expect(bench.step({ type: 'wake' }).wakeAt).toBe(bench.now + SETTINGS.settleMs);
    expect(bench.wake(SETTINGS.settleMs)).toMatchObject({ kind: 'read', items: [{ attribute: 'water' }] });
    bench.show(13);
    expect(bench.key()).toMatchObject({ flight: 'none', ours: units(3), repair: false });
  });
});

test('a creation that is answered when the configuration wants another attribute by now makes it none', () => {
  const bench = new Bench().attribute('water', { state: 'missing', existName: null });
  expect(bench.contribute('water', 1).wake(2_000)).toMatchObject({ kind: 'create' });
  bench.attribute('water', { state: 'wanted', existName: null, label: 'Drinks' });
  expect(bench.answer(seen('water'))).toMatchObject({ kind: 'owned' });
  expect(bench.attributes.get('water')).toMatchObject({ state: 'wanted', existName: null });
});

test('a creation that the answer does not mention is tried again within the hour', () => {
  const bench = new Bench().attribute('water', { state: 'missing', existName: null });
  expect(bench.contribute('water', 1).wake(2_000)).toMatchObject({ kind: 'create' });
  expect(bench.answer(ok({ kind: 'ownership', results: [null] }))).toBeUndefined();
  expect(bench.attributes.get('water')).toMatchObject({ existName: null, state: 'held' });
  expect(bench.wake(HOUR_MS)).toMatchObject({ kind: 'owned' });
  expect(bench.answer(owned)).toMatchObject({ kind: 'create' });
});

describe('a rate limit', () => {
  const limited = (retryAfterMs: number): Outcome<Answer> => ({
    kind: 'not-sent',
    cause: 'rate-limited',
    message: 'slow down',
    retryAfterMs,
  });

  test('whose Retry-After is nothing pauses all the same, longer each time', () => {
    const bench = counting();
    const pauses: number[] = [];
    for (let round = 0; round < 4; round += 1) {
      bench.answer(limited(0));
      pauses.push(((bench.account.pause?.until ?? 0) - bench.now) / SECOND_MS);
      bench.wake(5 * MINUTE_MS);
    }
    expect(pauses).toEqual([5, 10, 20, 40]);
  });

  test('is not lifted by another configuration', () => {
    const bench = counting();
    bench.answer(limited(20 * MINUTE_MS));
    expect(bench.step({ type: 'reloaded' }).call).toBeUndefined();
    expect(bench.wake(20 * MINUTE_MS)).toMatchObject({ items: [{ day: TODAY, value: units(2) }] });
  });
});
