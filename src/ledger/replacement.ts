/**
 * Puts another database in the present one's place, whole or not at all:
 *
 * ```
 *   the new one is built as .part ─▶ named .new: whole, synced ─▶ the present one is moved aside ─▶ .new takes its place
 *   └─ cut short here: thrown away at the next start               └─ cut short here: finished at the next start
 * ```
 */
import { readdirSync, renameSync } from 'node:fs';
import path from 'node:path';
import type Database from 'better-sqlite3';
import type { EpochMs } from '../core/time.ts';
import { connect, migrate } from './connection.ts';
import {
  COMPANIONS,
  asideName,
  exists,
  moveDatabase,
  removeDatabase,
  syncFile,
  syncFolder,
} from './files.ts';

/** A disk that damages the database again and again shall not be filled with its remains. */
const MOST_ASIDE = 5;

/** Builds the new database with `fill`, which gets it empty but migrated. Nothing else has changed yet. */
export function buildSuccessor<T>(file: string, fill: (db: Database.Database) => T): T {
  const part = `${file}.part`;
  removeDatabase(part);
  const db = connect(part);
  let result: T;
  try {
    migrate(db);
    result = fill(db);
  } finally {
    db.close();
  }
  adoptPart(file);
  return result;
}

/** `file.part` is complete and closed: from here on it counts. */
export function adoptPart(file: string): void {
  syncFile(`${file}.part`);
  removeDatabase(`${file}.new`);
  renameSync(`${file}.part`, `${file}.new`);
  syncFolder(path.dirname(file));
}

/** Moves the present database aside, if there is one, and the successor into its place. Gives back where to. */
export function replace(file: string, word: 'damaged' | 'replaced', now: EpochMs): string | null {
  const aside = asideName(file, word, now);
  const hasPresent = ['', ...COMPANIONS].some((suffix) => exists(file + suffix));
  if (hasPresent) moveDatabase(file, aside);
  moveDatabase(`${file}.new`, file);
  forgetOldest(file, word);
  return hasPresent ? aside : null;
}

/** At the start, under the lock: brings to an end what a crash cut short. */
export function finishReplacement(file: string, now: EpochMs): void {
  removeDatabase(`${file}.part`);
  if (!exists(`${file}.new`)) return;
  if (exists(file)) {
    removeDatabase(`${file}.new`);
    return;
  }
  // The main file is moved first: companions without it are those of the one that was moved.
  if (COMPANIONS.some((suffix) => exists(file + suffix))) {
    moveDatabase(file, newestAside(file) ?? asideName(file, 'damaged', now));
  }
  moveDatabase(`${file}.new`, file);
}

function asides(file: string, word: string): string[] {
  const start = `${path.basename(file)}.${word}-`;
  return readdirSync(path.dirname(file))
    .filter((name) => name.startsWith(start) && !COMPANIONS.some((suffix) => name.endsWith(suffix)))
    .sort()
    .map((name) => path.join(path.dirname(file), name));
}

function newestAside(file: string): string | undefined {
  const names = ['damaged', 'replaced'].flatMap((word) => asides(file, word));
  return names.filter((name) => !COMPANIONS.some((suffix) => exists(name + suffix))).at(-1);
}

function forgetOldest(file: string, word: string): void {
  for (const name of asides(file, word).slice(0, -MOST_ASIDE)) removeDatabase(name);
}
