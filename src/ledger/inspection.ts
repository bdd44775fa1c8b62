/**
 * What lies in the database's place, found out before anything is written there.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import path from 'node:path';
import Database from 'better-sqlite3';
import { VALUE_TYPES } from '../core/attribute.ts';
import { APPLICATION_ID, demandOurs } from './connection.ts';
import { DatabaseError, databaseError } from './database-error.ts';
import { SUSPECT_FILE, exists, sizeOf } from './files.ts';
import { tablesOf } from './migrations.ts';
import { JSON_FACTS } from './salvage.ts';

export type Condition =
  | { readonly kind: 'absent' | 'usable' }
  /** Ours once, as far as can be told, and not to be used. */
  | { readonly kind: 'damaged'; readonly cause: string };

/**
 * What no check of SQLite's finds, and would end the process at every start or have it do nonsense: JSON, a word or a day
 * that is none. `salvage` leaves such rows behind. Other words are kept by CHECK constraints.
 */
const GARBLED = [
  `SELECT 1 FROM meta WHERE key IN (${listOf(JSON_FACTS)}) AND NOT json_valid(value)`,
  'SELECT 1 FROM mapping_state WHERE NOT json_valid(state)',
  `SELECT 1 FROM ledger WHERE closed = 0 AND (NOT json_valid(coalesce(wanted, '0'))
     OR NOT json_valid(coalesce(aggregate, '0')) OR NOT json_valid(coalesce(delivered, '0'))
     OR NOT json_valid(coalesce(flight_value, '0')) OR NOT json_valid(coalesce(seen, '0')))`,
  `SELECT 1 FROM attribute WHERE value_type NOT IN (${listOf(VALUE_TYPES)})`,
  // A day that the calendar does not have comes back as another one, or as none.
  "SELECT 1 FROM ledger WHERE date(day, '+0 days') IS NOT day",
] as const;

/** The same for a column that is there from this schema on. */
const GARBLED_SINCE_6 = "SELECT 1 FROM ledger WHERE closed = 0 AND NOT json_valid(coalesce(adopted, '0'))";

function listOf(words: readonly string[]): string {
  return words.map((word) => `'${word}'`).join(', ');
}

const MAGIC = 'SQLite format 3\0';

/**
 * @param wasOurs a bridge has worked in this folder before: an empty database was emptied
 * @throws DatabaseError where it is another program's, a newer version's, or cannot be read
 */
export function inspect(file: string, wasOurs: boolean): Condition {
  const size = sizeOf(file);
  if (size === undefined) return { kind: 'absent' };
  // SQLite would delete the WAL of an empty file, and what can be saved with it: look before it does.
  if (size === 0) return wasOurs ? damaged('it is empty') : { kind: 'usable' };
  if (!beginsAsDatabase(file)) return damaged('it does not begin as a database does');
  if (exists(path.join(path.dirname(file), SUSPECT_FILE)))
    return damaged('it met damage while it was in use');
  let db: Database.Database | undefined;
  try {
    // A first start that was cut short before there was a WAL: SQLite has to roll its journal back to read at all.
    const readonly = !exists(`${file}-journal`);
    db = new Database(file, { readonly, fileMustExist: true, timeout: 500 });
    return examine(db, file, wasOurs);
  } catch (error) {
    const failure = databaseError(error, file);
    if (failure.problem !== 'damaged') throw failure;
    return damaged(failure.cause instanceof Error ? failure.cause.message : failure.message);
  } finally {
    db?.close();
  }
}

function examine(db: Database.Database, file: string, wasOurs: boolean): Condition {
  const version = Number(db.pragma('user_version', { simple: true }));
  const id = Number(db.pragma('application_id', { simple: true }));
  const names = new Set(
    db
      .prepare<[], { name: string }>("SELECT name FROM sqlite_schema WHERE type = 'table'")
      .all()
      .map(({ name }) => name),
  );
  const missing = tablesOf(version).filter((table) => !names.has(table));
  if (version === 0 && id === 0 && names.size === 0) {
    return wasOurs ? damaged('its tables are gone') : { kind: 'usable' };
  }
  // A flipped bit in the header does not make our tables somebody else's.
  if (id !== APPLICATION_ID && missing.length > 0) {
    throw new DatabaseError('foreign', file, 'it is not a database of mqtt2exist', 'name another data_dir');
  }
  if (id !== APPLICATION_ID) return damaged('its header is not ours, though its tables are');
  demandOurs(db, file);
  if (version < 1 || missing.length > 0) return damaged(`tables are missing (${missing.join(', ')})`);
  const verdict = quickCheck(file);
  if (verdict !== 'ok') return damaged(verdict);
  const queries = version < 6 ? GARBLED : [...GARBLED, GARBLED_SINCE_6];
  const garbled = queries.find((sql) => db.prepare(sql).get() !== undefined);
  return garbled === undefined ? { kind: 'usable' } : damaged('a text in it is garbled');
}

/**
 * On a connection that could write: SQLite leaves the CHECK constraints of a file out that it opens only to read. It
 * writes nothing all the same, since the WAL is not checkpointed while the other connection is open.
 */
function quickCheck(file: string): string {
  const db = new Database(file, { fileMustExist: true, timeout: 500 });
  try {
    db.pragma('query_only = ON');
    return String(db.pragma('quick_check(1)', { simple: true }));
  } finally {
    db.close();
  }
}

function damaged(cause: string): Condition {
  return { kind: 'damaged', cause };
}

function beginsAsDatabase(file: string): boolean {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(file, 'r');
    const head = Buffer.alloc(MAGIC.length);
    return readSync(descriptor, head, 0, head.length, 0) === head.length && head.toString('latin1') === MAGIC;
  } catch (error) {
    throw databaseError(error, file);
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}
