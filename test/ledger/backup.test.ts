import {
  chmodSync,
  copyFileSync,
  existsSync,
  readFileSync,
  readdirSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, test } from 'vitest';
import { newLogin } from '../../src/core/authorization.ts';
import { backup, restore } from '../../src/ledger/backup.ts';
import { DatabaseError } from '../../src/ledger/database.ts';
import { SendMark } from '../../src/ledger/send-mark.ts';
import { Places } from '../security/search.ts';
import { temporaryFolder } from '../support/folder.ts';
import { Bench, TODAY } from './setup.ts';

/** Three opens sent, two more open. */
function used(): Bench {
  const bench = new Bench();
  bench.count(3);
  bench.deliver();
  bench.count(2);
  return bench;
}

function problemOf(work: () => unknown): string | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error;
    return error.problem;
  }
}

describe('backup', () => {
  test('beside the running daemon makes one whole, private file and tells what it holds', () => {
    const bench = used();
    const to = path.join(temporaryFolder(), 'backup.db');

    const info = backup(bench.folder, to, bench.now);

    expect(info).toMatchObject({
      file: to,
      madeAt: bench.now,
      bridgeId: bench.ledger.bridgeId,
      firstDay: TODAY,
      lastDay: TODAY,
      readings: 2,
      open: [{ attribute: 'opens', day: TODAY, amount: 2 }],
    });
    expect(statSync(to).mode & 0o777).toBe(0o600);
    expect(readdirSync(path.dirname(to))).toEqual(['backup.db']);
    bench.count(1);
    bench.deliver();
    expect(bench.atExist()).toBe(6);
  });

  test('has no tokens in it, not even in pages that SQLite no longer uses', () => {
    const bench = used();
    const issuer = { url: 'https://exist.io', clientId: 'bridge' };
    const tokens = { access: 'x7QaccessZ2w', refresh: 'x7QrefreshZ2w' };
    bench.ledger.login.save(issuer, newLogin('one', { ...tokens, scope: '' }, bench.now));
    const to = path.join(temporaryFolder(), 'backup.db');
    backup(bench.folder, to, bench.now);
    const places = new Places();
    places.addFiles(path.dirname(to));
    expect(places.whereabouts(tokens)).toEqual([]);
    expect(bench.ledger.login.load(issuer)).toMatchObject(tokens);
    bench.close();
    restore(to, bench.folder);
    const restored = new Bench(bench.folder);
    expect(restored.ledger.login.load(issuer)).toBeNull();
    restored.close();
  });

  test('has all that is committed, though it is still in the WAL alone', () => {
    const bench = used();
    expect(statSync(`${bench.file}-wal`).size).toBeGreaterThan(0);
    const to = path.join(temporaryFolder(), 'backup.db');
    backup(bench.folder, to);
    const db = new Database(to, { readonly: true });
    expect(db.prepare('SELECT total FROM ledger').get()).toEqual({ total: 5_000_000 });
    db.close();
  });

  test('replaces an older backup, and no other file', () => {
    const bench = used();
    const folder = temporaryFolder();
    const to = path.join(folder, 'backup.db');
    backup(bench.folder, to);
    bench.count(1);
    expect(backup(bench.folder, to).open).toMatchObject([{ amount: 3 }]);
    const other = path.join(folder, 'letter.txt');
    writeFileSync(other, 'Dear sister,');
    expect(problemOf(() => backup(bench.folder, other))).toBe('io');
    expect(readFileSync(other, 'utf8')).toBe('Dear sister,');
    expect(problemOf(() => backup(bench.folder, bench.file))).toBe('io');
    expect(readdirSync(folder).sort()).toEqual(['backup.db', 'letter.txt']);
  });

  test('names what is missing: the database, the folder to write to', () => {
    const bench = used();
    const folder = temporaryFolder();
    expect(() => backup(folder, path.join(folder, 'b'))).toThrow('there is no database');
    expect(problemOf(() => backup(bench.folder, path.join(folder, 'no', 'such', 'folder')))).toBe('io');
  });
});

describe('restore', () => {
  /** A backup of `used`, then all sent. */
  function withBackup(): { bench: Bench; from: string } {
    const bench = used();
    const from = path.join(temporaryFolder(), 'backup.db');
    backup(bench.folder, from, bench.now);
    bench.deliver();
    bench.close();
    bench.pass(60);
    return { bench, from };
  }

  test('puts the backup in place, holds its open amounts, and keeps the database that was there', () => {
    const { bench, from } = withBackup();

    const restored = restore(from, bench.folder, { now: bench.now });

    expect(restored).toMatchObject({ held: { amounts: 1 }, isDryRun: false });
    expect(restored.setAside).toMatch(/mqtt2exist\.db\.replaced-20261124T090000Z$/);
    expect(existsSync(restored.setAside ?? '')).toBe(true);
    bench.restartDelivery();
    bench.pass(10);
    bench.deliver();
    expect(bench.atExist()).toBe(5);
    expect(bench.key()?.held).toMatchObject({
      state: 'conflict',
      reason: expect.stringContaining('the backup of 2026-11-24T08:00:00.000Z was restored') as string,
    });
    // Said by the restore; the start finds nothing more to say.
    expect(bench.reports).toEqual([]);
    bench.settle('count');
    bench.count(1);
    bench.deliver();
    expect(bench.atExist()).toBe(6);
  });

  test('works on a machine that never had the database, and keeps the bridge id', () => {
    const { bench, from } = withBackup();
    const { bridgeId } = bench.ledger;
    bench.close();
    const elsewhere = new Bench(path.join(temporaryFolder(), 'data'));
    expect(restore(from, elsewhere.folder)).toMatchObject({ setAside: null, held: { amounts: 1 } });
    expect(new SendMark(elsewhere.folder).read()).toMatchObject({ bridgeId });
    expect(elsewhere.ledger.bridgeId).toBe(bridgeId);
    expect(elsewhere.reports).toEqual([]);
    expect(elsewhere.key()?.held?.state).toBe('conflict');
  });

  test('begins meters anew where calls went out since, and lets them go on where none did', () => {
    const bench = used();
    const { journal } = bench.ledger;
    journal.transact(() => journal.putState('m', 'meter', { kind: 'rise', last: 5 as never }, undefined));
    const from = path.join(temporaryFolder(), 'backup.db');
    backup(bench.folder, from);
    bench.close();
    expect(restore(from, bench.folder).held).toEqual({ amounts: 1, forgotten: 0, undated: 0 });
    bench.settle('retry');
    bench.close();
    expect(restore(from, bench.folder).held).toEqual({ amounts: 1, forgotten: 1, undated: 0 });
  });

  test('as a dry run tells what would be done, and does nothing', () => {
    const { bench, from } = withBackup();
    const before = readFileSync(bench.file);
    const { info, setAside, isDryRun } = restore(from, bench.folder, { isDryRun: true });
    expect(info.open).toEqual([{ attribute: 'opens', day: TODAY, amount: 2 }]);
    expect({ setAside, isDryRun }).toEqual({ setAside: null, isDryRun: true });
    expect(readFileSync(bench.file).equals(before)).toBe(true);
    expect(readdirSync(path.dirname(from))).toEqual(['backup.db']);
  });

  test('is refused while the daemon runs', () => {
    const { bench, from } = withBackup();
    expect(bench.ledger.isOpen).toBe(true);
    expect(problemOf(() => restore(from, bench.folder))).toBe('locked');
    expect(problemOf(() => restore(from, bench.folder, { isDryRun: true }))).toBeUndefined();
  });

  test.each([
    [
      'a file that is no database',
      'damaged',
      (file: string) => writeFileSync(file, Buffer.alloc(5_000, 'x')),
    ],
    ['a backup cut short', 'damaged', (file: string) => truncateSync(file, 8_192)],
    [
      'another program’s database',
      'foreign',
      (file: string) => {
        writeFileSync(file, '');
        const db = new Database(file);
        db.exec('CREATE TABLE photos (name TEXT)');
        db.close();
      },
    ],
    [
      'a backup of a newer version',
      'newer',
      (file: string) => {
        const db = new Database(file);
        db.pragma('user_version = 99');
        db.close();
      },
    ],
  ])('refuses %s and leaves everything as it is', (_, problem, spoil) => {
    const { bench, from } = withBackup();
    spoil(from);
    const before = readdirSync(bench.folder).sort();
    expect(problemOf(() => restore(from, bench.folder))).toBe(problem);
    expect(readdirSync(bench.folder).sort()).toEqual(before);
    bench.restartDelivery();
    expect(bench.atExist()).toBe(5);
    expect(bench.reports).toEqual([]);
  });

  test('takes a plain copy of the files as well, WAL included', () => {
    const bench = used();
    const folder = temporaryFolder();
    const from = path.join(folder, 'copy.db');
    copyFileSync(bench.file, from);
    copyFileSync(`${bench.file}-wal`, `${from}-wal`);
    chmodSync(from, 0o400);
    bench.deliver();
    bench.close();
    const restored = restore(from, bench.folder);
    expect(restored.info).toMatchObject({ madeAt: null, open: [{ amount: 2 }] });
    expect(bench.key()?.held?.reason).toMatch(/a backup of unknown age/);
  });
});
