import { copyFileSync, existsSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { MARK_FILE } from '../../src/ledger/files.ts';
import { SendMark } from '../../src/ledger/send-mark.ts';
import { keyOf } from '../../src/core/delivery/state.ts';
import { Bench, TODAY, units } from './setup.ts';
import { temporaryFolder } from '../support/folder.ts';

/** Three opens sent; then a copy is made; then, unknown to the copy, what `after` does. */
function putBack(before: (bench: Bench) => void, after: (bench: Bench) => void): Bench {
  const bench = new Bench();
  bench.count(3);
  bench.deliver();
  before(bench);
  bench.close();
  const copy = path.join(bench.folder, 'copy');
  copyFileSync(bench.file, copy);
  after(bench);
  bench.close();
  copyFileSync(copy, bench.file);
  bench.pass(10);
  return bench;
}

/** A copy that takes 70 for unwritten; since then that was, and 71 after it. */
function putBackBeforeAnotherValue(): Bench {
  return putBack(
    (before) => before.set(70),
    (after) => {
      after.deliver();
      after.set(71);
      after.deliver();
    },
  );
}

const countTwoMore = (bench: Bench): void => bench.count(2);
const deliver = (bench: Bench): void => bench.deliver();

describe('a database that is older than the last call', () => {
  test('holds what it takes for unsent, says so, and sends nothing twice', () => {
    const bench = putBack(countTwoMore, deliver);
    expect(bench.atExist()).toBe(5);

    bench.restartDelivery();
    bench.pass(10);
    bench.deliver();

    expect(bench.atExist()).toBe(5);
    expect(bench.key()?.held?.state).toBe('conflict');
    expect(bench.key()?.held?.reason).toMatch(/older copy of the database was put back/);
    expect(bench.reports).toMatchObject([{ kind: 'older-copy', held: { amounts: 1 } }]);
    expect(bench.reports[0]?.message).toMatch(/held for you to decide/);
  });

  test('is taken for the latest where nothing was sent since: its amounts go out', () => {
    const bench = putBack(countTwoMore, () => undefined);
    bench.restartDelivery();
    bench.deliver();
    expect(bench.reports).toEqual([]);
    expect(bench.atExist()).toBe(5);
  });

  test.each([
    ['count', 5],
    ['drop', 5],
    ['retry', 7],
  ] as const)('lets the user settle what it held (%s), and goes on counting from there', (how, expected) => {
    const bench = putBack(countTwoMore, deliver);
    bench.restartDelivery();
    bench.settle(how);
    expect(bench.atExist()).toBe(expected);
    bench.pass(10);
    bench.count(1);
    bench.deliver();
    bench.pass(2_000);
    bench.deliver();
    expect(bench.atExist()).toBe(expected + 1);
  });

  /** 2 delivered, 3 more open in the copy, which the database that is no more has delivered: 5 at Exist. */
  const fiveAtExist = (): Bench => {
    const bench = new Bench();
    bench.count(2);
    bench.deliver();
    bench.count(3);
    bench.close();
    const copy = path.join(bench.folder, 'copy');
    copyFileSync(bench.file, copy);
    bench.deliver();
    bench.close();
    copyFileSync(copy, bench.file);
    bench.pass(10);
    return bench;
  };

  test('shows soon what stands at Exist beside what it holds, and decides nothing by it', () => {
    const bench = fiveAtExist();
    expect(bench.key()).toMatchObject({ seen: null, seenAt: null, held: { state: 'conflict' } });
    const before = bench.key();
    bench.restartDelivery();
    expect(bench.key()).toEqual({ ...before, seen: units(5), seenAt: bench.now });
    bench.close();
    bench.pass(24 * 60);
    bench.exist.edit(keyOf('opens', TODAY), units(6));
    bench.deliver();
    expect(bench.key()).toEqual({ ...before, seen: units(6), seenAt: bench.now });
  });

  describe.each([
    ['that Exist was looked at', (bench: Bench) => bench.restartDelivery()],
    ['before Exist was looked at', () => undefined],
  ])('is settled %s', (_when, begin) => {
    test.each([
      ['count', 5],
      ['retry', 8],
      ['drop', 5],
      ['set', 5],
    ] as const)(
      'by %s: %i stand at Exist, also after all looks, and later counts add up',
      (how, expected) => {
        const bench = fiveAtExist();
        begin(bench);
        if (how === 'set') bench.settleTo(5);
        else bench.settle(how);
        bench.deliver();
        expect(bench.atExist()).toBe(expected);
        bench.count(1);
        for (const minutes of [10, 60, 24 * 60, 24 * 60, 24 * 60]) {
          bench.pass(minutes);
          bench.deliver();
          expect(bench.atExist()).toBe(expected + 1);
        }
        const dropped = how === 'drop' ? 3 : 0;
        const ours = 2 + 3 + 1 - dropped;
        expect(bench.key()).toMatchObject({
          total: units(6),
          dropped: units(dropped),
          ours: units(ours),
          base: units(expected + 1 - ours),
          held: null,
          repair: false,
        });
      },
    );

    test.each([
      ['count', 71],
      ['drop', 71],
      ['retry', 70],
    ] as const)('by %s where it is a value: %i stands at Exist, also after all looks', (how, expected) => {
      const bench = putBackBeforeAnotherValue();
      begin(bench);
      bench.settle(how, 'weight');
      for (const minutes of [10, 60, 24 * 60, 24 * 60]) {
        bench.pass(minutes);
        bench.deliver();
        expect(bench.atExist('weight')).toBe(expected);
      }
    });
  });

  test('does not set back what went on without it, though the ledger of a strict attribute wins', () => {
    const bench = putBack(
      () => undefined,
      (later) => {
        later.count(4);
        later.deliver();
      },
    );
    expect(bench.key()).toMatchObject({ held: null });
    bench.restartDelivery();
    bench.pass(5);
    bench.count(1);
    bench.deliver();
    bench.pass(2_000);
    bench.deliver();
    expect(bench.ledger.delivery.attributes().get('opens')?.mode).toBe('strict');
    expect(bench.atExist()).toBe(3 + 4 + 1);
  });

  test('holds a call that it has on its way', () => {
    const bench = putBack(
      (before) => {
        before.count(2);
        before.beginCall();
      },
      (after) => {
        after.restartDelivery();
        after.pass(10);
        after.deliver();
      },
    );
    const before = bench.atExist();
    bench.restartDelivery();
    bench.pass(10);
    bench.deliver();
    expect(bench.key()?.held?.state).toBe('conflict');
    expect(bench.atExist()).toBe(before);
    expect(bench.ledger.delivery.account().call).toBeNull();
  });

  test('holds a value that it takes for unwritten', () => {
    const bench = putBackBeforeAnotherValue();
    bench.restartDelivery();
    bench.deliver();
    expect(bench.key('weight')?.held?.state).toBe('conflict');
    expect(bench.atExist('weight')).toBe(71);
    bench.settle('retry', 'weight');
    expect(bench.atExist('weight')).toBe(70);
  });

  test('begins meters and intervals anew, and keeps what is open or shut', () => {
    const bench = putBack((before) => {
      const { journal } = before.ledger;
      journal.transact(() => {
        journal.putState('m', 'meter', { kind: 'rise', last: 5 as never }, undefined);
        journal.putState('m', 'door', { kind: 'change', inside: true, holdingSince: before.now }, before.now);
      });
      before.count(1);
    }, deliver);
    const { journal } = bench.ledger;
    expect(journal.state('m', 'meter')).toBeUndefined();
    expect(journal.state('m', 'door')).toEqual({ kind: 'change', inside: true });
    expect(journal.due()).toEqual([]);
    expect(bench.reports[0]?.held.forgotten).toBe(1);
  });

  test('counts its calls on from the last one that was made', () => {
    const bench = putBack(countTwoMore, deliver);
    const { lastCallId } = bench.ledger.delivery.account();
    expect(new SendMark(bench.folder).read()).toMatchObject({ lastCallId });
    bench.close();
    expect(bench.ledger.delivery.account().lastCallId).toBe(lastCallId);
    expect(bench.reports).toHaveLength(1);
  });

  test.each([
    ['missing', (file: string) => rmSync(file)],
    ['unreadable', (file: string) => truncateSync(file, 10)],
  ])('is suspected where the mark is %s', (_, spoil) => {
    const bench = new Bench();
    bench.count(3);
    bench.deliver();
    bench.count(2);
    bench.close();
    spoil(path.join(bench.folder, MARK_FILE));
    expect(bench.key()?.held?.reason).toMatch(/mqtt2exist.sent/);
    expect(bench.reports).toMatchObject([{ kind: 'older-copy', held: { amounts: 1 } }]);
  });

  test('is suspected where it is of another bridge', () => {
    const one = new Bench();
    one.count(3);
    one.deliver();
    const other = new Bench();
    other.count(2);
    other.close();
    one.close();
    copyFileSync(other.file, one.file);
    expect(one.key()?.held?.reason).toMatch(/another bridge/);
  });
});

describe('a new folder', () => {
  test('gets a database, a mark and no alarm', () => {
    const bench = new Bench();
    expect(bench.ledger.bridgeId).toMatch(/^[0-9a-f]{8}$/);
    expect(bench.reports).toEqual([]);
    expect(new SendMark(bench.folder).read()).toEqual({ bridgeId: bench.ledger.bridgeId, lastCallId: 0 });
  });
});

describe('the send mark', () => {
  test('keeps the call before where a write was torn', () => {
    const folder = temporaryFolder();
    const file = path.join(folder, MARK_FILE);
    const mark = new SendMark(folder);
    mark.reset({ bridgeId: '0123abcd', lastCallId: 0 });
    for (let lastCallId = 1; lastCallId <= 3; lastCallId += 1)
      mark.advance({ bridgeId: '0123abcd', lastCallId });
    mark.close();
    expect(mark.read()).toEqual({ bridgeId: '0123abcd', lastCallId: 3 });
    truncateSync(file, 520);
    expect(mark.read()).toEqual({ bridgeId: '0123abcd', lastCallId: 2 });
  });

  test('says nothing where it is all zeros', () => {
    const folder = temporaryFolder();
    writeFileSync(path.join(folder, MARK_FILE), Buffer.alloc(528));
    expect(new SendMark(folder).read()).toBe('unreadable');
  });

  test('is written before the call leaves', () => {
    const bench = new Bench();
    bench.count(1);
    bench.beginCall();
    const { lastCallId, call } = bench.ledger.delivery.account();
    expect(call?.id).toBe(lastCallId);
    expect(new SendMark(bench.folder).read()).toMatchObject({ lastCallId });
    expect(existsSync(bench.file)).toBe(true);
  });
});
