/**
 * Every write goes through here, so that a failing disk is dealt with in one place:
 *
 * - full: the ballast is let go; the delivery tries once more, readings are refused until there is space again
 * - an I/O error: nobody knows what reached the disk, and a second fsync may report success for pages that the
 *   first one lost. Nothing more is written by this process: it ends, and the next one reads what is really there
 * - damage: the same, and the next start sets the database aside, even where its quick check finds nothing
 */
import { closeSync, openSync } from 'node:fs';
import path from 'node:path';
import Database from 'better-sqlite3';
import { databaseError, type DatabaseError } from './database-error.ts';
import type { DiskSpace } from './disk-space.ts';
import { SUSPECT_FILE } from './files.ts';

export class Commits {
  private fault: DatabaseError | undefined;
  /** The last write that met the full disk found ballast to let go. */
  private hadBallast = false;

  constructor(
    private readonly file: string,
    private readonly space: DiskSpace,
  ) {}

  /**
   * For readings: they can wait where they came from.
   * @throws DatabaseError
   */
  readings<T>(work: () => T): T {
    this.space.demand();
    return this.attempt(work);
  }

  /**
   * For the delivery and for upkeep. `work` is a whole transaction; it runs a second time where the first one met
   * the full disk and was rolled back.
   * @throws DatabaseError
   */
  urgent<T>(work: () => T): T {
    try {
      return this.attempt(work);
    } catch (error) {
      if (!isFull(error) || !this.hadBallast) throw error;
      return this.attempt(work);
    }
  }

  private attempt<T>(work: () => T): T {
    if (this.fault) throw this.fault;
    try {
      return work();
    } catch (error) {
      throw this.judge(error);
    }
  }

  private judge(error: unknown): unknown {
    // A constraint that failed is a mistake of ours, not of the disk.
    if (!isOfDisk(error)) return error;
    const failure = databaseError(error, this.file);
    if (failure.problem === 'full') this.hadBallast = this.space.release();
    if (failure.problem === 'io' || failure.problem === 'damaged') this.fault = failure;
    if (failure.problem === 'damaged') this.suspect();
    return failure;
  }

  private suspect(): void {
    try {
      closeSync(openSync(path.join(path.dirname(this.file), SUSPECT_FILE), 'w', 0o600));
    } catch {
      // The disk is failing; the error that led here is the one to report.
    }
  }
}

function isOfDisk(error: unknown): boolean {
  if (error instanceof Database.SqliteError)
    return !/^SQLITE_(CONSTRAINT|ERROR|MISMATCH|RANGE|MISUSE)/.test(error.code);
  return error instanceof Error && 'syscall' in error;
}

function isFull(error: unknown): boolean {
  return error instanceof Error && 'problem' in error && error.problem === 'full';
}
