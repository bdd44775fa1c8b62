/**
 * A connection that loses nothing when the power goes, and the way of an older schema to the present one.
 */
import Database from 'better-sqlite3';
import { DatabaseError } from './database-error.ts';
import { MIGRATIONS } from './migrations.ts';

/** "m2e\0" in ASCII: tells our file from any other SQLite database. */
export const APPLICATION_ID = 0x6d326500;

/** Opens `file` for writing, made where it is not there. Checks nothing of what it holds. */
export function connect(file: string): Database.Database {
  const db = new Database(file, { timeout: 2_000 });
  try {
    makeDurable(db, file);
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

export function schemaVersion(db: Database.Database): number {
  return Number(db.pragma('user_version', { simple: true }));
}

/** Each step in a transaction of its own: an interrupted one leaves the schema before it. */
export function migrate(db: Database.Database, steps: readonly string[] = MIGRATIONS): void {
  for (const [index, sql] of steps.entries()) {
    if (index < schemaVersion(db)) continue;
    db.transaction(() => {
      db.exec(sql);
      db.pragma(`user_version = ${index + 1}`);
      db.pragma(`application_id = ${APPLICATION_ID}`);
    }).immediate();
  }
}

/** @throws DatabaseError where `db` is not of this bridge, or of a newer version */
export function demandOurs(db: Database.Database, file: string): void {
  if (db.pragma('application_id', { simple: true }) !== APPLICATION_ID) {
    throw new DatabaseError('foreign', file, 'it is not a database of mqtt2exist', 'name another one');
  }
  const version = schemaVersion(db);
  if (version <= MIGRATIONS.length) return;
  const message = `it was written by a newer version (schema ${version}, this one knows ${MIGRATIONS.length})`;
  throw new DatabaseError('newer', file, message, 'install that version again, or restore an older backup');
}
