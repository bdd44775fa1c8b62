import { describe, expect, test } from 'vitest';
import { DAY_MS, addDays, type EpochMs } from '../../src/core/time.ts';
import type { Pruned } from '../../src/ledger/retention.ts';
import { Bench, TODAY, units } from './setup.ts';

const DAY = 24 * 60;

function pruneAll(bench: Bench): number {
  for (let deleted = 0, steps = 0; steps < 1_000; steps += 1) {
    const pruned = bench.ledger.retention.prune(bench.now);
    deleted += pruned.deleted;
    if (pruned.isDone) return deleted;
  }
  throw new Error('pruning does not end');
}

/** One of each kind of line. */
function day(bench: Bench): void {
  bench.count(1);
  bench.enter({ verdict: 'ignored', topic: 'ignored' });
  bench.enter({ verdict: 'refused', reason: 'not a number', sample: 'x' });
  bench.deliver();
}

describe('retention', () => {
  test('keeps idle readings for 2 days, refused ones for 30, what counted, calls and notes for 90', () => {
    const bench = new Bench();
    const counts = (): Record<string, number> =>
      Object.fromEntries(
        bench
          .query<{ verdict: string; n: number }>(
            'SELECT verdict, count(*) AS n FROM reading GROUP BY verdict',
          )
          .map(({ verdict, n }) => [verdict, n]),
      );
    day(bench);
    const calls = bench.rows('call');
    expect(calls).toBeGreaterThan(2);
    bench.pass(DAY);
    day(bench);
    pruneAll(bench);
    expect(counts()).toMatchObject({ accepted: 2, ignored: 2, refused: 2 });
    bench.pass(1.5 * DAY);
    pruneAll(bench);
    expect(counts()).toMatchObject({ accepted: 2, ignored: 1, refused: 2 });
    bench.pass(28 * DAY);
    bench.count(1);
    pruneAll(bench);
    expect(counts()).toEqual(expect.objectContaining({ accepted: 3, refused: 1 }));
    expect(counts()).not.toHaveProperty('ignored');
    expect(bench.rows('call')).toBeGreaterThanOrEqual(calls);
    bench.pass(70 * DAY);
    bench.count(1);
    bench.deliver();
    pruneAll(bench);
    expect(counts()).toMatchObject({ accepted: 2 });
    const oldest = bench.now - 90 * DAY_MS;
    expect(bench.query(`SELECT 1 FROM call WHERE started_ms < ${oldest}`)).toEqual([]);
    // The last line of each table stays, so that numbers go on.
    expect(bench.query(`SELECT 1 FROM note WHERE at_ms < ${oldest}`)).toHaveLength(1);
    expect(bench.key('opens', TODAY)).toBeDefined();
    expect(bench.key('opens', addDays(TODAY, 1))).toBeDefined();
  });

  test('works in bounded steps, and says when there is more to do', () => {
    const bench = new Bench(undefined, { retention: { rowsPerStep: 10 } });
    for (let n = 0; n < 35; n += 1) bench.enter({ verdict: 'ignored' });
    bench.pass(3 * DAY);
    bench.enter({ verdict: 'ignored' });
    const steps: Pruned[] = [];
    do steps.push(bench.ledger.retention.prune(bench.now));
    while (steps.at(-1)?.isDone === false);
    expect(steps.map(({ deleted }) => deleted)).toEqual([10, 10, 10, 5]);
    expect(bench.rows('reading')).toBe(1);
  });

  test('does not look at the same rows again and again', () => {
    const bench = new Bench(undefined, { retention: { rowsPerStep: 10 } });
    for (let n = 0; n < 25; n += 1) bench.count(1);
    bench.enter({ verdict: 'ignored' });
    bench.pass(3 * DAY);
    bench.enter({ verdict: 'ignored' });
    expect(pruneAll(bench)).toBe(1);
    expect(bench.ledger.retention.prune(bench.now)).toEqual({ deleted: 0, isDone: true, isShortened: false });
    bench.close();
    bench.pass(3 * DAY);
    bench.enter({ verdict: 'ignored' });
    expect(bench.ledger.retention.prune(bench.now)).toMatchObject({ deleted: 1, isDone: true });
  });

  test('goes on after everything was forgotten: numbers do not begin anew below what was looked at', () => {
    const bench = new Bench();
    for (let round = 0; round < 3; round += 1) {
      bench.enter({ verdict: 'ignored' });
      bench.enter({ verdict: 'ignored' });
      bench.pass(3 * DAY);
      pruneAll(bench);
      expect(bench.rows('reading')).toBe(1);
    }
  });

  test('forgets nothing by a clock that stands behind what was recorded', () => {
    const bench = new Bench();
    bench.enter({ verdict: 'ignored' });
    bench.enter({ verdict: 'ignored' });
    expect(bench.ledger.retention.prune(0 as EpochMs).deleted).toBe(0);
    expect(bench.rows('reading')).toBe(2);
  });

  test('is not held up by a reading that a wrong clock dated into the future', () => {
    const bench = new Bench();
    bench.enter({ verdict: 'ignored' });
    bench.enter({ verdict: 'ignored', receivedAt: (bench.now + 5_000 * DAY_MS) as EpochMs });
    bench.enter({ verdict: 'ignored' });
    bench.pass(3 * DAY);
    bench.enter({ verdict: 'ignored' });
    expect(pruneAll(bench)).toBe(3);
  });

  test('forgets identities after 7 days, and the memory of topics a year after its last change', () => {
    const bench = new Bench();
    const { journal } = bench.ledger;
    const remember = (topic: string): void =>
      journal.transact(() => {
        journal.isNewIdentity('m', topic, '1', bench.now);
        journal.putState('m', topic, { kind: 'seen' }, undefined);
      });
    remember('silent');
    remember('alive');
    pruneAll(bench);
    bench.pass(8 * DAY);
    pruneAll(bench);
    expect(bench.rows('identity')).toBe(0);
    bench.pass(200 * DAY);
    journal.transact(() => {
      journal.putState('m', 'alive', { kind: 'seen', countedAt: bench.now }, undefined);
      journal.add({
        receivedAt: bench.now,
        topic: 'alive',
        verdict: 'accepted',
        delivery: undefined,
        contributions: [],
        reason: undefined,
        sample: undefined,
      });
    });
    bench.pass(200 * DAY);
    pruneAll(bench);
    expect(bench.query('SELECT topic FROM mapping_state')).toEqual([{ topic: 'alive' }]);
  });

  test('keeps the newest where there are too many identities or topics', () => {
    const bench = new Bench(undefined, { retention: { mostIdentities: 3, mostStates: 2 } });
    const { journal } = bench.ledger;
    for (let n = 0; n < 5; n += 1) {
      bench.pass(1);
      journal.transact(() => {
        journal.isNewIdentity('m', 'door', String(n), bench.now);
        journal.putState('m', `door ${n}`, { kind: 'seen' }, undefined);
      });
      bench.enter({ verdict: 'ignored' });
      pruneAll(bench);
    }
    expect(bench.query('SELECT identity FROM identity ORDER BY seen_ms')).toEqual([
      { identity: '2' },
      { identity: '3' },
      { identity: '4' },
    ]);
    expect(bench.rows('mapping_state')).toBe(2);
  });

  test('shortens the history before the database is too large, and keeps what redeliveries need', () => {
    const bench = new Bench(undefined, { retention: { mostBytes: 2_000_000 } });
    const { journal } = bench.ledger;
    const fill = (): void =>
      journal.transact(() => {
        for (let n = 0; n < 15_000; n += 1) {
          journal.add({
            receivedAt: bench.now,
            topic: 'meter/of/some/length',
            verdict: 'accepted',
            delivery: undefined,
            contributions: [{ kind: 'sum', attribute: 'power', day: TODAY, amount: units(1) }],
            reason: undefined,
            sample: undefined,
          });
        }
      });
    fill();
    fill();
    expect(bench.ledger.retention.prune(bench.now)).toMatchObject({ deleted: 5_000, isShortened: true });
    pruneAll(bench);
    expect(bench.rows('reading')).toBe(20_000);
    expect(bench.total('power')).toBe(30_000);
  });

  test('in years of a busy house leaves a file that does not grow', () => {
    const bench = new Bench(undefined, { retention: { explainedMs: 5 * DAY_MS } });
    const sizes: number[] = [];
    for (let n = 0; n < 40; n += 1) {
      const { journal } = bench.ledger;
      journal.transact(() => {
        for (let line = 0; line < 500; line += 1) {
          journal.add({
            receivedAt: bench.now,
            topic: 'meter',
            verdict: 'accepted',
            delivery: undefined,
            contributions: [{ kind: 'sum', attribute: 'power', day: TODAY, amount: units(1) }],
            reason: undefined,
            sample: undefined,
          });
        }
      });
      bench.pass(DAY);
      pruneAll(bench);
      sizes.push(Number(bench.query<{ page_count: number }>('PRAGMA page_count')[0]?.page_count));
    }
    expect(sizes.at(-1)).toBeLessThanOrEqual((sizes[10] ?? 0) + 4);
  });
});
