import { chmodSync, existsSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, test } from 'vitest';
import { Commits } from '../../src/ledger/commits.ts';
import { DatabaseError } from '../../src/ledger/database.ts';
import { DiskSpace } from '../../src/ledger/disk-space.ts';
import { BALLAST_FILE, SUSPECT_FILE } from '../../src/ledger/files.ts';
import { NO_MOUNT, remount, smallDisk } from '../support/disk.ts';
import { temporaryFolder } from '../support/folder.ts';
import { Bench } from './setup.ts';
import { IS_ROOT, skipped } from '../support/skip.ts';

const MIB = 1_048_576;

function problemOf(work: () => unknown): string | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error;
    return error.problem;
  }
}

describe('disk space', () => {
  test('is kept back in a ballast file from the start on', () => {
    const bench = new Bench();
    expect(bench.ledger.space.isShort).toBe(false);
    expect(statSync(path.join(bench.folder, BALLAST_FILE)).size).toBe(MIB);
  });

  test('under the floor stops the readings, not the delivery; over it they go on by themselves', () => {
    const folder = temporaryFolder();
    const bench = new Bench(folder);
    bench.count(1);
    bench.close();
    const short = new Bench(folder, { space: { floorBytes: Number.MAX_SAFE_INTEGER } });
    expect(short.ledger.space.isShort).toBe(true);
    expect(problemOf(() => short.count(1))).toBe('full');
    short.deliver();
    expect(short.atExist()).toBe(1);
    short.close();
    const roomy = new Bench(folder);
    roomy.count(1);
    expect(roomy.total()).toBe(2);
  });

  test('that a reading ran out of gives the ballast to the delivery', () => {
    const bench = new Bench(undefined, { space: { resumeBytes: Number.MAX_SAFE_INTEGER } });
    writeFileSync(path.join(bench.folder, BALLAST_FILE), Buffer.alloc(MIB));
    const commits = new Commits(bench.file, bench.ledger.space);
    const full = limited(bench.file);

    expect(problemOf(() => commits.readings(full))).toBe('full');

    expect(bench.ledger.space.isShort).toBe(true);
    expect(existsSync(path.join(bench.folder, BALLAST_FILE))).toBe(false);
    expect(problemOf(() => bench.count(1))).toBe('full');
  });

  test('is asked for a second time by the delivery alone, and only where something was let go', () => {
    const folder = temporaryFolder();
    const space = new DiskSpace(folder, { resumeBytes: 0, floorBytes: 0 });
    space.prepare();
    const commits = new Commits(path.join(folder, 'db'), space);
    let attempts = 0;
    const work = (): void => {
      attempts += 1;
      limited(path.join(temporaryFolder(), 'db'))();
    };
    expect(problemOf(() => commits.urgent(work))).toBe('full');
    expect(attempts).toBe(2);
    expect(problemOf(() => commits.urgent(work))).toBe('full');
    expect(attempts).toBe(3);
    space.check();
    expect(problemOf(() => commits.readings(work))).toBe('full');
    expect(attempts).toBe(4);
  });

  test.skipIf(NO_MOUNT)(
    `that is gone is met without losing a count: the delivery goes on, readings wait${skipped(NO_MOUNT)}`,
    () => {
      const disk = smallDisk(6 * MIB);
      const bench = new Bench(path.join(disk, 'data'), {
        space: { floorBytes: 64 * 1024, resumeBytes: 2 * MIB, ballastBytes: MIB },
      });
      bench.count(3);
      bench.deliver();
      bench.count(2);
      const { space } = bench.ledger;
      // Somebody else fills the disk to the last byte.
      const filler = path.join(disk, 'filler');
      fill(filler);
      expect(space.freeBytes()).toBe(0);

      expect(problemOf(() => bench.count(1))).toBe('full');
      expect(space.isShort).toBe(true);
      for (let n = 0; n < 40; n += 1) {
        bench.pass(24 * 60);
        bench.deliver();
      }
      expect(bench.atExist()).toBe(5);
      bench.close();
      bench.deliver();
      expect(problemOf(() => bench.count(1))).toBe('full');

      rmSync(filler);
      bench.count(1);
      expect(bench.ledger.space.isShort).toBe(false);
      expect(statSync(path.join(disk, 'data', BALLAST_FILE)).size).toBe(MIB);
      expect(bench.query<{ total: number }>('SELECT sum(total) AS total FROM ledger')).toEqual([
        { total: 6_000_000 },
      ]);
    },
  );

  test.skipIf(NO_MOUNT)(
    `on a read-only file system is an error that names the cause${skipped(NO_MOUNT)}`,
    () => {
      const disk = smallDisk(16 * MIB);
      const bench = new Bench(path.join(disk, 'data'));
      bench.count(1);
      bench.close();
      remount(disk, 'ro');
      expect(problemOf(() => bench.ledger)).toBe('read-only');
      remount(disk, 'rw');
      expect(bench.total()).toBe(1);
    },
  );

  test.skipIf(IS_ROOT)(
    `in a folder without rights is an error that names the cause${skipped(IS_ROOT)}`,
    () => {
      const folder = temporaryFolder();
      chmodSync(folder, 0o500);
      expect(problemOf(() => new Bench(folder).ledger)).toBe('read-only');
    },
  );
});

describe('a failing disk', () => {
  /** What SQLite throws where the disk does so. */
  function failure(code: string): Error {
    return new Database.SqliteError('the disk says no', code);
  }

  function setup() {
    const folder = temporaryFolder();
    const commits = new Commits(path.join(folder, 'mqtt2exist.db'), new DiskSpace(folder));
    const attempt = (code: string) =>
      problemOf(() =>
        commits.urgent(() => {
          throw failure(code);
        }),
      );
    return { folder, commits, attempt };
  }

  test('is not written to again after an I/O error: a second fsync may claim what the first one lost', () => {
    const { commits, attempt } = setup();
    expect(attempt('SQLITE_IOERR_FSYNC')).toBe('io');
    expect(problemOf(() => commits.urgent(() => 'written'))).toBe('io');
    expect(problemOf(() => commits.readings(() => 'written'))).toBe('io');
  });

  test('that gave damaged pages is not written to again, and the next start knows', () => {
    const { folder, commits, attempt } = setup();
    expect(attempt('SQLITE_CORRUPT')).toBe('damaged');
    expect(problemOf(() => commits.urgent(() => 'written'))).toBe('damaged');
    expect(existsSync(path.join(folder, SUSPECT_FILE))).toBe(true);
  });

  test('that is only busy is written to again', () => {
    const { commits, attempt } = setup();
    expect(attempt('SQLITE_BUSY')).toBe('locked');
    expect(commits.urgent(() => 'written')).toBe('written');
  });

  test('is not blamed for a mistake of ours', () => {
    const { commits } = setup();
    const mistakes = [failure('SQLITE_CONSTRAINT_CHECK'), new RangeError('not exact')];
    for (const mistake of mistakes) {
      expect(() =>
        commits.urgent(() => {
          throw mistake;
        }),
      ).toThrow(mistake);
    }
    expect(commits.urgent(() => 'written')).toBe('written');
  });
});

/** A write that meets SQLITE_FULL: the database may not grow. */
function limited(file: string): () => void {
  return () => {
    const db = new Database(file);
    try {
      db.exec('CREATE TABLE IF NOT EXISTS filling (x BLOB)');
      db.pragma(`max_page_count = ${Number(db.pragma('page_count', { simple: true }))}`);
      db.exec('INSERT INTO filling VALUES (zeroblob(100000))');
    } finally {
      db.close();
    }
  };
}

function fill(file: string): void {
  for (const bytes of [MIB, 4_096]) {
    for (;;) {
      try {
        writeFileSync(file, Buffer.alloc(bytes), { flag: 'a' });
      } catch {
        break;
      }
    }
  }
}
