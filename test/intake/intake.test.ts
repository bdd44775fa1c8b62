import path from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Operation } from '../../src/core/mapping/mapping.ts';
import { DATABASE_FILE } from '../../src/ledger/database.ts';
import { TestClock } from '../support/clock.ts';
import { temporaryFolder } from '../support/folder.ts';
import { DOOR_OPENS, EACH, ONE, rule, setup } from './setup.ts';

function onDisk(folder: string): number {
  const db = new Database(path.join(folder, DATABASE_FILE), { readonly: true });
  try {
    const row = db.prepare<[], { total: number | null }>('SELECT sum(total) AS total FROM ledger').get();
    return (row?.total ?? 0) / ONE;
  } finally {
    db.close();
  }
}

describe('a replay', () => {
  test('sets the state and counts nothing; the change after it counts', async () => {
    const { publish, total } = setup([rule(DOOR_OPENS)]);
    await publish('closed');
    await publish('open', { retain: true, replay: true });
    expect(total()).toBeUndefined();
    await publish('closed');
    await publish('open');
    expect(total()).toBe(1);
  });

  test('of a button press counts nothing', async () => {
    const { publish, total } = setup([rule(EACH)]);
    await publish('pressed', { retain: true, replay: true });
    expect(total()).toBeUndefined();
    await publish('pressed', { retain: true });
    expect(total()).toBe(1);
  });

  test('that comes before the time is known is one when it is dated', async () => {
    const time: { zone?: string } = {};
    const { publish, total, intake, ledger } = setup([rule(EACH)], { zone: () => time.zone });
    await publish('pressed', { retain: true, replay: true });
    await publish('pressed');
    time.zone = 'Europe/Berlin';
    intake.timeKnown();
    while (ledger.journal.undatedCount() > 0) await new Promise((resolve) => setImmediate(resolve));
    expect(total()).toBe(1);
  });
});

describe('a broker that sends again after hours', () => {
  const late = { packetId: 7, clientId: 'source:home:1', redeliveredWithinMs: Number.POSITIVE_INFINITY };

  test('counts nothing again, also after a restart', async () => {
    const first = setup([rule(EACH)]);
    await first.publish('pressed', late);
    await first.stop();
    const clock = new TestClock('2026-11-24T22:00:00Z');
    const { publish, total } = setup([rule(EACH)], { folder: first.folder, clock });
    expect(await publish('pressed', { ...late, dup: true })).toBe(true);
    expect(total()).toBe(1);
  });

  test('counts again where its session is another', async () => {
    const { publish, total } = setup([rule(EACH)]);
    await publish('pressed', late);
    expect(await publish('pressed', { ...late, clientId: 'source:home:2', dup: true })).toBe(false);
    expect(total()).toBe(2);
  });

  test('is no reason to believe a device after hours', async () => {
    const { publish, total, clock } = setup([rule(EACH)]);
    await publish('pressed', { packetId: 7 });
    clock.advanceTo('2026-11-24T15:00:00Z');
    expect(await publish('pressed', { packetId: 7, dup: true })).toBe(false);
    expect(total()).toBe(2);
  });
});

describe('an acknowledged publish', () => {
  test('is committed, with its contribution, before it is acknowledged', async () => {
    const { publish, folder } = setup([rule(EACH)]);
    const pending = publish('pressed');
    expect(onDisk(folder)).toBe(0);
    await pending;
    expect(onDisk(folder)).toBe(1);
  });

  test('on a topic that no mapping wants is acknowledged and leaves nothing', async () => {
    const { publish, ledger } = setup([rule(EACH)]);
    await publish('pressed', { topic: 'elsewhere' });
    expect(ledger.journal.counters).toEqual({ accepted: 0, ignored: 0, refused: 0, duplicates: 0 });
  });

  test('that cannot be read is recorded as refused, with its reason and a sample', async () => {
    const { publish, ledger } = setup([rule({ kind: 'add' })]);
    await publish('a lot');
    expect(ledger.journal.counters.refused).toBe(1);
    expect(ledger.journal.refused(5)).toMatchObject([{ topic: 'door', payload: 'a lot' }]);
  });

  test('with QoS 0 and without any effect costs no write', async () => {
    const { publish, folder } = setup([rule(DOOR_OPENS)]);
    await publish('closed', { packetId: undefined });
    await publish('closed', { packetId: undefined });
    const db = new Database(path.join(folder, DATABASE_FILE), { readonly: true });
    onTestFinished(() => void db.close());
    expect(db.prepare('SELECT count(*) AS n FROM reading').get()).toEqual({ n: 0 });
  });
});

describe('a redelivery', () => {
  test('counts once', async () => {
    const { publish, total, ledger } = setup([rule(EACH)]);
    expect(await publish('pressed', { packetId: 7 })).toBe(false);
    expect(await publish('pressed', { packetId: 7, dup: true })).toBe(true);
    expect(total()).toBe(1);
    expect(ledger.journal.counters).toMatchObject({ accepted: 1, duplicates: 1 });
  });

  test('counts once within one group', async () => {
    const { publish, total } = setup([rule(EACH)]);
    const [first, second] = await Promise.all([
      publish('pressed', { packetId: 7 }),
      publish('pressed', { packetId: 7, dup: true }),
    ]);
    expect([first, second]).toEqual([false, true]);
    expect(total()).toBe(1);
  });

  test('counts once across an end of the daemon without warning', async () => {
    const folder = temporaryFolder();
    const before = setup([rule(EACH)], { folder });
    await before.publish('pressed', { packetId: 7 });
    await before.stop();
    const after = setup([rule(EACH)], { folder });
    expect(await after.publish('pressed', { packetId: 7, dup: true })).toBe(true);
    expect(after.total()).toBe(1);
  });

  test.each([
    ['no DUP flag', { dup: false }],
    ['another packet id', { packetId: 8 }],
    ['another client', { clientId: 'other' }],
    ['another topic', { topic: 'door/2' }],
  ])('is not seen in a publish with %s', async (_what, differs) => {
    const { publish, total } = setup([rule(EACH, {}, 'door/#')]);
    await publish('pressed', { packetId: 7 });
    await publish('pressed', { packetId: 7, dup: true, ...differs });
    expect(total()).toBe(2);
  });

  test('is not seen in a publish with another payload', async () => {
    const { publish, total } = setup([rule(EACH)]);
    await publish('pressed', { packetId: 7 });
    await publish('pressed again', { packetId: 7, dup: true });
    expect(total()).toBe(2);
  });

  test('is not seen after ten minutes', async () => {
    const { publish, total, clock } = setup([rule(EACH)]);
    await publish('pressed', { packetId: 7 });
    clock.advanceTo('2026-11-24T12:10:01Z');
    await publish('pressed', { packetId: 7, dup: true });
    expect(total()).toBe(2);
  });

  test('is not seen in a packet id whose QoS 2 exchange is over', async () => {
    const { publish, total, intake } = setup([rule(EACH)]);
    await publish('pressed', { packetId: 7 });
    intake.released('esp', 7);
    await publish('pressed', { packetId: 7, dup: true });
    expect(total()).toBe(2);
  });
});

describe('a message with an identity of its own', () => {
  test('counts once however it comes again', async () => {
    const { publish, total, ledger } = setup([rule(EACH, { value: 'event', id: 'boot & "/" & seq' })]);
    const payload = JSON.stringify({ event: 'press', boot: 'a', seq: 1 });
    await publish(payload);
    await publish(payload, { clientId: 'restarted' });
    await Promise.all([publish(payload), publish(JSON.stringify({ event: 'press', boot: 'a', seq: 2 }))]);
    expect(total()).toBe(2);
    expect(ledger.journal.counters.duplicates).toBe(2);
  });
});

describe('a group that cannot be written', () => {
  test('is not acknowledged, and counts once when it is sent again', async () => {
    const { publish, total, folder, faults } = setup([rule(EACH)]);
    const other = new Database(path.join(folder, DATABASE_FILE));
    other.exec('BEGIN IMMEDIATE');
    await expect(publish('pressed', { packetId: 7 })).rejects.toThrow(/locked/);
    expect(faults).toHaveLength(1);
    other.exec('ROLLBACK');
    other.close();
    expect(await publish('pressed', { packetId: 7, dup: true })).toBe(false);
    expect(total()).toBe(1);
  });
});

describe('readings of one topic', () => {
  test('keep their order, whether their expressions answer at once or later', async () => {
    const door = rule(DOOR_OPENS, { value: '$lowercase(state)' });
    const { publish, total } = setup([door]);
    const states = ['open', 'closed', 'open', 'closed', 'open'];
    await Promise.all(states.map((state) => publish(JSON.stringify({ state: state.toUpperCase() }))));
    expect(total()).toBe(3);
  });
});

describe('state', () => {
  test('survives the end of the daemon', async () => {
    const folder = temporaryFolder();
    const before = setup([rule(DOOR_OPENS)], { folder });
    await before.publish('open');
    await before.stop();
    const after = setup([rule(DOOR_OPENS)], { folder });
    await after.publish('open');
    expect(after.total()).toBe(1);
    await after.publish('closed');
    await after.publish('open');
    expect(after.total()).toBe(2);
  });

  test('lets time count what lasts, split at local midnight', async () => {
    const running: Operation = { kind: 'duration', while: { kind: 'oneOf', values: ['on'] } };
    const { publish, total, clock } = setup([rule(running)]);
    clock.advanceTo('2026-11-24T22:30:00Z');
    await publish('on');
    clock.advanceTo('2026-11-25T00:00:00Z');
    expect(total('2026-11-24')).toBe(30);
    expect(total('2026-11-25')).toBe(60);
  });

  test('goes on counting what lasted while the daemon was away', async () => {
    const running: Operation = { kind: 'duration', while: { kind: 'oneOf', values: ['on'] } };
    const folder = temporaryFolder();
    const before = setup([rule(running)], { folder });
    await before.publish('on');
    await before.stop();
    const clock = new TestClock('2026-11-24T14:00:00Z');
    const after = setup([rule(running)], { folder, clock });
    await after.publish('off');
    expect(after.total()).toBe(120);
  });
});
