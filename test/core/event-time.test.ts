import { describe, expect, test } from 'vitest';
import { dateReading, readInstant } from '../../src/core/event-time.ts';
import type { EpochMs } from '../../src/core/time.ts';

const zone = 'Europe/Berlin';
const now = Date.parse('2026-11-20T12:00:00Z') as EpochMs;

describe('an instant', () => {
  test.each([
    ['2026-11-20T07:15:03.123456+00:00', '2026-11-20T07:15:03.123Z'],
    ['2026-11-20T08:15:03+01:00', '2026-11-20T07:15:03.000Z'],
    ['2026-11-20T08:15:03+0100', '2026-11-20T07:15:03.000Z'],
    ['2026-11-20T07:15:03Z', '2026-11-20T07:15:03.000Z'],
    ['2026-11-20T08:15:00', '2026-11-20T07:15:00.000Z'],
    ['2026-11-20 08:15:02', '2026-11-20T07:15:02.000Z'],
    ['2026-07-20 08:15', '2026-07-20T06:15:00.000Z'],
    [1_795_158_903, '2026-11-20T07:15:03.000Z'],
    [1_795_158_903_000, '2026-11-20T07:15:03.000Z'],
    ['1795158903.123456', '2026-11-20T07:15:03.123Z'],
    ['1795158903000', '2026-11-20T07:15:03.000Z'],
  ])('is read from %j', (value, expected) => {
    expect(new Date(readInstant(value, zone, now) ?? NaN).toISOString()).toBe(expected);
  });

  test.each([
    true,
    'soon',
    '',
    '2026-02-30T10:00:00',
    '2026-11-20T25:00:00',
    '2026-11-20',
    '08:15',
    -5,
    NaN,
    1e300,
    '20.11.2026 08:15',
  ])('is not read from %j', (value) => {
    expect(readInstant(value, zone, now)).toBeUndefined();
  });
});

describe('a reading', () => {
  test('is dated on receipt where the device says nothing', () => {
    expect(dateReading({}, now, zone)).toEqual({ at: now });
  });

  test('is dated by the device', () => {
    expect(dateReading({ deviceTime: '2026-11-20T12:30:00' }, now, zone)).toEqual({ at: now - 1_800_000 });
    expect(dateReading({ ageS: 90.5 }, now, zone)).toEqual({ at: now - 90_500 });
  });

  test('from slightly ahead is dated on receipt', () => {
    expect(dateReading({ deviceTime: now + 299_000 }, now, zone)).toEqual({ at: now });
  });

  test.each([
    [{ deviceTime: '1970-01-01T00:00:12' }, /31 days/],
    [{ deviceTime: now + 301_000 }, /future/],
    [{ ageS: 32 * 86_400 }, /31 days/],
    [{ ageS: -1 }, /seconds/],
    [{ deviceTime: 'yesterday' }, /not a time/],
  ])('is refused with %j', (told, reason) => {
    expect(dateReading(told, now, zone)).toEqual({ refused: expect.stringMatching(reason) });
  });

  test('in the hour that comes twice belongs to the hour it was received in', () => {
    const second = Date.parse('2026-10-25T01:30:00Z') as EpochMs;
    expect(dateReading({ deviceTime: '2026-10-25T02:30:00' }, second, zone)).toEqual({ at: second });
  });
});
