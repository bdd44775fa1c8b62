import { describe, expect, test } from 'vitest';
import { newSumKey, type Account, type Attribute, type Key } from '../../src/core/delivery/state.ts';
import type { Status } from '../../src/core/status.ts';
import { HOUR_MS, MINUTE_MS, type EpochMs } from '../../src/core/time.ts';
import type { Units } from '../../src/core/units.ts';
import { heldAttribute, NOON, statusOf, TODAY } from './setup.ts';

const MINUTE = NOON / MINUTE_MS;

/** What the status says with so many of 20 calls made ten minutes ago, of which two are kept. */
function after(
  calls: number,
  keys: readonly Key[] = [],
  account: Partial<Account> = {},
  attributes: readonly Attribute[] = [],
): Status {
  return statusOf({ account: { spent: [{ minute: MINUTE - 10, calls }], ...account }, keys, attributes });
}

/** A count that came so long ago. */
function waiting(ms: number): Key[] {
  return [newSumKey('water', TODAY, 3_000_000 as Units, (NOON - ms) as EpochMs)];
}

describe('where the hour’s calls are used up', () => {
  test('the status says so, and when the next one may be made', () => {
    const { exist, problems, health } = after(18, waiting(MINUTE_MS));
    expect(exist).toMatchObject({
      state: 'paused',
      detail:
        "the hour's 20 calls are used up, but for 2 kept to read back what is unknown; the next at 2026-11-24T12:51:00.000Z",
      next_flush: '2026-11-24T12:51:00.000Z',
      calls_left: 2,
    });
    expect({ problems, health }).toEqual({ problems: [], health: 'ok' });
    expect(after(20).exist.detail).toMatch(/^the hour's 20 calls are used up; the next at/);
  });

  test('it is a problem once counts wait for more than an hour, with what the user can do', () => {
    expect(after(18, waiting(HOUR_MS + 1)).problems).toEqual([
      expect.stringMatching(/waited since 2026-11-24T10:59:59\.999Z.*calls_per_hour.*flush\.every/),
    ]);
    expect(after(17, waiting(HOUR_MS + 1)).problems).toEqual([]);
  });

  test('what Exist says itself comes first', () => {
    const until = (NOON + 2 * HOUR_MS) as EpochMs;
    const rest = { until, since: NOON, reason: 'rate-limited', message: 'slow down' } as const;
    const paused = after(18, waiting(2 * HOUR_MS), { pause: rest });
    expect(paused.exist).toMatchObject({ state: 'paused', detail: 'slow down' });
    expect(paused.exist.next_flush).toBe('2026-11-24T14:00:00.000Z');
    expect(paused.problems).toEqual([]);
    const held = after(18, waiting(0), { hold: { ...rest, reason: 'forbidden' } });
    expect(held.exist).toMatchObject({ state: 'held', detail: 'slow down' });
  });
});

test('days of an attribute that is held wait for no call: they are pending, and no budget is too small for them', () => {
  const { queue, exist, problems } = after(18, waiting(2 * HOUR_MS), {}, [heldAttribute]);
  expect(queue.pending_items).toBe(1);
  expect(exist.next_flush).toBeNull();
  expect(problems).toEqual(['attribute water is held: not yours']);
});

describe('the next flush', () => {
  test('is none where nothing waits', () => {
    expect(after(18).exist.next_flush).toBeNull();
  });

  test('waits for linger, and for flush.every but in the middle of a flush', () => {
    expect(after(17, waiting(500)).exist).toMatchObject({
      state: 'ok',
      detail: null,
      next_flush: '2026-11-24T12:00:01.500Z',
    });
    const lastFlushAt = (NOON - MINUTE_MS) as EpochMs;
    expect(after(17, waiting(500), { lastFlushAt }).exist.next_flush).toBe('2026-11-24T12:04:00.000Z');
    const { exist } = after(17, waiting(MINUTE_MS), { lastFlushAt, flushing: true });
    expect(exist.next_flush).toBe('2026-11-24T12:00:00.000Z');
  });
});
