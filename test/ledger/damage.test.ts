import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  copyFileSync,
  existsSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, onTestFinished, test } from 'vitest';
import { DATABASE_FILE, DatabaseError } from '../../src/ledger/database.ts';
import { LOCK_FILE, SUSPECT_FILE } from '../../src/ledger/files.ts';
import { inspect } from '../../src/ledger/inspection.ts';
import { Ledger } from '../../src/ledger/ledger.ts';
import { temporaryFolder } from '../support/folder.ts';
import { Bench } from './setup.ts';

/** Three opens sent, two more open, and the ledger closed. */
function used(): Bench {
  const bench = new Bench();
  bench.count(3);
  bench.deliver();
  bench.count(2);
  bench.ledger.journal.transact(() =>
    bench.ledger.journal.putState('m', 'door', { kind: 'change', inside: true }, undefined),
  );
  bench.close();
  return bench;
}

function aside(bench: Bench, word = 'damaged'): string[] {
  return readdirSync(bench.folder).filter((name) => name.startsWith(`${DATABASE_FILE}.${word}-`));
}

function overwrite(file: string, offset: number, bytes: Uint8Array): void {
  const descriptor = openSync(file, 'r+');
  writeSync(descriptor, bytes, 0, bytes.length, offset);
  closeSync(descriptor);
}

/** Page of a table's root, in bytes from the start. */
function rootOf(bench: Bench, table: string): number {
  const row = bench.query<{ page: number }>(
    'SELECT rootpage AS page FROM sqlite_schema WHERE name = ?',
    table,
  )[0];
  return ((row?.page ?? 1) - 1) * 4096;
}

function problemOf(work: () => unknown): string | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error;
    expect(error.hint).not.toBe('');
    return error.problem;
  }
}

describe('a damaged database', () => {
  test.each([
    ['a zeroed header', (bench: Bench) => overwrite(bench.file, 0, Buffer.alloc(100))],
    ['noise', (bench: Bench) => writeFileSync(bench.file, Buffer.alloc(9_000, 'noise'))],
    ['an emptied file', (bench: Bench) => truncateSync(bench.file, 0)],
    ['a file cut short', (bench: Bench) => truncateSync(bench.file, 8_192)],
    ['a file of half a page', (bench: Bench) => truncateSync(bench.file, 2_000)],
    [
      'another, empty database',
      (bench: Bench) => {
        rmSync(bench.file);
        const db = new Database(bench.file);
        db.exec('CREATE TABLE t (x); DROP TABLE t');
        db.close();
      },
    ],
  ])('(%s) is set aside, and a clean one is started under the same bridge id', (_, spoil) => {
    const bench = used();
    const { bridgeId } = bench.ledger;
    bench.close();
    spoil(bench);

    bench.count(1);

    expect(bench.ledger.bridgeId).toBe(bridgeId);
    expect(bench.reports).toMatchObject([{ kind: 'damaged' }]);
    expect(bench.reports[0]?.message).toMatch(/set aside as .*damaged-20261124T080000Z/);
    expect(aside(bench)).toHaveLength(1);
    bench.deliver();
    // Neither sent again nor taken away: what stood there is the base.
    expect(bench.atExist()).toBe(4);
    bench.close();
    bench.restartDelivery();
    expect(bench.reports).toHaveLength(1);
  });

  test('gives back all tables but the bad one; what was open is still sent, once', () => {
    const bench = used();
    overwrite(bench.file, rootOf(bench, 'reading'), Buffer.alloc(4096, 0xee));

    bench.restartDelivery();

    expect(bench.reports[0]?.salvaged?.incomplete).toEqual(['reading']);
    expect(bench.reports[0]?.held.amounts).toBe(0);
    expect(bench.ledger.journal.state('m', 'door')).toEqual({ kind: 'change', inside: true });
    expect(bench.total()).toBe(5);
    expect(bench.atExist()).toBe(5);
  });

  test('holds the open amounts where what could be saved does not know the last call', () => {
    const bench = used();
    overwrite(bench.file, rootOf(bench, 'meta'), Buffer.alloc(4096, 0xee));

    bench.restartDelivery();
    bench.deliver();

    expect(bench.reports[0]?.held.amounts).toBe(1);
    expect(bench.key()?.held).toMatchObject({ state: 'conflict' });
    expect(bench.key()?.held?.reason).toMatch(/damaged.*nobody can tell whether this was sent/);
    expect(bench.atExist()).toBe(3);
  });

  test('is read from both ends towards the bad page', () => {
    const bench = new Bench();
    const { journal } = bench.ledger;
    journal.transact(() => {
      for (let n = 0; n < 2_000; n += 1) {
        journal.putState('m', `topic ${String(n).padStart(5, '0')}`, { kind: 'seen' }, undefined);
      }
    });
    bench.close();
    const pages = Math.floor(statSync(bench.file).size / 4096);
    const bytes = readFileSync(bench.file);
    // The leaf that holds the middle, and pages that it was split off from.
    for (const page of Array(pages).keys()) {
      const content = bytes.subarray(page * 4096, (page + 1) * 4096);
      const isMiddle = ['topic 00999', 'topic 01000', 'topic 01001'].every((topic) =>
        content.includes(topic),
      );
      if (isMiddle) overwrite(bench.file, page * 4096, Buffer.alloc(4096, 0xee));
    }

    const saved = (): unknown[] =>
      ['topic 00000', 'topic 01999'].map((topic) => bench.ledger.journal.state('m', topic));
    expect(saved()).toEqual([{ kind: 'seen' }, { kind: 'seen' }]);
    expect(bench.reports[0]?.salvaged?.rows['mapping_state']).toBeLessThan(2_000);
    expect(bench.reports[0]?.salvaged?.rows['mapping_state']).toBeGreaterThan(1_800);
    expect(bench.reports[0]?.salvaged?.incomplete).toEqual(['mapping_state']);
  });

  test('is found where only a text in it is garbled, which would end every start', () => {
    const bench = used();
    bench.meddle("UPDATE meta SET value = 'x' || value WHERE key = 'account'");
    bench.restartDelivery();
    expect(bench.reports).toMatchObject([{ kind: 'damaged', cause: 'a text in it is garbled' }]);
    expect(bench.key()?.held?.state).toBe('conflict');
  });

  test.each([
    ['attribute', "state = 'reaey'"],
    ['attribute', "mode = 'strich'"],
    ['attribute', "wanted_mode = 'sharee'"],
    ['attribute', "value_type = 'intgger'"],
    ['ledger', "kind = 'sul'"],
    ['ledger', "flight = 'nnne'"],
    ['ledger', "held_state = 'refuses', held_reason = 'no'"],
    ['ledger', "fixed_by = 'usee', fixed_total = 1"],
    ['ledger', "day = '2026-11-2t'"],
    ['ledger', "day = '2026-11-44'"],
    ['ledger', "adopted = '7}'"],
  ])('is found where a word of %s is none (%s): the row is not run with', (table, flipped) => {
    const bench = used();
    bench.meddle(`PRAGMA ignore_check_constraints = ON; UPDATE ${table} SET ${flipped}`);
    bench.restartDelivery();
    expect(bench.reports).toMatchObject([{ kind: 'damaged', salvaged: { incomplete: [table] } }]);
    expect(bench.reports[0]?.message).toContain(`not all could be read of ${table}`);
    expect(aside(bench)).toHaveLength(1);
    bench.count(1);
    bench.deliver();
    // What was open of a row that is lost is lost with it, and said; nothing is sent twice.
    expect(bench.atExist()).toBe(table === 'ledger' ? 4 : 6);
    bench.close();
    bench.restartDelivery();
    expect(bench.reports).toHaveLength(1);
  });

  test('is looked for without a byte of the database being written', () => {
    const bench = used();
    bench.count(1);
    const files = ['', '-wal'].map((suffix) => bench.file + suffix);
    const folder = temporaryFolder();
    const copies = ['', '-wal'].map((suffix) => path.join(folder, `copy.db${suffix}`));
    files.forEach((file, index) => copyFileSync(file, copies[index] ?? ''));
    const before = copies.map((file) => readFileSync(file));
    expect(before[1]?.length).toBeGreaterThan(0);
    expect(inspect(copies[0] ?? '', true)).toEqual({ kind: 'usable' });
    expect(copies.map((file, index) => before[index]?.equals(readFileSync(file)))).toEqual([true, true]);
  });

  test.each(['account', 'readings', 'retention', 'heard'])(
    'of which the fact %j is garbled is set aside once, not at every start',
    (fact) => {
      const bench = used();
      bench.meddle(`INSERT OR REPLACE INTO meta (key, value) VALUES ('${fact}', '{')`);
      bench.restartDelivery();
      bench.close();
      bench.restartDelivery();
      expect(bench.reports).toHaveLength(1);
    },
  );

  test('is found by a header that is not ours over tables that are', () => {
    const bench = used();
    bench.meddle('PRAGMA application_id = 17');
    bench.restartDelivery();
    expect(bench.reports).toMatchObject([{ kind: 'damaged', salvaged: { incomplete: [] } }]);
    expect(bench.atExist()).toBe(5);
  });

  test('that was met in use is set aside at the next start, whatever a check says', () => {
    const bench = used();
    writeFileSync(path.join(bench.folder, SUSPECT_FILE), '');
    bench.restartDelivery();
    expect(bench.reports).toHaveLength(1);
    expect(bench.atExist()).toBe(5);
    bench.close();
    bench.restartDelivery();
    expect(bench.reports).toHaveLength(1);
  });

  test('ends the writing when it is met in use, and the next start goes on', () => {
    const bench = used();
    const root = rootOf(bench, 'reading');
    bench.restartDelivery();
    overwrite(bench.file, root, Buffer.alloc(4096, 0xee));
    // Another connection wrote: the cache is read anew, as it would be for a page that had left it.
    const other = new Database(bench.file);
    other.exec('PRAGMA wal_checkpoint(TRUNCATE); PRAGMA user_version = 2');
    other.close();
    expect(problemOf(() => bench.count(1))).toBe('damaged');
    expect(problemOf(() => bench.deliver())).toBe('damaged');
    bench.close();
    bench.count(1);
    expect(bench.reports).toMatchObject([{ kind: 'damaged' }]);
    expect(bench.total()).toBe(6);
  });

  test('does not fill the card, however often it happens', () => {
    const bench = used();
    for (let n = 0; n < 8; n += 1) {
      bench.close();
      truncateSync(bench.file, 0);
      bench.pass(1);
      bench.restartDelivery();
    }
    expect(bench.reports).toHaveLength(8);
    expect(aside(bench)).toHaveLength(5);
  });
});

describe('a database that is gone', () => {
  test('is started anew, loudly', () => {
    const bench = used();
    rmSync(bench.file);
    bench.count(1);
    bench.deliver();
    expect(bench.reports).toMatchObject([{ kind: 'vanished' }]);
    expect(bench.atExist()).toBe(4);
    expect(bench.ledger.delivery.account().lastCallId).toBeGreaterThan(3);
  });

  test('leaves its WAL to be looked at', () => {
    const bench = used();
    rmSync(bench.file);
    writeFileSync(`${bench.file}-wal`, 'what was left');
    bench.restartDelivery();
    expect(aside(bench)).toEqual(['mqtt2exist.db.damaged-20261124T080000Z-wal']);
  });
});

describe('setting aside that was cut short', () => {
  test('is finished at the next start', () => {
    const bench = used();
    // The instant between the two renames: the old one is away, the new one not yet in its place.
    renameSync(bench.file, `${bench.file}.new`);
    writeFileSync(`${bench.file}.damaged-20261124T075900Z`, 'the old one');
    writeFileSync(`${bench.file}-wal`, 'its WAL');
    bench.restartDelivery();
    expect(bench.atExist()).toBe(5);
    expect(bench.reports).toEqual([]);
    expect(readFileSync(`${bench.file}.damaged-20261124T075900Z-wal`, 'utf8')).toBe('its WAL');
  });

  test('is begun again where the old one is still in its place', () => {
    const bench = used();
    writeFileSync(`${bench.file}.new`, 'half a database');
    writeFileSync(`${bench.file}.part`, 'less than that');
    bench.restartDelivery();
    expect(bench.atExist()).toBe(5);
    expect(existsSync(`${bench.file}.new`) || existsSync(`${bench.file}.part`)).toBe(false);
  });
});

describe('what is not ours to set aside', () => {
  test('another program’s database is an error and stays as it is', () => {
    const folder = temporaryFolder();
    const file = path.join(folder, DATABASE_FILE);
    const db = new Database(file);
    db.exec('CREATE TABLE photos (name TEXT)');
    db.close();
    const before = readFileSync(file);
    expect(problemOf(() => Ledger.open(folder))).toBe('foreign');
    expect(readFileSync(file).equals(before)).toBe(true);
  });

  test('a newer schema is an error and stays as it is', () => {
    const bench = used();
    bench.meddle('PRAGMA user_version = 99');
    const before = readFileSync(bench.file);
    expect(problemOf(() => bench.ledger)).toBe('newer');
    expect(readFileSync(bench.file).equals(before)).toBe(true);
    expect(aside(bench)).toEqual([]);
  });

  test('a database that another program has locked is an error, not damage', () => {
    const bench = used();
    const db = new Database(bench.file);
    onTestFinished(() => {
      db.close();
    });
    db.pragma('locking_mode = EXCLUSIVE');
    db.exec('BEGIN EXCLUSIVE');
    expect(problemOf(() => bench.ledger)).toBe('locked');
    expect(aside(bench)).toEqual([]);
  });

  test('a data_dir that is a file is an error', () => {
    const file = path.join(temporaryFolder(), 'data');
    writeFileSync(file, '');
    expect(problemOf(() => Ledger.open(file))).toBe('io');
  });
});

describe('a second process', () => {
  test('is kept out at once, and let in when the first one is killed', async () => {
    const bench = used();
    const script = `
      const Database = require('better-sqlite3');
      const db = new Database(process.argv[1], { timeout: 0 });
      db.exec('BEGIN EXCLUSIVE');
      console.log('locked');
      setInterval(() => {}, 1_000);
    `;
    const child = spawn(process.execPath, ['-e', script, path.join(bench.folder, LOCK_FILE)], {
      cwd: path.resolve(import.meta.dirname, '../..'),
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    onTestFinished(() => {
      child.kill('SIGKILL');
    });
    await once(child.stdout, 'data');
    const startedAt = performance.now();
    expect(problemOf(() => bench.ledger)).toBe('locked');
    expect(performance.now() - startedAt).toBeLessThan(500);
    child.kill('SIGKILL');
    await once(child, 'exit');
    bench.restartDelivery();
    expect(bench.atExist()).toBe(5);
  });

  test('does not come in through a lock file of garbage, nor is the first one kept out by it', () => {
    const bench = used();
    writeFileSync(path.join(bench.folder, LOCK_FILE), Buffer.alloc(5_000, 'garbage'));
    expect(bench.ledger.isOpen).toBe(true);
    expect(problemOf(() => Ledger.open(bench.folder))).toBe('locked');
  });
});
