import { copyFileSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, onTestFinished, test } from 'vitest';
import { connect, migrate, schemaVersion } from '../../src/ledger/connection.ts';
import { DATABASE_FILE } from '../../src/ledger/database.ts';
import { MIGRATIONS } from '../../src/ledger/migrations.ts';
import { temporaryFolder } from '../support/folder.ts';
import { Bench } from './setup.ts';

/** The statements of a migration, each with the comment before it. */
function statements(sql: string): string[] {
  return sql
    .split(/;\s*$/m)
    .map((statement) => statement.trim())
    .filter((statement) => statement !== '');
}

/** Every instant in a migration: after so many statements of that step. */
const INSTANTS = MIGRATIONS.flatMap((sql, version) =>
  Array.from({ length: statements(sql).length + 1 }, (_, done) => ({ version, done })),
);

function atVersion(version: number): { folder: string; db: Database.Database } {
  const folder = temporaryFolder();
  const db = connect(path.join(folder, DATABASE_FILE));
  onTestFinished(() => {
    db.close();
  });
  migrate(db, MIGRATIONS.slice(0, version));
  return { folder, db };
}

function schemaOf(db: Database.Database): unknown[] {
  return db.prepare('SELECT type, name, sql FROM sqlite_schema ORDER BY name').all();
}

describe('a migration', () => {
  test.each(INSTANTS)(
    'to step $version + 1 that is killed after $done statements is done again',
    (instant) => {
      const { folder, db } = atVersion(instant.version);
      db.exec('BEGIN IMMEDIATE');
      for (const statement of statements(MIGRATIONS[instant.version] ?? '').slice(0, instant.done))
        db.exec(statement);
      // The files as a power cut would leave them, while the transaction is open.
      db.pragma('cache_spill = 1');
      const after = temporaryFolder();
      for (const suffix of ['', '-wal']) {
        const file = path.join(folder, DATABASE_FILE) + suffix;
        if (existsSync(file)) copyFileSync(file, path.join(after, DATABASE_FILE) + suffix);
      }
      const copy = new Database(path.join(after, DATABASE_FILE));
      expect(schemaVersion(copy)).toBe(instant.version);
      copy.close();
      const bench = new Bench(after);
      bench.count(1);
      bench.deliver();
      expect(bench.atExist()).toBe(1);
      expect(bench.reports).toEqual([]);
    },
  );

  test.each(INSTANTS)(
    'to step $version + 1 that fails after $done statements leaves the schema before it',
    (instant) => {
      const { db } = atVersion(instant.version);
      const before = schemaOf(db);
      const broken = [
        ...MIGRATIONS.slice(0, instant.version),
        [...statements(MIGRATIONS[instant.version] ?? '').slice(0, instant.done), 'SELECT nonsense'].join(
          ';\n',
        ),
      ];
      expect(() => migrate(db, broken)).toThrow('nonsense');
      expect(schemaVersion(db)).toBe(instant.version);
      expect(schemaOf(db)).toEqual(before);
    },
  );

  test.each(Array.from({ length: MIGRATIONS.length + 1 }, (_, version) => version))(
    'brings schema %i, as it was shipped, to the present one with all that is in it',
    (version) => {
      const { folder, db } = atVersion(version);
      if (version > 0) {
        db.exec(`
          INSERT INTO meta VALUES ('bridge_id', '0123abcd');
          INSERT INTO mapping_state (mapping, topic, state) VALUES ('m', 'door', '{"kind":"change","inside":true}');
          INSERT INTO ledger (attribute, day, kind, total, ours, base, open_since_ms)
            VALUES ('opens', '2026-11-24', 'sum', 5000000, 3000000, 0, NULL);
        `);
      }
      db.close();
      const bench = new Bench(folder);
      expect(bench.ledger.journal.state('m', 'door')).toEqual(
        version > 0 ? { kind: 'change', inside: true } : undefined,
      );
      expect(bench.total()).toBe(version > 0 ? 5 : undefined);
      bench.close();
      const fresh = atVersion(MIGRATIONS.length);
      const upgraded = new Database(path.join(folder, DATABASE_FILE), { readonly: true });
      expect(schemaOf(upgraded)).toEqual(schemaOf(fresh.db));
      upgraded.close();
    },
  );

  test('leaves a database that can be opened at every frame of its WAL', () => {
    // What a power cut in the middle of the write leaves: a WAL that ends anywhere.
    const folder = temporaryFolder();
    const db = connect(path.join(folder, DATABASE_FILE));
    onTestFinished(() => {
      db.close();
    });
    db.pragma('wal_autocheckpoint = 0');
    migrate(db);
    const wal = path.join(folder, `${DATABASE_FILE}-wal`);
    const whole = cutPoints(wal);
    for (const bytes of whole) {
      const after = temporaryFolder();
      copyFileSync(path.join(folder, DATABASE_FILE), path.join(after, DATABASE_FILE));
      cut(wal, path.join(after, `${DATABASE_FILE}-wal`), bytes);
      const copy = connect(path.join(after, DATABASE_FILE));
      migrate(copy);
      expect(schemaVersion(copy)).toBe(MIGRATIONS.length);
      copy.close();
    }
  });
});

/** Before, in the middle of and after every frame. */
function cutPoints(wal: string): number[] {
  const frame = 24 + 4096;
  const frames = Math.floor((statSync(wal).size - 32) / frame);
  return Array.from({ length: frames * 2 + 1 }, (_, n) => 32 + Math.floor((n * frame) / 2));
}

function cut(from: string, to: string, bytes: number): void {
  writeFileSync(to, readFileSync(from).subarray(0, bytes));
}
