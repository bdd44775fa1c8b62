/**
 * Where a copy of the database goes that is only looked into: into memory where the system has a folder for that, so
 * that the login in it reaches no disk; else where temporary files go. `TMPDIR` overrules both.
 */
import { accessSync, constants, mkdtempSync, readdirSync, rmSync, statSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseError } from './database-error.ts';

const IN_MEMORY = '/dev/shm';
const PREFIX = 'mqtt2exist-copy-';
/** A run that was killed left its copy behind; nobody looks into one for so long. */
const LEFT_BEHIND_MS = 3_600_000;
/** Of the size of the database: an older copy is brought to the present form. */
const ROOM_SHARE = 3;

/**
 * The first folder with room for a copy of so many bytes.
 * @param lastResort where there is to be room in any case
 */
export function scratchFor(bytes: number, lastResort?: string): string {
  const usual = process.env['TMPDIR'] === undefined ? [IN_MEMORY, tmpdir()] : [tmpdir()];
  const hasRoom = (folder: string): boolean => roomIn(folder) >= ROOM_SHARE * bytes;
  return usual.find(hasRoom) ?? lastResort ?? tmpdir();
}

/** A folder of this run alone in `scratch`. @throws DatabaseError that names the place */
export function makeFolder(scratch: string): string {
  try {
    sweep(scratch);
    return mkdtempSync(path.join(scratch, PREFIX));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const hint = 'name a folder that can be written to in TMPDIR';
    const message = `no copy can be made there (${why})`;
    throw new DatabaseError('read-only', scratch, message, hint, { cause: error });
  }
}

/** What went wrong with a copy in `scratch`: where there is no room, it is that place which has none. */
export function scratchError(error: unknown, scratch: string): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code !== 'ENOSPC' && code !== 'SQLITE_FULL') return error;
  const hint = 'name a folder with more room in TMPDIR';
  return new DatabaseError('full', scratch, 'there is no room for a copy of the database', hint, {
    cause: error,
  });
}

function roomIn(folder: string): number {
  try {
    accessSync(folder, constants.W_OK);
    const { bavail, bsize } = statfsSync(folder);
    return bavail * bsize;
  } catch {
    return 0;
  }
}

function sweep(scratch: string): void {
  for (const name of readdirSync(scratch)) {
    if (!name.startsWith(PREFIX)) continue;
    const folder = path.join(scratch, name);
    const madeAt = statSync(folder, { throwIfNoEntry: false })?.mtimeMs ?? Infinity;
    if (Date.now() - madeAt < LEFT_BEHIND_MS) continue;
    try {
      rmSync(folder, { recursive: true, force: true });
    } catch {
      // Another user's: it is theirs to sweep.
    }
  }
}
