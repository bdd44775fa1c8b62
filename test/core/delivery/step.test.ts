import { describe, expect, test } from 'vitest';
import { keyOf, newValueKey, type Mode } from '../../../src/core/delivery/state.ts';
import { addDays, HOUR_MS, MINUTE_MS, type EpochMs, type LocalDate } from '../../../src/core/time.ts';
import type { Units } from '../../../src/core/units.ts';
import { Bench, NOON, ok, sending, SETTINGS, TODAY, units, unknown, seenAs } from './bench.ts';

describe('the first count after a quiet spell', () => {
  test('waits for linger, then the base line is read, then it goes', () => {
    const bench = new Bench().attribute('water').contribute('water', 3);
    expect(bench.wake(1_999)).toBeUndefined();
    expect(bench.wake(1)).toMatchObject({ kind: 'read', days: 1, dateMax: TODAY });
    expect(bench.show(10)).toEqual({
      kind: 'increment',
      items: [{ attribute: 'water', name: 'water', day: TODAY, value: units(3) }],
    });
    expect(bench.applied(13)).toBeUndefined();
    expect(bench.key()).toMatchObject({ base: units(10), ours: units(3), flight: 'none', openSince: null });
  });

  test('is followed by others no sooner than after flush.every', () => {
    const bench = sending();
    bench.applied(13);
    bench.contribute('water', 1);
    expect(bench.wake(5 * MINUTE_MS - 1)).toBeUndefined();
    expect(bench.wake(1)).toMatchObject({ kind: 'increment', items: [{ value: units(1) }] });
  });
});

describe('a call', () => {
  test('has its items and amounts in the state before it is made', () => {
    const bench = sending();
    expect(bench.account.call?.request).toMatchObject({ kind: 'increment' });
    expect(bench.key()).toMatchObject({ flight: 'sending', flightAmount: units(3), openSince: null });
  });

  test('is the only one on its way', () => {
    const bench = sending().attribute('coffees').contribute('coffees', 1);
    expect(bench.wake(HOUR_MS)).toBeUndefined();
  });

  test('carries at most the batch, and the rest follows at once', () => {
    const bench = new Bench({ ...SETTINGS, batch: 2 });
    for (const name of ['a', 'b', 'c']) bench.attribute(name).contribute(name, 1);
    bench.wake(2_000);
    const values = new Map(['a', 'b', 'c'].map((name) => [name, new Map([[TODAY, null]])]));
    expect(bench.answer(ok({ kind: 'read', values }))).toMatchObject({
      items: [{ name: 'a' }, { name: 'b' }],
    });
    const success = ['a', 'b'].map((name) => ({ name, day: undefined, current: units(1) }));
    expect(bench.answer(ok({ kind: 'written', success, failed: [] }))).toMatchObject({
      items: [{ name: 'c' }],
    });
  });

  test('keeps one date per name until answers have shown that dates come back', () => {
    const yesterday = addDays(TODAY, -1);
    const bench = new Bench().attribute('water').contribute('water', 1, yesterday).contribute('water', 2);
    bench.wake(2_000);
    const days = new Map([yesterday, TODAY].map((day) => [day, null]));
    const first = bench.answer(ok({ kind: 'read', values: new Map([['water', days]]) }));
    expect(first).toMatchObject({ items: [{ day: yesterday }] });
    expect(bench.applied(1, 'water', yesterday)).toMatchObject({ items: [{ day: TODAY }] });
    bench.applied(2);
    bench.contribute('water', 1, yesterday).contribute('water', 1);
    expect(bench.wake(5 * MINUTE_MS)).toMatchObject({ items: [{ day: yesterday }, { day: TODAY }] });
  });

  test('with two dates of one name and an answer without dates leaves both unknown', () => {
    const yesterday = addDays(TODAY, -1);
    const bench = new Bench().attribute('water').contribute('water', 1, yesterday).contribute('water', 2);
    bench.account.datesEchoed = true;
    bench.wake(2_000);
    const days = new Map([yesterday, TODAY].map((day) => [day, null]));
    bench.answer(ok({ kind: 'read', values: new Map([['water', days]]) }));
    const success = [1, 2].map((current) => ({ name: 'water', day: undefined, current: units(current) }));
    bench.answer(ok({ kind: 'written', success, failed: [] }));
    expect([bench.key().flight, bench.key('water', yesterday).flight]).toEqual(['unknown', 'unknown']);
  });
});

describe('a type that takes no fraction', () => {
  test('is sent whole units, and the remainder is carried to the next', () => {
    const bench = new Bench().attribute('water', { valueType: 'integer' }).contribute('water', 1.6);
    bench.wake(2_000);
    expect(bench.show(null)).toMatchObject({ items: [{ value: units(1) }] });
    bench.applied(1);
    bench.contribute('water', 0.3);
    expect(bench.wake(5 * MINUTE_MS)).toBeUndefined();
    bench.contribute('water', 0.1);
    expect(bench.wake(2_000)).toMatchObject({ items: [{ value: units(1) }] });
  });
});

describe('a call of unknown outcome', () => {
  test('rests for settle before it is read back, however often something wakes', () => {
    const bench = sending();
    bench.answer(unknown);
    expect(bench.wake(89_999)).toBeUndefined();
    expect(bench.wake(1)).toMatchObject({ kind: 'read' });
  });

  test('that was applied is booked, and nothing is sent again', () => {
    const bench = sending();
    bench.answer(unknown);
    bench.wake(90_000);
    expect(bench.show(13)).toBeUndefined();
    expect(bench.key()).toMatchObject({ ours: units(3), flight: 'none', doubt: units(3) });
  });

  test.each<Mode>(['strict', 'guarded'])('that was not applied is set right by update in mode %s', (mode) => {
    const bench = sending(3, 10, mode);
    bench.answer(unknown);
    bench.wake(90_000);
    expect(bench.show(10)).toMatchObject({ kind: 'update', items: [{ value: units(13) }] });
  });

  test('that is applied after the repair is taken away again by the next look', () => {
    const bench = sending();
    bench.answer(unknown);
    bench.wake(90_000);
    bench.show(10);
    bench.applied(undefined);
    expect(bench.wake(5 * MINUTE_MS)).toMatchObject({ kind: 'read' });
    expect(bench.show(16)).toMatchObject({ kind: 'update', items: [{ value: units(13) }] });
  });

  test('left by a crash is unknown at the next start', () => {
    const bench = sending();
    bench.step({ type: 'started' });
    expect(bench.key().flight).toBe('unknown');
  });

  test('in shared mode is sent again only where it plainly was not applied', () => {
    const bench = sending(3, 10, 'shared');
    bench.answer(unknown);
    bench.wake(90_000);
    bench.show(10);
    expect(bench.wake(5 * MINUTE_MS)).toMatchObject({ kind: 'read' });
    expect(bench.show(10)).toMatchObject({ kind: 'increment', items: [{ value: units(3) }] });
  });

  test.each<[Mode, number]>([
    ['shared', 12],
    ['guarded', 14],
  ])('that nobody can decide in mode %s is a conflict, held and never sent', (mode, shown) => {
    const bench = sending(3, 10, mode);
    bench.answer(unknown);
    bench.wake(90_000);
    expect(bench.show(shown)).toBeUndefined();
    expect(bench.key().held).toMatchObject({ state: 'conflict' });
    bench.contribute('water', 1);
    expect(bench.wake(HOUR_MS)).toBeUndefined();
  });
});

describe('a value that is not what the ledger expects', () => {
  const judged = (mode: Mode, current: number): Bench => {
    const bench = sending(3, 10, mode);
    bench.applied(current);
    return bench;
  };

  test.each<Mode>(['strict', 'guarded'])('is raised in mode %s', (mode) => {
    expect(judged(mode, 12).account.call?.request).toMatchObject({
      kind: 'update',
      items: [{ value: units(13) }],
    });
  });

  test('is overwritten in mode strict, however high', () => {
    expect(judged('strict', 50).account.call?.request).toMatchObject({ kind: 'update' });
  });

  test.each<Mode>(['guarded', 'shared'])(
    'is adopted in mode %s where it is too high by nothing of ours',
    (mode) => {
      const bench = judged(mode, 50);
      expect(bench.account.call).toBeNull();
      expect(bench.key()).toMatchObject({ base: units(47), ours: units(3) });
    },
  );

  test('is lowered in mode guarded where it is too high by just what was sent', () => {
    expect(judged('guarded', 16).account.call?.request).toMatchObject({
      kind: 'update',
      items: [{ value: units(13) }],
    });
  });

  test('is adopted in mode shared where it is too low', () => {
    expect(judged('shared', 12).key()).toMatchObject({ base: units(9), repair: false });
  });
});

describe('an item that failed', () => {
  test('because of its value is set aside with Exist’s words, and never sent again by itself', () => {
    const bench = sending();
    expect(bench.fail('validation')).toBeUndefined();
    expect(bench.key().held).toEqual({ state: 'refused', reason: 'validation: no', since: bench.now });
    bench.contribute('water', 1);
    expect(bench.wake(24 * HOUR_MS)).toBeUndefined();
  });

  test('because it is not ours is acquired once and sent again', () => {
    const bench = sending();
    expect(bench.fail('unauthorised')).toMatchObject({
      kind: 'acquire',
      items: [{ by: 'name', name: 'water' }],
    });
    bench.answer(ok({ kind: 'ownership', results: [{ seen: seenAs('water') }] }));
    expect(bench.wake(5 * MINUTE_MS)).toMatchObject({ kind: 'increment', items: [{ value: units(3) }] });
    expect(bench.fail('unauthorised')).toBeUndefined();
    expect(bench.attributes.get('water')).toMatchObject({ state: 'held' });
  });

  test('because its attribute is gone holds the attribute, and nothing is created behind the user’s back', () => {
    const bench = sending();
    expect(bench.fail('not_found')).toBeUndefined();
    expect(bench.attributes.get('water')).toMatchObject({ state: 'held', retryAt: null });
    expect(bench.key()).toMatchObject({ flight: 'none', held: null });
  });

  test('does not keep the others of its call', () => {
    const bench = new Bench()
      .attribute('water')
      .attribute('coffees')
      .contribute('water', 1)
      .contribute('coffees', 2);
    bench.wake(2_000);
    const values = new Map(['water', 'coffees'].map((name) => [name, new Map([[TODAY, null]])]));
    bench.answer(ok({ kind: 'read', values }));
    const failed = [{ name: 'water', day: TODAY, code: 'validation', message: 'no' }];
    bench.answer(
      ok({ kind: 'written', success: [{ name: 'coffees', day: undefined, current: units(2) }], failed }),
    );
    expect(bench.key('coffees').ours).toBe(units(2));
    expect(bench.key('water').held?.state).toBe('refused');
  });
});

describe('while Exist turns calls away', () => {
  const turnedAway = (
    cause: 'network' | 'unauthorised' | 'forbidden' | 'rate-limited',
    retryAfterMs?: number,
  ) =>
    ({
      kind: 'not-sent',
      cause,
      message: 'no',
      ...(retryAfterMs !== undefined && { retryAfterMs }),
    }) as const;

  test('a call that was not sent leaves its items open, and they go again after a pause', () => {
    const bench = sending();
    expect(bench.answer(turnedAway('network'))).toBeUndefined();
    expect(bench.key()).toMatchObject({ flight: 'none', flightAmount: 0, openSince: bench.now });
    expect(bench.wake(5 * MINUTE_MS)).toMatchObject({ kind: 'increment', items: [{ value: units(3) }] });
  });

  test('a rate limit pauses all calls for as long as Exist says', () => {
    const bench = sending();
    bench.answer(turnedAway('rate-limited', 40 * MINUTE_MS));
    expect(bench.wake(40 * MINUTE_MS - 1)).toBeUndefined();
    expect(bench.wake(1)).toMatchObject({ kind: 'increment' });
  });

  test('a rate limit without Retry-After pauses longer each time, an hour at most', () => {
    const bench = sending();
    const pauses: number[] = [];
    for (let round = 0; round < 7; round += 1) {
      bench.answer(turnedAway('rate-limited'));
      pauses.push(((bench.account.pause?.until ?? 0) - bench.now) / MINUTE_MS);
      bench.wake(2 * HOUR_MS);
    }
    expect(pauses).toEqual([2, 4, 8, 16, 32, 60, 60]);
  });

  test.each(['unauthorised', 'forbidden'] as const)(
    '%s holds everything, and only a harmless read probes',
    (cause) => {
      const bench = sending();
      bench.answer(turnedAway(cause));
      bench.contribute('water', 1);
      const until = bench.account.hold?.until ?? 0;
      expect(bench.wake(until - bench.now - 1)).toBeUndefined();
      expect(bench.wake(1)).toEqual({ kind: 'profile' });
      expect(bench.answer(ok({ kind: 'profile', timezone: 'UTC' }))).toMatchObject({ kind: 'increment' });
    },
  );

  test('another token is tried at once', () => {
    const bench = sending();
    bench.answer(turnedAway('unauthorised'));
    bench.now = (bench.now + 5 * MINUTE_MS) as EpochMs;
    expect(bench.step({ type: 'reloaded' }).call?.request).toMatchObject({ kind: 'increment' });
  });

  describe('a renewed login', () => {
    const renew = (bench: Bench) => bench.step({ type: 'authorised' }).call?.request;

    test('ends at once what was held for want of a token', () => {
      const bench = sending();
      bench.answer(turnedAway('unauthorised'));
      bench.now = (bench.now + 5 * MINUTE_MS) as EpochMs;
      expect(renew(bench)).toMatchObject({ kind: 'increment', items: [{ value: units(3) }] });
      expect(bench.account.hold).toBeNull();
    });

    test('says nothing of what Exist forbids, or of a limit', () => {
      const forbidden = sending();
      forbidden.answer(turnedAway('forbidden'));
      expect(renew(forbidden)).toBeUndefined();
      expect(forbidden.account.hold?.reason).toBe('forbidden');
      const limited = sending();
      limited.answer(turnedAway('rate-limited', 40 * MINUTE_MS));
      expect(renew(limited)).toBeUndefined();
      expect(limited.account.pause?.reason).toBe('rate-limited');
    });

    test('does not lift the pause of an Exist that could not be reached meanwhile', () => {
      const bench = sending();
      bench.answer(turnedAway('unauthorised'));
      bench.wake((bench.account.hold?.until ?? 0) - bench.now);
      bench.answer(turnedAway('network'));
      expect(renew(bench)).toBeUndefined();
      expect(bench.account).toMatchObject({ hold: null, pause: { reason: 'network' } });
    });
  });
});

describe('a month offline', () => {
  test('is a handful of calls', () => {
    const bench = new Bench().attribute('water').attribute('coffees');
    for (let back = 30; back >= 0; back -= 1) {
      bench.contribute('water', 5, addDays(TODAY, -back)).contribute('coffees', 2, addDays(TODAY, -back));
    }
    const values = new Map<string, Map<LocalDate, Units>>([
      ['water', new Map()],
      ['coffees', new Map()],
    ]);
    for (const days of values.values()) {
      for (let back = 31; back >= 0; back -= 1) days.set(addDays(TODAY, -back), units(0));
    }
    let calls = 0;
    bench.account.datesEchoed = true;
    let request = bench.wake(2_000);
    while (request) {
      calls += 1;
      if (request.kind === 'read') request = bench.answer(ok({ kind: 'read', values }));
      else if (request.kind === 'increment') {
        const success = request.items.map(({ name, day, value }) => ({ name, day, current: value as Units }));
        request = bench.answer(ok({ kind: 'written', success, failed: [] }));
      }
    }
    expect(calls).toBe(3);
    expect([...bench.keys.values()].every((key) => key.kind === 'sum' && key.ours === key.total)).toBe(true);
  });
});

describe('a day that is written whole', () => {
  const bench = (mode: Mode = 'guarded'): Bench => {
    const made = new Bench().attribute('weight', { mode });
    made.keys.set(keyOf('weight', TODAY), newValueKey('weight', TODAY, units(72.4), NOON));
    return made;
  };

  test('goes by update, without a base line', () => {
    expect(bench().wake(2_000)).toMatchObject({ kind: 'update', items: [{ value: units(72.4) }] });
  });

  test('is sent again after an unknown outcome that left another value', () => {
    const made = bench();
    made.wake(2_000);
    made.answer(unknown);
    expect(made.wake(90_000)).toMatchObject({ kind: 'read' });
    made.show(null, 'weight');
    expect(made.wake(5 * MINUTE_MS)).toBeDefined();
    if (made.account.call?.request.kind === 'read') made.show(null, 'weight');
    expect(made.account.call?.request).toMatchObject({ kind: 'update', items: [{ value: units(72.4) }] });
  });

  test('never overwrites what somebody else wrote in mode shared', () => {
    const made = bench('shared');
    expect(made.wake(2_000)).toMatchObject({ kind: 'read' });
    expect(made.show(80, 'weight')).toBeUndefined();
    expect(made.keys.get(keyOf('weight', TODAY))?.held).toMatchObject({ state: 'conflict' });
  });
});
