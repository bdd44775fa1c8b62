/** What a backup does not know, or not surely, after its restore. */
import path from 'node:path';
import { expect, test } from 'vitest';
import { backup, restore } from '../../src/ledger/backup.ts';
import { Bench } from './setup.ts';
import { temporaryFolder } from '../support/folder.ts';

/** Three opens that Exist has, and two whose increment was lost. */
function withLostIncrement(): Bench {
  const bench = new Bench();
  bench.count(3);
  bench.deliver();
  bench.pass(10);
  bench.count(2);
  bench.deliver('lost');
  bench.pass(10);
  return bench;
}

/** The two are booked, and to be set right. */
function withDueRepair(more = ''): Bench {
  const bench = withLostIncrement();
  bench.meddle(
    `UPDATE ledger SET flight = 'none', flight_amount = 0, ours = 5000000, repair = 1, seen = '3000000',
       open_since_ms = NULL ${more}`,
  );
  return bench;
}

/** Lets all that is due within the hour be done. */
function look(bench: Bench): void {
  for (const minutes of [10, 60]) {
    bench.pass(minutes);
    bench.deliver();
  }
}

function putBack(bench: Bench): number {
  const file = path.join(temporaryFolder(), 'backup.db');
  backup(bench.folder, file, bench.now);
  bench.close();
  const { held } = restore(file, bench.folder, { now: bench.now });
  bench.restartDelivery();
  return held.amounts;
}

test('a repair that was refused and is held keeps its amount, and what is settled arrives', () => {
  const bench = withDueRepair(", held_state = 'refused', held_reason = 'no', held_since_ms = 1");
  expect(putBack(bench)).toBe(1);
  bench.settle('retry');
  look(bench);
  expect(bench.atExist()).toBe(5);
});

test('a repair that is due is among what a backup says is open', () => {
  const bench = withDueRepair();
  const { open } = backup(bench.folder, path.join(temporaryFolder(), 'backup.db'), bench.now);
  expect(open).toMatchObject([{ attribute: 'opens', amount: 2 }]);
});

test('a repair that was due is held, and not forgotten', () => {
  const bench = withDueRepair();
  expect(putBack(bench)).toBe(1);
  expect(bench.key()?.held?.state).toBe('conflict');
  bench.settle('retry');
  look(bench);
  expect(bench.atExist()).toBe(5);
});

test('counts that came behind a held conflict are held with it, and neither lost nor doubled', () => {
  const bench = withLostIncrement();
  // Of five, two are in conflict: they did not arrive. Three more wait behind them.
  bench.meddle(
    `UPDATE ledger SET flight = 'unknown', flight_since_ms = 1, flight_amount = 2000000, ours = 3000000,
       held_state = 'conflict', held_reason = 'who knows', held_since_ms = 1, open_since_ms = NULL`,
  );
  bench.count(3);
  expect(putBack(bench)).toBe(1);
  expect(bench.key()).toMatchObject({ flightAmount: 5_000_000, held: { state: 'conflict' } });
  for (const minutes of [10, 60]) {
    bench.pass(minutes);
    bench.deliver();
    expect(bench.atExist()).toBe(3);
  }
  bench.settle('retry');
  look(bench);
  expect(bench.atExist()).toBe(8);
});

test('the value that the backup says is written is written over a newer one that it knows nothing of', () => {
  const bench = new Bench();
  bench.set(71);
  bench.deliver();
  bench.pass(10);
  const file = path.join(temporaryFolder(), 'backup.db');
  backup(bench.folder, file, bench.now);
  bench.set(72);
  bench.pass(10);
  bench.deliver();
  expect(bench.atExist('weight')).toBe(72);
  bench.close();
  restore(file, bench.folder, { now: bench.now });
  bench.restartDelivery();
  bench.set(71);
  look(bench);
  expect(bench.atExist('weight')).toBe(71);
});
