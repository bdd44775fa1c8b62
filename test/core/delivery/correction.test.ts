import { describe, expect, test } from 'vitest';
import { DAY_MS, HOUR_MS, MINUTE_MS, type EpochMs } from '../../../src/core/time.ts';
import type { Settings } from '../../../src/core/delivery/state.ts';
import { Bench, NOON, SETTINGS, ok, unknown } from './bench.ts';

const WITHOUT_ZONE: Settings = { ...SETTINGS };
delete (WITHOUT_ZONE as { timezone?: string }).timezone;

describe.each([
  ['ahead', -DAY_MS],
  ['behind', DAY_MS],
])('a clock that was a day %s', (_what, byMs) => {
  const correct = (bench: Bench): void => {
    bench.now = (bench.now + byMs) as EpochMs;
    bench.step({ type: 'corrected', byMs });
    // The audit of the corrected clock finds all as it is.
    while (bench.account.call?.request.kind === 'read') bench.show(13);
  };

  test('leaves what waits for the next flush waiting as long as before', () => {
    const bench = new Bench().attribute('water').contribute('water', 3);
    bench.wake(2_000);
    bench.show(10);
    bench.applied(13);
    bench.contribute('water', 1);
    correct(bench);
    expect(bench.wake(SETTINGS.flushEveryMs - MINUTE_MS)).toBeUndefined();
    expect(bench.wake(MINUTE_MS)).toMatchObject({ kind: 'increment', items: [{ name: 'water' }] });
  });

  test('does not read back an unknown outcome sooner or later than it would', () => {
    const bench = new Bench().attribute('water').contribute('water', 3);
    bench.wake(2_000);
    bench.show(10);
    bench.answer(unknown);
    correct(bench);
    expect(bench.wake(SETTINGS.settleMs - 1_000)).toBeUndefined();
    expect(bench.wake(1_000)).toMatchObject({ kind: 'read' });
  });

  test('keeps the hour’s budget', () => {
    const bench = new Bench({ ...SETTINGS, callsPerHour: 3 }).attribute('water').contribute('water', 3);
    bench.wake(2_000);
    bench.show(10);
    bench.applied(13);
    bench.contribute('water', 1);
    bench.account = { ...bench.account, spent: [{ minute: Math.floor(bench.now / MINUTE_MS), calls: 3 }] };
    correct(bench);
    expect(bench.wake(10 * MINUTE_MS)).toBeUndefined();
    expect(bench.wake(HOUR_MS)).toBeDefined();
  });

  test('does not lengthen a pause', () => {
    const bench = new Bench().attribute('water').contribute('water', 3);
    bench.wake(2_000);
    bench.answer({ kind: 'not-sent', cause: 'rate-limited', message: '429', retryAfterMs: HOUR_MS });
    correct(bench);
    expect(bench.wake(HOUR_MS - MINUTE_MS)).toBeUndefined();
    expect(bench.wake(MINUTE_MS)).toMatchObject({ kind: 'read' });
  });
});

test('a clock set back by a year while the daemon was away makes nothing wait for more than two hours', () => {
  const bench = new Bench().attribute('water').contribute('water', 3);
  bench.wake(2_000);
  bench.show(10);
  bench.answer(unknown);
  bench.contribute('water', 1);
  bench.now = (bench.now - 365 * DAY_MS) as EpochMs;
  bench.step({ type: 'started' });
  expect(bench.wake(2 * HOUR_MS)).toMatchObject({ kind: 'read' });
  expect(bench.show(13)).toMatchObject({ kind: 'increment' });
});

test('the account’s own zone is asked again with the nightly audit', () => {
  const bench = new Bench(WITHOUT_ZONE).attribute('water');
  expect(bench.wake()).toEqual({ kind: 'profile' });
  bench.answer(ok({ kind: 'profile', timezone: 'Europe/Berlin' }));
  bench.account = { ...bench.account, nextAuditAt: (NOON + 15 * HOUR_MS) as EpochMs };
  expect(bench.wake(14 * HOUR_MS)).toBeUndefined();
  expect(bench.wake(HOUR_MS)).toEqual({ kind: 'profile' });
  bench.answer(ok({ kind: 'profile', timezone: 'Pacific/Auckland' }));
  expect(bench.account.timezone).toBe('Pacific/Auckland');
  expect(bench.wake(HOUR_MS)).toBeUndefined();
});
