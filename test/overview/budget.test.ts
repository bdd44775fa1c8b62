import { describe, expect, test } from 'vitest';
import { overview } from '../../src/overview.ts';
import { keyOf, newAccount, newSumKey, type Account, type Key } from '../../src/core/delivery/state.ts';
import { HOUR_MS, MINUTE_MS, type EpochMs, type LocalDate } from '../../src/core/time.ts';
import type { Units } from '../../src/core/units.ts';

const TODAY = '2026-11-24' as LocalDate;
const NOON = Date.parse('2026-11-24T12:00:00Z') as EpochMs;
const MINUTE = NOON / MINUTE_MS;

/** What the status says with so many of 20 calls made ten minutes ago, of which two are kept. */
function statusOf(calls: number, keys: readonly Key[] = [], account: Partial<Account> = {}) {
  return overview({
    version: '1.2.3',
    uptimeMs: 60_000,
    now: NOON,
    zone: 'UTC',
    timeProblem: undefined,
    existUrl: 'https://exist.io',
    delivery: {
      account: {
        ...newAccount(),
        lastSuccessAt: (NOON - 10 * MINUTE_MS) as EpochMs,
        spent: [{ minute: MINUTE - 10, calls }],
        ...account,
      },
      attributes: new Map(),
      keys: new Map(keys.map((key) => [keyOf(key.attribute, key.day), key])),
    },
    keysOfDay: () => [],
    settings: { settleMs: 90_000, callsPerHour: 20, flushEveryMs: 5 * MINUTE_MS, lingerMs: 2_000, batch: 35 },
    counters: { accepted: 0, ignored: 0, refused: 0, duplicates: 0 },
    undated: 0,
    refused: [],
    broker: null,
    connections: [],
    silent: [],
    troubles: [],
  });
}

/** A count that came so long ago. */
function waiting(ms: number): Key[] {
  return [newSumKey('water', TODAY, 3_000_000 as Units, (NOON - ms) as EpochMs)];
}

describe('where the hour’s calls are used up', () => {
  test('the status says so, and when the next one may be made', () => {
    const { exist, problems, health } = statusOf(18, waiting(MINUTE_MS));
    expect(exist).toMatchObject({
      state: 'paused',
      detail:
        "the hour's 20 calls are used up, but for 2 kept to read back what is unknown; the next at 2026-11-24T12:51:00.000Z",
      next_flush: '2026-11-24T12:51:00.000Z',
      calls_left: 2,
    });
    expect({ problems, health }).toEqual({ problems: [], health: 'ok' });
    expect(statusOf(20).exist.detail).toMatch(/^the hour's 20 calls are used up; the next at/);
  });

  test('it is a problem once counts wait for more than an hour, with what the user can do', () => {
    expect(statusOf(18, waiting(HOUR_MS + 1)).problems).toEqual([
      expect.stringMatching(/waited since 2026-11-24T10:59:59\.999Z.*calls_per_hour.*flush\.every/),
    ]);
    expect(statusOf(17, waiting(HOUR_MS + 1)).problems).toEqual([]);
  });

  test('what Exist says itself comes first', () => {
    const until = (NOON + 2 * HOUR_MS) as EpochMs;
    const rest = { until, since: NOON, reason: 'rate-limited', message: 'slow down' } as const;
    const paused = statusOf(18, waiting(2 * HOUR_MS), { pause: rest });
    expect(paused.exist).toMatchObject({ state: 'paused', detail: 'slow down' });
    expect(paused.exist.next_flush).toBe('2026-11-24T14:00:00.000Z');
    expect(paused.problems).toEqual([]);
    const held = statusOf(18, waiting(0), { hold: { ...rest, reason: 'forbidden' } });
    expect(held.exist).toMatchObject({ state: 'held', detail: 'slow down' });
  });
});

describe('the next flush', () => {
  test('is none where nothing waits', () => {
    expect(statusOf(18).exist.next_flush).toBeNull();
  });

  test('waits for linger, and for flush.every but in the middle of a flush', () => {
    expect(statusOf(17, waiting(500)).exist).toMatchObject({
      state: 'ok',
      detail: null,
      next_flush: '2026-11-24T12:00:01.500Z',
    });
    const lastFlushAt = (NOON - MINUTE_MS) as EpochMs;
    expect(statusOf(17, waiting(500), { lastFlushAt }).exist.next_flush).toBe('2026-11-24T12:04:00.000Z');
    const { exist } = statusOf(17, waiting(MINUTE_MS), { lastFlushAt, flushing: true });
    expect(exist.next_flush).toBe('2026-11-24T12:00:00.000Z');
  });
});
