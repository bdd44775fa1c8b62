import { describe, expect, test } from 'vitest';
import type { Outcome } from '../../../src/core/delivery/outcome.ts';
import type { Answer } from '../../../src/core/delivery/request.ts';
import { HOUR_MS, MINUTE_MS, SECOND_MS } from '../../../src/core/time.ts';
import { Bench, ok, TODAY, units } from './bench.ts';

const owned = ok({ kind: 'owned', attributes: [], nextPage: null });

function seen(name: string): Outcome<Answer> {
  const attribute = { name, template: null, label: name, valueType: 'decimal', manual: false } as const;
  return ok({ kind: 'ownership', results: [{ seen: attribute }] });
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

  test('is told of, with what brings it back', () => {
    const bench = counting();
    bench.fail('not_found');
    expect(bench.attributes.get('water')?.reason).toMatch(/was it deleted\? `held retry` creates it anew/);
  });
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
