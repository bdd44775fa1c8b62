import fc from 'fast-check';
import { Temporal } from 'temporal-polyfill';
import { describe, expect, test } from 'vitest';
import {
  addDays,
  daysBetween,
  instantOfWallClock,
  isLocalDate,
  isTimeZone,
  localDate,
  minutesFromMidnight,
  startOfDay,
  type EpochMs,
  type LocalDate,
} from '../../src/core/time.ts';

const zones = [
  'UTC',
  'Europe/Berlin',
  'America/New_York',
  'America/St_Johns',
  'America/Santiago',
  'America/Havana',
  'Africa/Cairo',
  'Africa/Casablanca',
  'Asia/Beirut',
  'Asia/Kathmandu',
  'Asia/Tehran',
  'Australia/Lord_Howe',
  'Pacific/Apia',
  'Pacific/Chatham',
  'Pacific/Kiritimati',
  'Pacific/Pago_Pago',
];

const anyZone = fc.constantFrom(...zones);
const from2012 = fc
  .integer({ min: Date.UTC(2012, 0, 2), max: Date.UTC(2037, 0, 1) })
  .map((ms) => ms as EpochMs);

function oracle(at: EpochMs, zone: string): Temporal.ZonedDateTime {
  return Temporal.Instant.fromEpochMilliseconds(at).toZonedDateTimeISO(zone);
}

/** Instants at which the clocks of `zone` are changed. */
function changes(zone: string): EpochMs[] {
  const found: EpochMs[] = [];
  let at: Temporal.ZonedDateTime | null = oracle(Date.UTC(2012, 0, 2) as EpochMs, zone);
  for (;;) {
    at = at.getTimeZoneTransition('next');
    if (!at || at.year > 2030) return found;
    found.push(at.epochMilliseconds as EpochMs);
  }
}

describe('local dates', () => {
  test('agree with Temporal in every zone', () => {
    fc.assert(
      fc.property(from2012, anyZone, (at, zone) => {
        expect(localDate(at, zone)).toBe(oracle(at, zone).toPlainDate().toString());
      }),
      { numRuns: 1_000 },
    );
  });

  test('agree with Temporal around each change of the clocks, as do the minutes of the day', () => {
    for (const zone of zones) {
      for (const change of changes(zone)) {
        for (const minutes of [-1441, -61, -1, 0, 1, 59, 60, 61, 1439]) {
          const at = (change + minutes * 60_000) as EpochMs;
          const expected = oracle(at, zone);
          expect(localDate(at, zone), `${zone} ${expected}`).toBe(expected.toPlainDate().toString());
          expect(minutesFromMidnight(at, zone)).toBe(expected.hour * 60 + expected.minute);
        }
      }
    }
  });

  test('begin where Temporal says, also on days whose midnight is skipped or comes twice', () => {
    for (const zone of zones) {
      for (const change of changes(zone)) {
        for (const days of [-1, 0, 1]) {
          const date = oracle(change, zone).toPlainDate().add({ days });
          const expected = date.toZonedDateTime(zone).epochMilliseconds;
          expect(startOfDay(date.toString() as LocalDate, zone), `${zone} ${date}`).toBe(expected);
        }
      }
    }
  });

  test('begin at the first instant that exists where midnight is skipped', () => {
    const start = startOfDay('2018-11-04' as LocalDate, 'America/Sao_Paulo');
    expect(new Date(start).toISOString()).toBe('2018-11-04T03:00:00.000Z');
    expect(localDate((start - 1) as EpochMs, 'America/Sao_Paulo')).toBe('2018-11-03');
    expect(minutesFromMidnight(start, 'America/Sao_Paulo')).toBe(60);
  });

  test('are right where the minutes before midnight come again after it', () => {
    // Clocks went back from 00:01 to 23:01 of the day before.
    const zone = 'America/St_Johns';
    const change = Date.parse('2010-11-07T02:31:00Z') as EpochMs;
    expect(localDate((change - 30_000) as EpochMs, zone)).toBe('2010-11-07');
    expect(localDate((change + 30_000) as EpochMs, zone)).toBe('2010-11-06');
    expect(localDate((change - 30_000) as EpochMs, zone)).toBe('2010-11-07');
  });

  test('count on across months and years', () => {
    expect(addDays('2027-12-31' as LocalDate, 1)).toBe('2028-01-01');
    expect(addDays('2028-03-01' as LocalDate, -1)).toBe('2028-02-29');
    expect(daysBetween('2026-10-24' as LocalDate, '2026-10-26' as LocalDate)).toBe(2);
  });

  test('are recognized', () => {
    expect(['2026-02-28', '2028-02-29'].every(isLocalDate)).toBe(true);
    expect(['2026-02-29', '2026-2-3', '2026-13-01', 'today', '2026-02-28T00:00'].some(isLocalDate)).toBe(
      false,
    );
  });
});

describe('wall clocks', () => {
  test('give the instant that shows them', () => {
    fc.assert(
      fc.property(from2012, anyZone, fc.integer({ min: -3_600_000, max: 3_600_000 }), (at, zone, away) => {
        const shown = oracle(at, zone);
        const wall = Date.parse(`${shown.toPlainDateTime().toString()}Z`);
        const found = instantOfWallClock(wall, zone, (at + away) as EpochMs);
        expect(oracle(found, zone).toPlainDateTime().toString()).toBe(shown.toPlainDateTime().toString());
      }),
      { numRuns: 1_000 },
    );
  });

  test('in an hour that comes twice mean the nearer one', () => {
    const wall = Date.UTC(2026, 9, 25, 2, 30);
    const first = Date.parse('2026-10-25T00:30:00Z') as EpochMs;
    const second = Date.parse('2026-10-25T01:30:00Z') as EpochMs;
    expect(instantOfWallClock(wall, 'Europe/Berlin', (first + 1_000) as EpochMs)).toBe(first);
    expect(instantOfWallClock(wall, 'Europe/Berlin', (second + 1_000) as EpochMs)).toBe(second);
  });

  test('in an hour that is skipped mean the moment of the change', () => {
    const change = Date.parse('2026-03-29T01:00:00Z') as EpochMs;
    expect(instantOfWallClock(Date.UTC(2026, 2, 29, 2, 30), 'Europe/Berlin', change)).toBe(change);
  });
});

test('time zones are IANA names', () => {
  expect(isTimeZone('Europe/Berlin')).toBe(true);
  expect(isTimeZone('Europe/Atlantis')).toBe(false);
  expect(isTimeZone('')).toBe(false);
});
