import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { backup, restore } from '../../src/ledger/backup.ts';
import { DatabaseError } from '../../src/ledger/database.ts';
import { openReadOnly } from '../../src/ledger/explanation.ts';
import { openCopy } from '../../src/ledger/read-only.ts';
import { scratchFor } from '../../src/ledger/scratch.ts';
import { NO_MOUNT, remount, smallDisk } from '../support/disk.ts';
import { temporaryFolder } from '../support/folder.ts';
import { Bench, TODAY } from './setup.ts';
import { skipped } from '../support/skip.ts';

const MIB = 1_048_576;

/**
 * The database of a bridge that counted 5, on a disk that takes no writes any more.
 * @param how `stopped`: the daemon ended as it should; `cut`: it did not, and what was counted is in the WAL alone
 */
function readOnly(how: 'stopped' | 'cut' | 'cut, without index'): { folder: string; disk: string } {
  const disk = smallDisk(16 * MIB);
  const folder = path.join(disk, 'data');
  const bench = new Bench(how === 'stopped' ? folder : undefined);
  bench.count(3);
  bench.deliver();
  bench.count(2);
  if (how !== 'stopped') {
    mkdirSync(folder);
    const suffixes = how === 'cut' ? ['', '-wal', '-shm'] : ['', '-wal'];
    for (const suffix of suffixes)
      copyFileSync(bench.file + suffix, path.join(folder, `mqtt2exist.db${suffix}`));
  }
  bench.close();
  remount(disk, 'ro');
  return { folder, disk };
}

/** Where copies go by default, for this test alone. */
function useAsTmp(folder: string): string {
  vi.stubEnv('TMPDIR', folder);
  onTestFinished(() => void vi.unstubAllEnvs());
  return folder;
}

describe.skipIf(NO_MOUNT)(`a database on a card that went read-only${skipped(NO_MOUNT)}`, () => {
  test.each(['stopped', 'cut', 'cut, without index'] as const)(
    'explains and is backed up with all that was committed (%s)',
    (how) => {
      const { folder, disk } = readOnly(how);
      const to = path.join(temporaryFolder(), 'backup.db');
      const elsewhere = path.join(temporaryFolder(), 'data');
      const scratch = useAsTmp(temporaryFolder());
      const reader = openReadOnly(folder);
      expect(reader.explain('opens', TODAY).ledger).toMatchObject({ total: 5, ours: 3, open: 2 });
      reader.close();
      expect(readdirSync(scratch)).toEqual([]);

      expect(backup(folder, to)).toMatchObject({ open: [{ attribute: 'opens', day: TODAY, amount: 2 }] });
      expect(readdirSync(path.dirname(to))).toEqual(['backup.db']);

      restore(to, elsewhere);
      expect(new Bench(elsewhere).total()).toBe(5);
      remount(disk, 'rw');
      expect(new Bench(folder).total()).toBe(5);
    },
  );

  test('names the place where no copy can be made', () => {
    const { folder, disk } = readOnly('stopped');
    useAsTmp(disk);
    const error = problemOf(() => openReadOnly(folder));
    expect(error?.message).toContain(`${disk}: no copy can be made there`);
    expect(error?.hint).toContain('TMPDIR');
    expect(problemOf(() => backup(folder, path.join(disk, 'backup.db')))?.problem).toBe('read-only');
  });
});

describe('a copy to read', () => {
  test('is the database with its WAL, private, and gone when it is closed', () => {
    const bench = new Bench();
    bench.count(5);
    const scratch = useAsTmp(temporaryFolder());
    const { db, close } = openCopy(bench.file);
    expect(db.prepare('SELECT total FROM ledger').get()).toEqual({ total: 5_000_000 });
    bench.count(1);
    expect(db.prepare('SELECT total FROM ledger').get()).toEqual({ total: 5_000_000 });
    close();
    expect(readdirSync(scratch)).toEqual([]);
  });

  test('is not left behind where the file is no database', () => {
    const file = path.join(temporaryFolder(), 'letter.txt');
    const scratch = useAsTmp(temporaryFolder());
    writeFileSync(file, 'Dear sister,');
    const { db, close } = openCopy(file);
    expect(() => db.prepare('SELECT 1 FROM sqlite_schema').get()).toThrow();
    close();
    expect(() => openCopy(path.join(scratch, 'nothing'))).toThrow('ENOENT');
    expect(readdirSync(scratch)).toEqual([]);
    expect(readFileSync(file, 'utf8')).toBe('Dear sister,');
    expect(existsSync(`${file}-wal`)).toBe(false);
  });
});

describe('the place for a copy', () => {
  test('is in memory, where the system has such a folder and TMPDIR names no other', () => {
    vi.stubEnv('TMPDIR', undefined);
    onTestFinished(() => void vi.unstubAllEnvs());
    expect(scratchFor(1)).toBe(existsSync('/dev/shm') ? '/dev/shm' : tmpdir());
    const folder = useAsTmp(temporaryFolder());
    expect(scratchFor(1)).toBe(folder);
  });

  test('is the last resort where nothing else has room', () => {
    useAsTmp(temporaryFolder());
    expect(scratchFor(Number.MAX_SAFE_INTEGER, '/mnt/usb')).toBe('/mnt/usb');
  });

  test('is rid of what a killed run left there, not of what another one looks into', () => {
    const bench = new Bench();
    bench.count(5);
    const scratch = useAsTmp(temporaryFolder());
    const [old, young] = ['mqtt2exist-copy-old', 'mqtt2exist-copy-young'];
    for (const name of [old, young]) mkdirSync(path.join(scratch, name));
    const longAgo = new Date(Date.now() - 2 * 3_600_000);
    utimesSync(path.join(scratch, old), longAgo, longAgo);
    openCopy(bench.file).close();
    expect(readdirSync(scratch)).toEqual([young]);
  });

  test.skipIf(NO_MOUNT)(`is named where it is too small${skipped(NO_MOUNT)}`, () => {
    const bench = new Bench();
    bench.count(5);
    const to = path.join(temporaryFolder(), 'backup.db');
    backup(path.dirname(bench.file), to);
    const elsewhere = temporaryFolder();
    const small = useAsTmp(smallDisk(16_384));
    const error = problemOf(() => restore(to, elsewhere, { isDryRun: true }));
    expect(error).toMatchObject({ problem: 'full', file: small });
    expect(error?.hint).toContain('TMPDIR');
    expect(readdirSync(small)).toEqual([]);
  });
});

function problemOf(work: () => unknown): DatabaseError | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error;
    return error;
  }
}
