import { describe, expect, test } from 'vitest';
import { heldAmount, objectionTo, type Settlement } from '../../../src/core/delivery/settlement.ts';
import { keyOf, newValueKey, type Attribute, type Mode } from '../../../src/core/delivery/state.ts';
import type { ValueType } from '../../../src/core/attribute.ts';
import { DAY_MS, HOUR_MS, MINUTE_MS, type EpochMs } from '../../../src/core/time.ts';
import type { Units } from '../../../src/core/units.ts';
import { Bench, NOON, TODAY, ok, units, unknown } from './bench.ts';

/** A sum of which Exist refused an increment of 1, while 40 stands there. */
function refused(mode: Mode = 'guarded', valueType: ValueType = 'decimal'): Bench {
  const bench = new Bench().attribute('water', { mode, valueType }).contribute('water', 1);
  bench.wake(2_000);
  bench.show(40);
  bench.fail('validation');
  return bench;
}

function set(bench: Bench, total: Units | string): void {
  bench.step({ type: 'settled', settlement: { attribute: 'water', day: TODAY, how: 'set', total } });
}

function objection(bench: Bench, total: Units | string): string | undefined {
  const settlement: Settlement = { attribute: 'water', day: TODAY, how: 'set', total };
  const found = objectionTo(bench, settlement);
  return found?.kind === 'total' ? found.reason : found?.kind;
}

/** Answers reads with `stands` and updates by `outcome`, until nothing is due. */
function serve(bench: Bench, stands: number): void {
  for (let request = bench.account.call?.request; request;) {
    if (request.kind === 'update') {
      request = bench.applied(undefined);
    } else {
      request = bench.show(stands);
    }
  }
}

describe('a total that the user sets', () => {
  test.each([
    ['12,5', 12.5],
    ['12.5', 12.5],
    [' 12.5 ml', 12.5],
  ])('may be written as payloads are: %j', (text, value) => {
    const bench = refused();
    set(bench, text);
    expect(bench.show(40)).toMatchObject({ kind: 'update', items: [{ value: units(value) }] });
  });

  test.each<[ValueType, Units | string, RegExp]>([
    ['decimal', 'garbage', /garbage/],
    ['decimal', '', /empty/],
    ['integer', units(2.5), /whole numbers/],
    ['integer', '12,5', /whole numbers/],
    ['minutes', '0.5', /whole numbers/],
    ['percentage', '7', /0 to 1/],
  ])(
    'is refused in words by an attribute of type %s where it is %j, and nothing changes',
    (type, total, words) => {
      const bench = refused('guarded', type);
      expect(objection(bench, total)).toMatch(words);
      const before = bench.key();
      set(bench, total);
      expect(bench.key()).toEqual(before);
    },
  );

  test('of a day that is written whole may be a text or a time where the attribute takes one', () => {
    for (const [type, total, wanted] of [
      ['text', '12,5', '12,5'],
      ['time_of_day', '07:30', units(450)],
      ['scale', '9', units(9)],
    ] as const) {
      const bench = new Bench().attribute('water', { valueType: type });
      const key = newValueKey('water', TODAY, type === 'text' ? 'a' : units(1), NOON);
      bench.keys.set(keyOf('water', TODAY), {
        ...key,
        held: { state: 'refused', reason: 'no', since: NOON },
      });
      expect(objection(bench, total)).toBeUndefined();
      set(bench, total);
      expect(bench.keys.get(keyOf('water', TODAY))).toMatchObject({ wanted, held: null });
    }
    const bench = new Bench().attribute('water', { valueType: 'scale' });
    const held = { state: 'refused', reason: 'no', since: NOON } as const;
    bench.keys.set(keyOf('water', TODAY), { ...newValueKey('water', TODAY, units(1), NOON), held });
    expect(objection(bench, '10')).toMatch(/1 to 9/);
  });

  test('finds nothing where nothing is held', () => {
    expect(objection(new Bench().attribute('water').contribute('water', 1), units(1))).toBe('not-held');
  });

  const troubles = [
    ['a broken answer', unknown],
    ['a missing route', { kind: 'not-sent', cause: 'network', message: 'no' }],
    ['a dead token', { kind: 'not-sent', cause: 'unauthorised', message: 'no' }],
    ['a rate limit', { kind: 'not-sent', cause: 'rate-limited', message: 'no' }],
  ] as const;
  describe.each<Mode>(['strict', 'guarded', 'shared'])('in mode %s', (mode) => {
    test.each(troubles)('stays so through %s, whatever looks show', (_what, trouble) => {
      const bench = refused(mode);
      set(bench, units(5));
      expect(bench.show(41)).toMatchObject({ kind: 'update', items: [{ value: units(5) }] });
      bench.answer(trouble);
      bench.step({ type: 'started' });
      for (let hours = 0; hours < 30 && bench.key().fixed; hours += 1) {
        if (!bench.account.call) bench.wake(HOUR_MS);
        if (bench.account.call?.request.kind === 'profile')
          bench.answer(ok({ kind: 'profile', timezone: 'UTC' }));
        serve(bench, 41);
      }
      expect(bench.key()).toMatchObject({ fixed: null, repair: false, seen: units(5) });
      expect(bench.key().base).toBe(units(4));
    });

    test('goes on being counted from once Exist has confirmed it', () => {
      const bench = refused(mode);
      set(bench, units(5));
      bench.contribute('water', 2);
      bench.show(41);
      bench.applied(undefined);
      const request = bench.account.call?.request ?? bench.wake(10 * MINUTE_MS);
      if (request?.kind === 'read') bench.show(5);
      expect(bench.account.call?.request).toMatchObject({ kind: 'increment', items: [{ value: units(2) }] });
      expect(bench.applied(7)?.kind).not.toBe('update');
    });
  });

  test('in the middle of an outage is written when it ends', () => {
    const bench = refused('guarded');
    bench.account = {
      ...bench.account,
      pause: { until: (bench.now + DAY_MS) as EpochMs, since: bench.now, reason: 'network', message: 'gone' },
    };
    set(bench, units(5));
    expect(bench.account.call).toBeNull();
    expect(bench.wake(DAY_MS)).toMatchObject({ kind: 'read' });
    expect(bench.show(41)).toMatchObject({ kind: 'update', items: [{ value: units(5) }] });
  });

  test('is not undone by a read that lags behind its confirmation', () => {
    const bench = refused('guarded');
    set(bench, units(5));
    bench.show(41);
    bench.applied(undefined);
    expect(bench.wake(5 * MINUTE_MS)).toMatchObject({ kind: 'read' });
    expect(bench.show(41)).toMatchObject({ kind: 'update', items: [{ value: units(5) }] });
  });
});

describe('an update to the ledger’s total that Exist refuses', () => {
  /** The devices did 4, of which 3 got lost on the way: Exist has 1, and will not have 4. */
  const lost = (): Bench => {
    const bench = new Bench().attribute('water').contribute('water', 1);
    bench.wake(2_000);
    bench.show(null);
    bench.applied(1);
    bench.contribute('water', 3);
    bench.wake(5 * MINUTE_MS);
    bench.answer(unknown);
    bench.wake(90_000);
    expect(bench.show(1)).toMatchObject({ kind: 'update', items: [{ value: units(4) }] });
    bench.fail('validation');
    return bench;
  };
  const settle = (bench: Bench, how: 'retry' | 'drop' | 'count') =>
    bench.step({ type: 'settled', settlement: { attribute: 'water', day: TODAY, how } });
  /** What is written to Exist in the next two days. */
  const written = (bench: Bench): unknown[] => {
    const writes: unknown[] = [];
    for (let hours = 0; hours < 48; hours += 1) {
      if (!bench.account.call) bench.wake(HOUR_MS);
      const request = bench.account.call?.request;
      if (request?.kind === 'read') bench.show(1);
      else if (request?.kind === 'update') {
        writes.push(request.items[0]?.value);
        bench.fail('validation');
      }
    }
    return writes;
  };

  test('is held with what is missing at Exist', () => {
    const bench = lost();
    expect(heldAmount(bench.key(), bench.attributes.get('water'))).toBe(units(3));
    bench.contribute('water', 0.5);
    expect(heldAmount(bench.key(), bench.attributes.get('water'))).toBe(units(3.5));
  });

  test('dropped leaves Exist as it stands, and says how much is forgotten', () => {
    const bench = lost();
    const [note] = settle(bench, 'drop').notes;
    expect(note?.text).toContain('3 is forgotten');
    expect(written(bench)).toEqual([]);
    expect(bench.key()).toMatchObject({ ours: units(1), dropped: units(3), base: 0 });
  });

  test('counted leaves Exist as it stands', () => {
    const bench = lost();
    settle(bench, 'count');
    expect(written(bench)).toEqual([]);
    expect(bench.key()).toMatchObject({ ours: units(4), dropped: 0, base: units(-3) });
  });

  test('retried is written again', () => {
    const bench = lost();
    settle(bench, 'retry');
    expect(written(bench)).toEqual([units(4)]);
  });
});

describe('a day of an attribute that is held as a whole', () => {
  /** 5 stand at Exist, 3 more are counted, and Exist does not know the attribute any more. */
  const lost = (mode: Mode = 'guarded', more: Partial<Attribute> = {}): Bench => {
    const bench = new Bench().attribute('water', { mode }).contribute('water', 5);
    bench.wake(2_000);
    bench.show(null);
    bench.applied(5);
    bench.contribute('water', 3);
    return bench.attribute('water', { mode, state: 'held', reason: 'it is gone', ...more });
  };
  /** The same, but the 3 were on their way when it happened, and 1 came since. */
  const inDoubt = (mode: Mode = 'guarded'): Bench => {
    const bench = lost(mode, { state: 'ready', reason: null });
    bench.wake(5 * MINUTE_MS);
    bench.answer(unknown);
    return bench.attribute('water', { mode, state: 'held', reason: 'it is gone' }).contribute('water', 1);
  };
  const settle = (bench: Bench, how: 'retry' | 'drop' | 'count') =>
    bench.step({ type: 'settled', settlement: { attribute: 'water', day: TODAY, how } });
  const refusal = (bench: Bench, how: 'retry' | 'drop' | 'count') =>
    objectionTo(bench, { attribute: 'water', day: TODAY, how });
  /** What is written once the attribute works again, while `stands` is there; and what stands in the end. */
  const mended = (bench: Bench, mode: Mode, stands: number): { writes: unknown[]; stands: number } => {
    bench.attribute('water', { mode });
    const writes: unknown[] = [];
    for (let hours = 0; hours < 48; hours += 1) {
      let request = bench.account.call?.request ?? bench.wake(HOUR_MS);
      for (; request; request = bench.account.call?.request) {
        if (request.kind === 'read') bench.show(stands);
        else if (request.kind === 'update' || request.kind === 'increment') {
          const value = Number(request.items[0]?.value) / 1_000_000;
          stands = request.kind === 'update' ? value : stands + value;
          writes.push([request.kind, value]);
          bench.applied(stands);
        } else throw new Error(request.kind);
      }
    }
    return { writes, stands };
  };

  test('is not sent again by itself alone: the words name the command for the attribute', () => {
    const bench = lost();
    expect(refusal(bench, 'retry')).toMatchObject({
      kind: 'attribute-held',
      reason: expect.stringContaining('held retry water') as string,
    });
    const before = bench.key();
    settle(bench, 'retry');
    expect(bench.key()).toEqual(before);
    expect(refusal(bench, 'drop')).toBeUndefined();
  });

  test('is not there where nothing of it waits, or the attribute works', () => {
    const bench = lost();
    settle(bench, 'drop');
    expect(refusal(bench, 'drop')).toEqual({ kind: 'not-held' });
    expect(refusal(lost('guarded', { state: 'ready' }), 'drop')).toEqual({ kind: 'not-held' });
  });

  test.each<Mode>(['strict', 'guarded', 'shared'])('dropped is never sent, in mode %s', (mode) => {
    const bench = lost(mode);
    const [note] = settle(bench, 'drop').notes;
    expect(note?.text).toMatch(
      /settled by the user \(drop; was held with its attribute: it is gone\): 3 is f/,
    );
    expect(bench.key()).toMatchObject({ dropped: units(3), ours: units(5) });
    bench.contribute('water', 2);
    expect(mended(bench, mode, 5)).toEqual({ writes: [['increment', 2]], stands: 7 });
  });

  test.each<Mode>(['strict', 'guarded', 'shared'])('counted is taken as delivered, in mode %s', (mode) => {
    const bench = lost(mode);
    settle(bench, 'count');
    expect(bench.key()).toMatchObject({ dropped: 0, ours: units(8) });
    bench.contribute('water', 2);
    expect(mended(bench, mode, 8)).toEqual({ writes: [['increment', 2]], stands: 10 });
  });

  test.each<Mode>(['strict', 'guarded', 'shared'])('set is written once it works, in mode %s', (mode) => {
    const bench = lost(mode);
    set(bench, units(4));
    bench.contribute('water', 2);
    expect(bench.account.call).toBeNull();
    const { writes, stands } = mended(bench, mode, 5);
    expect(writes[0]).toEqual(['update', 4]);
    expect(stands).toBe(6);
  });

  test('set and then dropped is as it stands at Exist', () => {
    const bench = lost();
    set(bench, units(4));
    settle(bench, 'drop');
    expect(bench.key().fixed).toBeNull();
    expect(mended(bench, 'guarded', 5)).toEqual({ writes: [], stands: 5 });
  });

  test('of which Exist never showed anything is read before anything is made of what the user said', () => {
    const bench = new Bench().attribute('water', { state: 'held', reason: 'no' }).contribute('water', 3);
    set(bench, units(4));
    settle(bench, 'drop');
    expect(mended(bench, 'strict', 40)).toEqual({ writes: [], stands: 40 });
  });

  describe('with an amount of unknown outcome', () => {
    test.each<[Mode, boolean]>([
      ['strict', true],
      ['strict', false],
      ['guarded', true],
      ['guarded', false],
    ])('dropped is forgotten with it, in mode %s, arrived: %j', (mode, hasArrived) => {
      const bench = inDoubt(mode);
      expect(settle(bench, 'drop').notes[0]?.text).toContain('4 is forgotten');
      expect(bench.key()).toMatchObject({ flight: 'none', flightAmount: 0, dropped: units(4) });
      expect(mended(bench, mode, hasArrived ? 8 : 5).stands).toBe(5);
    });

    test.each<[Mode, boolean]>([
      ['strict', true],
      ['strict', false],
      ['guarded', true],
      ['guarded', false],
    ])('counted stands at Exist once, in mode %s, arrived: %j', (mode, hasArrived) => {
      const bench = inDoubt(mode);
      expect(settle(bench, 'count').notes[0]?.text).toContain('4 counts as delivered');
      expect(mended(bench, mode, hasArrived ? 8 : 5).stands).toBe(9);
    });

    test.each([true, false])('set is what was said, arrived: %j', (hasArrived) => {
      const bench = inDoubt();
      set(bench, units(2));
      expect(mended(bench, 'guarded', hasArrived ? 8 : 5).stands).toBe(2);
    });

    test('is judged as ever where the user only lets the attribute be tried again', () => {
      expect(mended(inDoubt(), 'guarded', 8).stands).toBe(9);
      expect(mended(inDoubt(), 'guarded', 5).stands).toBe(9);
    });
  });

  test('that is written whole stays as it stands at Exist when dropped, whatever was on its way', () => {
    for (const mode of ['strict', 'guarded', 'shared'] as const) {
      const bench = new Bench().attribute('water', { mode, state: 'held', reason: 'no' });
      const key = newValueKey('water', TODAY, units(72), NOON);
      const sent = { delivered: units(70), seen: units(70), flightValue: units(71), based: true };
      bench.keys.set(keyOf('water', TODAY), { ...key, ...sent, flight: 'unknown', flightSince: NOON });
      settle(bench, 'drop');
      expect(mended(bench, mode, 71)).toEqual({ writes: [], stands: 71 });
    }
  });
});
