/**
 * Keeps a second process out of the data folder. The lock goes with the process, however it ends: it is a lock of
 * the operating system on a file of its own, which stays empty.
 */
import { rmSync } from 'node:fs';
import Database from 'better-sqlite3';
import { databaseError } from './database-error.ts';

export interface Lock {
  close(): void;
}

/** @throws SqliteError at once where another process has it */
export function lock(file: string): Lock {
  try {
    return take(file);
  } catch (error) {
    if (databaseError(error, file).problem !== 'damaged') throw error;
    // A file of garbage cannot be locked by anybody, so nobody is robbed of it.
    rmSync(file, { force: true });
    return take(file);
  }
}

function take(file: string): Lock {
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
