/**
 * The files of the data folder that are the database's, and the care their names need to survive a power cut.
 */
import {
  chmodSync,
  closeSync,
  copyFileSync,
  fsyncSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import path from 'node:path';
import type { EpochMs } from '../core/time.ts';

export const DATABASE_FILE = 'mqtt2exist.db';
export const LOCK_FILE = 'mqtt2exist.lock';
/** How far the sending has come, kept apart from the database (send-mark.ts). */
export const MARK_FILE = 'mqtt2exist.sent';
export const BALLAST_FILE = 'mqtt2exist.ballast';
/** The database met damage while it was in use: the next start sets it aside, whatever a quick check says. */
export const SUSPECT_FILE = 'mqtt2exist.suspect';

/** A login at Exist that the daemon has not taken up yet (login-file.ts). */
export const LOGIN_FILE = 'mqtt2exist.login';

/** What SQLite keeps beside a database. */
export const COMPANIONS = ['-wal', '-shm'] as const;

/** A name that was written, renamed or removed stays so only once its folder is synced. */
export function syncFolder(folder: string): void {
  syncFile(folder);
}

export function syncFile(file: string): void {
  const descriptor = openSync(file, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** Size in bytes; `undefined` where there is no such file. */
export function sizeOf(file: string): number | undefined {
  return statSync(file, { throwIfNoEntry: false })?.size;
}

export function exists(file: string): boolean {
  return sizeOf(file) !== undefined;
}

/** Removes a database that nothing depends on, companions included. */
export function removeDatabase(file: string): void {
  for (const suffix of ['', ...COMPANIONS, '-journal']) rmSync(file + suffix, { force: true });
}

/** Copies a database with its WAL, for this user's eyes only. What was at `to` is gone. */
export function copyDatabase(from: string, to: string): void {
  const [wal] = COMPANIONS;
  removeDatabase(to);
  for (const suffix of exists(from + wal) ? ['', wal] : ['']) {
    copyFileSync(from + suffix, to + suffix);
    chmodSync(to + suffix, 0o600);
  }
}

/** Moves a database with its WAL; the main file goes first, so that its absence tells of a move cut short. */
export function moveDatabase(from: string, to: string): void {
  const [wal, sharedMemory] = COMPANIONS;
  if (exists(from)) renameSync(from, to);
  if ((sizeOf(from + wal) ?? 0) > 0) renameSync(from + wal, to + wal);
  // An index into the WAL, and an empty WAL: SQLite makes them anew.
  rmSync(from + wal, { force: true });
  rmSync(from + sharedMemory, { force: true });
  syncFolder(path.dirname(to));
}

/** `file.<word>-20260423T101500Z`, with a number behind it where that name is taken. */
export function asideName(file: string, word: string, now: EpochMs): string {
  const stamp = new Date(now).toISOString().replace(/\.\d+/, '').replace(/[-:]/g, '');
  const name = `${file}.${word}-${stamp}`;
  let free = name;
  for (let n = 2; [free, ...COMPANIONS.map((suffix) => free + suffix)].some(exists); n += 1)
    free = `${name}-${n}`;
  return free;
}
