/**
 * Why the database cannot be used, in words for a person.
 */
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
  // A shared-memory file that cannot grow is the same full disk, met a moment earlier.
  [
    /^SQLITE_(FULL|IOERR_SHMSIZE)/,
    'full',
    'the disk is full',
    'free some space; nothing that was acknowledged is lost',
  ],
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
