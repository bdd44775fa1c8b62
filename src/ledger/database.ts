/**
 * The database file: opened durably, by one process, checked, and brought to the present schema.
 */
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import Database from 'better-sqlite3';
import { MIGRATIONS } from './migrations.ts';

/** "m2e\0" in ASCII: tells our file from any other SQLite database. */
const APPLICATION_ID = 0x6d326500;

export const DATABASE_FILE = 'mqtt2exist.db';
const LOCK_FILE = 'mqtt2exist.lock';

export type DatabaseProblem = 'locked' | 'damaged' | 'foreign' | 'newer' | 'full' | 'read-only' | 'io';

/** The database cannot be used. `message` says which file and why, `hint` what to do. */
export class DatabaseError extends Error {
  override readonly name = 'DatabaseError';

  constructor(
    readonly problem: DatabaseProblem,
    readonly file: string,
    message: string,
    readonly hint: string,
    options?: ErrorOptions,
  ) {
    super(`${file}: ${message}`, options);
  }
}

const PROBLEMS: readonly (readonly [RegExp, DatabaseProblem, string, string])[] = [
  [
    /^SQLITE_(BUSY|LOCKED)/,
    'locked',
    'another process holds it',
    'stop the other mqtt2exist, or give this one its own data_dir',
  ],
  [
    /^SQLITE_(CORRUPT|NOTADB)/,
    'damaged',
    'it is damaged',
    'put a backup in its place, or move it away to start afresh',
  ],
  [/^SQLITE_FULL/, 'full', 'the disk is full', 'free some space; nothing that was acknowledged is lost'],
  [
    /^SQLITE_(READONLY|CANTOPEN|PERM|AUTH)/,
    'read-only',
    'it cannot be opened for writing',
    'check the owner and the rights of data_dir',
  ],
];

/** What SQLite or the file system threw, as a `DatabaseError`. */
export function databaseError(error: unknown, file: string): DatabaseError {
  if (error instanceof DatabaseError) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const words = error instanceof Error ? error.message : String(error);
  for (const [pattern, problem, message, hint] of PROBLEMS) {
    if (pattern.test(code))
      return new DatabaseError(problem, file, `${message} (${words})`, hint, { cause: error });
  }
  if (/^E(ACCES|PERM|ROFS)/.test(code)) {
    const hint = 'check the owner and the rights of data_dir';
    return new DatabaseError('read-only', file, `it cannot be opened for writing (${words})`, hint, {
      cause: error,
    });
  }
  if (code === 'ENOSPC') {
    return new DatabaseError('full', file, `the disk is full (${words})`, 'free some space', {
      cause: error,
    });
  }
  return new DatabaseError('io', file, words, 'check the disk: the system log may say more', {
    cause: error,
  });
}

/** The open database and the lock that keeps a second process out. */
export interface OpenDatabase {
  readonly db: Database.Database;
  readonly file: string;
  close(): void;
}

/**
 * Opens (or makes) the database in `folder`.
 * @throws DatabaseError
 */
export function openDatabase(folder: string): OpenDatabase {
  const file = path.join(folder, DATABASE_FILE);
  const opened: Database.Database[] = [];
  const close = (): void => {
    for (const db of opened.reverse()) db.close();
    opened.length = 0;
  };
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    opened.push(lock(path.join(folder, LOCK_FILE)));
    const db = new Database(file, { timeout: 2_000 });
    opened.push(db);
    makeDurable(db, file);
    verify(db, file);
    migrate(db, file);
    return { db, file, close };
  } catch (error) {
    close();
    throw databaseError(error, file);
  }
}

/** The lock goes with the process, however it ends: it is a lock of the operating system on a file of its own. */
function lock(file: string): Database.Database {
  const db = new Database(file, { timeout: 0 });
  try {
    db.pragma('journal_mode = DELETE');
    db.exec('BEGIN EXCLUSIVE');
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

function makeDurable(db: Database.Database, file: string): void {
  db.pragma('journal_mode = WAL');
  // better-sqlite3 compiles SQLite so that WAL silently means synchronous=NORMAL, which loses commits when the
  // power goes: set it, and read it back after the first statement.
  db.pragma('synchronous = FULL');
  db.prepare('SELECT count(*) FROM sqlite_schema').get();
  const journalMode = db.pragma('journal_mode', { simple: true });
  const synchronous = db.pragma('synchronous', { simple: true });
  if (journalMode !== 'wal' || synchronous !== 2) {
    const message = `journal_mode is ${String(journalMode)}, synchronous is ${String(synchronous)}`;
    throw new DatabaseError(
      'io',
      file,
      message,
      'data_dir must be on a file system that SQLite can keep a WAL on',
    );
  }
  // Small checkpoints often: a third of the bytes a growing WAL costs an SD card.
  db.pragma('wal_autocheckpoint = 100');
  db.pragma('cache_size = -2000');
  db.pragma('temp_store = MEMORY');
  db.pragma('trusted_schema = OFF');
}

function verify(db: Database.Database, file: string): void {
  const version = schemaVersion(db);
  const id = db.pragma('application_id', { simple: true });
  const tables = db
    .prepare<[], { n: number }>("SELECT count(*) AS n FROM sqlite_schema WHERE type = 'table'")
    .get();
  const isEmpty = version === 0 && id === 0 && tables?.n === 0;
  if (!isEmpty && id !== APPLICATION_ID) {
    throw new DatabaseError('foreign', file, 'it is not a database of mqtt2exist', 'name another data_dir');
  }
  if (version > MIGRATIONS.length) {
    const message = `it was written by a newer version (schema ${version}, this one knows ${MIGRATIONS.length})`;
    throw new DatabaseError('newer', file, message, 'install that version again, or restore an older backup');
  }
  const verdict = db.pragma('quick_check(1)', { simple: true });
  if (verdict !== 'ok') {
    const hint = 'put a backup in its place, or move it away to start afresh';
    throw new DatabaseError('damaged', file, `it is damaged (${String(verdict)})`, hint);
  }
}

function schemaVersion(db: Database.Database): number {
  return Number(db.pragma('user_version', { simple: true }));
}

/** Each step in a transaction of its own: an interrupted one leaves the schema before it. */
function migrate(db: Database.Database, file: string): void {
  for (let version = schemaVersion(db); version < MIGRATIONS.length; version += 1) {
    const sql = MIGRATIONS[version];
    if (sql === undefined)
      throw new DatabaseError('io', file, `no migration ${version + 1}`, 'reinstall mqtt2exist');
    db.transaction(() => {
      db.exec(sql);
      db.pragma(`user_version = ${version + 1}`);
      db.pragma(`application_id = ${APPLICATION_ID}`);
    }).immediate();
  }
}
