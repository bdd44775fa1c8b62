import { describe, expect, test } from 'vitest';
import { DatabaseError } from '../../src/ledger/database.ts';
import { openReadOnly } from '../../src/ledger/explanation.ts';
import { temporaryFolder } from '../support/folder.ts';
import { Bench, TODAY } from './setup.ts';

describe('an explanation', () => {
  test('of a total names every contribution with its running sum, and every call with its outcome', () => {
    const bench = new Bench();
    bench.count(1);
    bench.deliver();
    bench.pass(5);
    bench.count(1, 'opens', { topic: 'kitchen/other', verdict: 'timer' });
    bench.count(7, 'power');
    bench.enter({ verdict: 'ignored' });
    bench.deliver();
    bench.pass(5);
    bench.count(2);

    const found = bench.ledger.explain('opens', TODAY);

    expect(found).toMatchObject({
      attribute: 'opens',
      day: TODAY,
      exist: { existName: 'opens', valueType: 'integer', mode: 'strict', state: 'ready' },
      ledger: {
        kind: 'sum',
        total: 4,
        base: 0,
        ours: 2,
        open: 2,
        inFlight: 0,
        seen: 2,
        state: 'open',
        reason: null,
      },
      omitted: 0,
      unexplained: 0,
    });
    expect(found.contributions).toEqual([
      { at: bench.now - 600_000, topic: 'kitchen/fridge', verdict: 'accepted', amount: 1, sum: 1 },
      { at: bench.now - 300_000, topic: 'kitchen/other', verdict: 'timer', amount: 1, sum: 2 },
      { at: bench.now, topic: 'kitchen/fridge', verdict: 'accepted', amount: 2, sum: 4 },
    ]);
    expect(found.calls.filter(({ kind }) => kind === 'increment')).toMatchObject([
      {
        startedAt: bench.now - 600_000,
        finishedAt: bench.now - 600_000,
        value: 1,
        outcome: 'answered',
        detail: '200',
      },
      { startedAt: bench.now - 300_000, value: 1, outcome: 'answered' },
    ]);
    expect(found.calls[0]).toMatchObject({ kind: 'read', value: null });
    expect(found.notes).toMatchObject([{ text: expect.stringContaining('ready as') as string }]);
  });

  test('of an unknown outcome shows the call, the look, the repair and what was said about it', () => {
    const bench = new Bench();
    bench.count(3);
    bench.deliver('lost');
    expect(bench.ledger.explain('opens', TODAY).ledger).toMatchObject({
      state: 'unknown',
      inFlight: 3,
      open: 0,
    });
    bench.pass(5);
    bench.deliver();

    const { calls, notes, ledger } = bench.ledger.explain('opens', TODAY);
    expect(bench.atExist()).toBe(3);
    expect(calls.map(({ kind, outcome }) => `${kind} ${String(outcome)}`)).toEqual([
      'read answered',
      'increment unknown',
      'read answered',
      'update answered',
    ]);
    expect(notes.at(-1)?.text).toMatch(/setting it right/);
    expect(ledger).toMatchObject({ state: 'delivered', ours: 3 });
  });

  test('of a value shows what was written', () => {
    const bench = new Bench();
    bench.set(70.5);
    bench.deliver();
    bench.set(71);
    expect(bench.ledger.explain('weight', TODAY)).toMatchObject({
      ledger: { kind: 'value', total: 71, ours: 70.5, open: 71, state: 'open' },
      contributions: [
        { amount: 70.5, sum: null },
        { amount: 71, sum: null },
      ],
      unexplained: null,
      calls: [{ kind: 'update', value: 70.5 }],
    });
  });

  test('of a day without anything says so', () => {
    const bench = new Bench();
    expect(bench.ledger.explain('nonsense', TODAY)).toEqual({
      attribute: 'nonsense',
      day: TODAY,
      exist: null,
      ledger: null,
      contributions: [],
      omitted: 0,
      unexplained: null,
      calls: [],
      notes: [],
    });
  });

  test('tells how much of a total is no longer on record', () => {
    const bench = new Bench();
    bench.count(3);
    bench.count(1);
    bench.deliver();
    bench.close();
    bench.meddle('DELETE FROM reading WHERE seq = 1');
    expect(bench.ledger.explain('opens', TODAY)).toMatchObject({ unexplained: 3, ledger: { total: 4 } });
  });

  test('is not misled by a name inside of another, or by a topic that looks like one', () => {
    const bench = new Bench();
    bench.count(1);
    bench.count(5, 'power', { topic: `{"attribute":"opens","day":"${TODAY}"}` });
    expect(bench.ledger.explain('open', TODAY).contributions).toEqual([]);
    expect(bench.ledger.explain('opens', TODAY).contributions).toHaveLength(1);
  });

  test('lists the last ten thousand contributions, and sums over all', () => {
    const bench = new Bench();
    bench.ledger.journal.transact(() => {
      for (let n = 0; n < 25_000; n += 1) {
        bench.ledger.journal.add({
          receivedAt: bench.now,
          topic: 'meter',
          verdict: 'accepted',
          delivery: undefined,
          contributions: [{ kind: 'sum', attribute: 'power', day: TODAY, amount: 1_000_000 as never }],
          reason: undefined,
          sample: undefined,
        });
      }
    });
    const { contributions, omitted, unexplained } = bench.ledger.explain('power', TODAY);
    expect(contributions).toHaveLength(10_000);
    expect(omitted).toBe(15_000);
    expect(contributions.at(-1)?.sum).toBe(25_000);
    expect(unexplained).toBe(0);
  });

  test('can be read beside the running daemon, which goes on writing', () => {
    const bench = new Bench();
    bench.count(1);
    const reader = openReadOnly(bench.folder);
    expect(reader.attributes()).toEqual(['opens', 'power', 'weight']);
    expect(reader.explain('opens', TODAY)).toEqual(bench.ledger.explain('opens', TODAY));
    bench.count(1);
    expect(reader.explain('opens', TODAY).ledger?.total).toBe(2);
    reader.close();
    bench.close();
    const alone = openReadOnly(bench.folder);
    expect(alone.explain('opens', TODAY).ledger?.total).toBe(2);
    alone.close();
  });

  test('needs a database', () => {
    expect(() => openReadOnly(temporaryFolder())).toThrow(DatabaseError);
  });
});
