import { describe, expect, test } from 'vitest';
import { holds, type Condition } from '../../src/core/condition.ts';
import type { Scalar } from '../../src/core/reading.ts';

const is = (...values: Scalar[]): Condition => ({ kind: 'oneOf', values });

describe('a word', () => {
  test.each<[Scalar, Scalar]>([
    ['open', 'OPEN'],
    ['open', ' Open '],
    ['on', true],
    ['on', 1],
    ['on', '1'],
    ['on', 'True'],
    [true, 'ON'],
    [1, 'true'],
    ['off', 0],
    [false, '0'],
    [0, 'OFF'],
    [5, '5.0'],
    ['5', 5],
    ['Ärger', 'ÄRGER'],
  ])('%j is met by %j', (wanted, value) => {
    expect(holds(is(wanted), value)).toBe(true);
  });

  test.each<[Scalar, Scalar]>([
    ['open', 'on'],
    ['open', 1],
    ['on', 'open'],
    ['on', 'off'],
    ['off', ''],
    [1, 2],
    ['close', 'closed'],
    [5, '5 W'],
  ])('%j is not met by %j', (wanted, value) => {
    expect(holds(is(wanted), value)).toBe(false);
  });

  test('of a list is enough', () => {
    expect(holds(is('playing', 'paused'), 'Paused')).toBe(true);
    expect(holds(is('playing', 'paused'), 'idle')).toBe(false);
  });
});

describe('a limit', () => {
  const above: Condition = { kind: 'above', limit: 30, hysteresis: 0 };

  test('is passed by numbers beyond it, also with a unit', () => {
    expect(holds(above, 30)).toBe(false);
    expect(holds(above, '30,1 W')).toBe(true);
    expect(holds({ kind: 'below', limit: 5, hysteresis: 0 }, 4.9)).toBe(true);
    expect(holds({ kind: 'below', limit: 5, hysteresis: 0 }, 5)).toBe(false);
    expect(holds({ kind: 'between', low: 1, high: 2 }, 2)).toBe(true);
    expect(holds({ kind: 'between', low: 1, high: 2 }, 2.01)).toBe(false);
  });

  test('cannot be asked of words', () => {
    expect(holds(above, 'ON')).toBeUndefined();
    expect(holds(above, true)).toBeUndefined();
  });

  test('with hysteresis is left only beyond it', () => {
    const warm: Condition = { kind: 'above', limit: 30, hysteresis: 5 };
    expect(holds(warm, 28, false)).toBe(false);
    expect(holds(warm, 28, true)).toBe(true);
    expect(holds(warm, 24.9, true)).toBe(false);
    const cold: Condition = { kind: 'below', limit: 5, hysteresis: 1 };
    expect(holds(cold, 5.5, false)).toBe(false);
    expect(holds(cold, 5.5, true)).toBe(true);
    expect(holds(cold, 6.1, true)).toBe(false);
  });
});
