/**
 * The database file: held by one process, checked, repaired where it has to be, and brought to the present schema.
 *
 * ```
 *   lock ─▶ finish what a crash cut short ─▶ inspect ─┬─ usable ──────────────────────▶ connect ─▶ migrate ─▶ compare
 *                                                     ├─ damaged, emptied: save what can be read,   ▲    with the
 *                                                     │  set it aside, start a new one ─────────────┘    send mark
 *                                                     └─ locked, foreign, newer, not readable: an error, untouched
 * ```
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import type Database from 'better-sqlite3';
import type { EpochMs } from '../core/time.ts';
import { connect, migrate } from './connection.ts';
import { damageReport, type DamageReport } from './damage-report.ts';
import { databaseError, type DatabaseError } from './database-error.ts';
import { DeliveryStore } from './delivery-store.ts';
import { DiskSpace, type SpaceLimits } from './disk-space.ts';
import {
  COMPANIONS,
  DATABASE_FILE,
  LOCK_FILE,
  SUSPECT_FILE,
  asideName,
  exists,
  moveDatabase,
} from './files.ts';
import { inspect } from './inspection.ts';
import { lock } from './lock.ts';
import { addNote, holdOpenAmounts, type Held } from './older-copy.ts';
import { buildSuccessor, finishReplacement, replace } from './replacement.ts';
import { salvage, type Salvaged } from './salvage.ts';
import { SendMark, type Mark } from './send-mark.ts';

export { DatabaseError } from './database-error.ts';
export { DATABASE_FILE } from './files.ts';

export interface OpenOptions {
  /** Called once the database is usable again. */
  readonly onDamage?: (report: DamageReport) => void;
  readonly now?: EpochMs;
  readonly space?: Partial<SpaceLimits>;
}

/** The open database and the lock that keeps a second process out. */
export interface OpenDatabase {
  readonly db: Database.Database;
  readonly file: string;
  readonly bridgeId: string;
  readonly mark: SendMark;
  readonly space: DiskSpace;
  close(): void;
}

/**
 * Opens (or makes) the database in `folder`.
 * @throws DatabaseError
 */
export function openDatabase(folder: string, options: OpenOptions = {}): OpenDatabase {
  const file = path.join(folder, DATABASE_FILE);
  const now = options.now ?? (Date.now() as EpochMs);
  const opened: { close(): void }[] = [];
  const close = (): void => {
    for (const part of opened.splice(0).reverse()) part.close();
  };
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    opened.push(lock(path.join(folder, LOCK_FILE)));
    const space = new DiskSpace(folder, options.space);
    const mark = new SendMark(folder);
    opened.push(mark);
    const ready = withRoom(file, space, () => makeReady(file, mark, now));
    opened.push(ready.db);
    space.prepare();
    if (ready.report) options.onDamage?.(ready.report);
    return { db: ready.db, file, bridgeId: ready.bridgeId, mark, space, close };
  } catch (error) {
    close();
    throw databaseError(error, file);
  }
}

/** On a full disk the ballast is there for the start as well: what it does is repeatable. */
function withRoom<T>(file: string, space: DiskSpace, work: () => T): T {
  try {
    return work();
  } catch (error) {
    const failure: DatabaseError = databaseError(error, file);
    if (failure.problem !== 'full' || !space.release()) throw failure;
    return work();
  }
}

interface Ready {
  readonly db: Database.Database;
  readonly bridgeId: string;
  readonly report: DamageReport | undefined;
}

function makeReady(file: string, mark: SendMark, now: EpochMs): Ready {
  finishReplacement(file, now);
  const known = mark.read();
  const condition = inspect(file, known !== 'missing');
  let setAside: string | null = null;
  let salvaged: Salvaged | null = null;
  if (condition.kind === 'damaged') {
    salvaged = buildSuccessor(file, (db) => salvage(file, db));
    setAside = replace(file, 'damaged', now);
    rmSync(path.join(path.dirname(file), SUSPECT_FILE), { force: true });
  } else if (condition.kind === 'absent' && COMPANIONS.some((suffix) => exists(file + suffix))) {
    // A WAL that lost its database: SQLite would delete it.
    setAside = asideName(file, 'damaged', now);
    moveDatabase(file, setAside);
  }
  const db = connect(file);
  try {
    migrate(db);
    const bridgeId = identify(db, typeof known === 'string' ? undefined : known);
    const { held, cause } = compare(db, bridgeId, mark, known, salvaged, now);
    const facts = { file, setAside, salvaged, held: held ?? { amounts: 0, forgotten: 0, undated: 0 } };
    let report: DamageReport | undefined;
    if (condition.kind === 'damaged') {
      report = damageReport({ ...facts, kind: 'damaged', cause: condition.cause });
    } else if (condition.kind === 'absent' && known !== 'missing') {
      report = damageReport({ ...facts, kind: 'vanished', cause: 'there is no such file' });
    } else if (held && cause !== undefined) {
      report = damageReport({ ...facts, kind: 'older-copy', cause });
    }
    if (report) addNote(db, now, null, null, report.message);
    return { db, bridgeId, report };
  } catch (error) {
    db.close();
    throw error;
  }
}

/** Eight hexadecimal digits, made once. A database that was lost keeps the id its bridge had. */
function identify(db: Database.Database, mark: Mark | undefined): string {
  db.prepare("INSERT OR IGNORE INTO meta (key, value) VALUES ('bridge_id', ?)").run(
    mark?.bridgeId ?? randomBytes(4).toString('hex'),
  );
  const row = db.prepare<[], { value: string }>("SELECT value FROM meta WHERE key = 'bridge_id'").get();
  return row?.value ?? '';
}

interface Comparison {
  /** There where the database had to be taken for an older copy. */
  readonly held?: Held;
  readonly cause?: string;
}

/** Is this the database that the last call left from? */
function compare(
  db: Database.Database,
  bridgeId: string,
  mark: SendMark,
  known: Mark | 'missing' | 'unreadable',
  salvaged: Salvaged | null,
  now: EpochMs,
): Comparison {
  const { lastCallId } = new DeliveryStore(db).account();
  const markedCallId = typeof known === 'string' ? 0 : known.lastCallId;
  let cause: string | undefined;
  if (typeof known === 'string') cause = `nothing tells whether it is the latest: ${MARK_LOST[known]}`;
  else if (known.bridgeId !== bridgeId) cause = 'it is of another bridge than the one that worked here last';
  else if (known.lastCallId > lastCallId) {
    cause = `it knows ${lastCallId} calls to Exist, and ${known.lastCallId} were made`;
  } else if (salvaged?.incomplete.includes('meta')) cause = 'it no longer tells how many calls were made';
  let held: Held | undefined;
  if (cause !== undefined) {
    const reason = salvaged
      ? `the database was damaged, and what could be saved of it may be older than the last call (${cause}): nobody can tell whether this was sent`
      : `an older copy of the database was put back (${cause}): nobody can tell whether this was sent`;
    held = holdOpenAmounts(db, { reason, now, lastCallId: markedCallId, isBehind: true });
  }
  const latest = { bridgeId, lastCallId: Math.max(lastCallId, markedCallId) };
  if (typeof known === 'string' || known.bridgeId !== bridgeId || known.lastCallId !== latest.lastCallId) {
    mark.reset(latest);
  }
  // A new database has no mark yet, and one without anything open is as good as the latest.
  const isNothing = known === 'missing' && held && held.amounts + held.forgotten + held.undated === 0;
  return held && cause !== undefined && !isNothing ? { held, cause } : {};
}

const MARK_LOST = {
  missing: 'mqtt2exist.sent is missing',
  unreadable: 'mqtt2exist.sent cannot be read',
} as const;
