/**
 * Opens the database only to read it: beside the daemon that writes it, or where nothing can be written at all.
 *
 * To read a database with a WAL, SQLite needs an index beside it, and makes one where there is none. On a card that
 * went read-only it cannot: there the database and its WAL are copied to where they can be opened.
 */
import { rmSync, statSync } from 'node:fs';
import path from 'node:path';
import Database from 'better-sqlite3';
import { DatabaseError, databaseError } from './database-error.ts';
import { COMPANIONS, DATABASE_FILE, copyDatabase, sizeOf } from './files.ts';
import { makeFolder, scratchError, scratchFor } from './scratch.ts';

export interface Reading {
  readonly db: Database.Database;
  readonly close: () => void;
}

/** Something writes it while it is copied: so often it is tried anew. */
const MOST_ATTEMPTS = 5;

/**
 * @param lastResort the folder for a copy, where one is needed and no other place has room for it
 * @throws SqliteError, or DatabaseError where no copy can be made
 */
export function openForReading(file: string, lastResort?: string): Reading {
  let db: Database.Database | undefined;
  try {
    const open = new Database(file, { readonly: true, fileMustExist: true, timeout: 5_000 });
    db = open;
    // Only the first statement opens the WAL.
    open.prepare('SELECT count(*) FROM sqlite_schema').get();
    return { db: open, close: () => open.close() };
  } catch (error) {
    db?.close();
    if (databaseError(error, file).problem !== 'read-only') throw error;
    return openCopy(file, lastResort);
  }
}

/**
 * Opens a private copy of `file`, gone once it is closed. The original is not touched.
 * @throws DatabaseError where no place has room for it
 */
export function openCopy(file: string, lastResort?: string): Reading & { readonly scratch: string } {
  const scratch = scratchFor(sizeWithWal(file), lastResort);
  const folder = makeFolder(scratch);
  const remove = (): void => {
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const copy = path.join(folder, DATABASE_FILE);
    copyUndisturbed(file, copy);
    const db = new Database(copy, { fileMustExist: true });
    const close = (): void => {
      db.close();
      remove();
    };
    return { db, close, scratch };
  } catch (error) {
    remove();
    throw scratchError(error, scratch);
  }
}

function sizeWithWal(file: string): number {
  return (sizeOf(file) ?? 0) + (sizeOf(file + COMPANIONS[0]) ?? 0);
}

/** A copy of a file that is written meanwhile is none. */
function copyUndisturbed(file: string, to: string): void {
  for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt += 1) {
    const before = stateOf(file);
    copyDatabase(file, to);
    if (stateOf(file) === before) return;
  }
  throw new DatabaseError('locked', file, 'it is written to all the time', 'try again');
}

/** Changes with every write to the database or its WAL. */
function stateOf(file: string): string {
  const files = ['', COMPANIONS[0]].map((suffix) => statSync(file + suffix, { throwIfNoEntry: false }));
  return JSON.stringify(files.map((found) => found && [found.ino, found.size, found.mtimeMs]));
}
