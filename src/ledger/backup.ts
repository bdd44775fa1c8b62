/**
 * Copies of the database: made while the daemon runs, put back while it does not.
 */
import { chmodSync, closeSync, mkdirSync, openSync, renameSync } from 'node:fs';
import path from 'node:path';
import Database from 'better-sqlite3';
import { heldAmount } from '../core/delivery/settlement.ts';
import type { EpochMs, LocalDate } from '../core/time.ts';
import { fromUnits } from '../core/units.ts';
import { connect, demandOurs, migrate, schemaVersion } from './connection.ts';
import { DatabaseError, databaseError } from './database-error.ts';
import { DeliveryStore } from './delivery-store.ts';
import {
  DATABASE_FILE,
  LOCK_FILE,
  copyDatabase,
  exists,
  removeDatabase,
  sizeOf,
  syncFile,
  syncFolder,
} from './files.ts';
import { lock, type Lock } from './lock.ts';
import { tablesOf } from './migrations.ts';
import { addNote, holdOpenAmounts, type Held } from './older-copy.ts';
import { openCopy, openForReading } from './read-only.ts';
import { adoptPart, finishReplacement, replace } from './replacement.ts';
import { scratchError } from './scratch.ts';
import { SendMark } from './send-mark.ts';

/** What a copy holds. */
export interface BackupInfo {
  readonly file: string;
  readonly bytes: number;
  /** When it was made; `null` for a copy that was not made by `backup`. */
  readonly madeAt: EpochMs | null;
  readonly bridgeId: string;
  readonly schema: number;
  readonly lastCallId: number;
  readonly attributes: readonly string[];
  readonly firstDay: LocalDate | null;
  readonly lastDay: LocalDate | null;
  readonly readings: number;
  readonly topics: number;
  /** What it has as not sent: to be held when it is put back. */
  readonly open: readonly {
    readonly attribute: string;
    readonly day: LocalDate;
    readonly amount: number | string;
  }[];
}

export interface Restored {
  readonly info: BackupInfo;
  readonly held: Held;
  /** Where the database that was there lies now; `null` where there was none, or nothing was done. */
  readonly setAside: string | null;
  readonly isDryRun: boolean;
}

/**
 * Copies the database of `folder` to `toFile`, as it is at one instant: whole, checked, synced, mode 0600. Works
 * beside the running daemon, and from a disk that is read-only. An older backup of that name is replaced, any other
 * file is not.
 * @throws DatabaseError
 */
export function backup(folder: string, toFile: string, now: EpochMs = Date.now() as EpochMs): BackupInfo {
  const file = path.join(folder, DATABASE_FILE);
  const part = `${toFile}.part`;
  try {
    if (!exists(file)) {
      throw new DatabaseError('io', file, 'there is no database', 'name the data_dir of the daemon');
    }
    refuseToOverwrite(toFile, file);
    removeDatabase(part);
    // Made with its rights before anything is in it; VACUUM INTO takes an empty file.
    closeSync(openSync(part, 'wx', 0o600));
    // Where the backup goes there is to be room for a copy too, should one be needed.
    const source = openForReading(file, path.dirname(path.resolve(toFile)));
    try {
      verify(source.db, file);
      source.db.prepare<[string]>('VACUUM INTO ?').run(part);
    } finally {
      source.close();
    }
    const info = finishBackup(part, now);
    chmodSync(part, 0o600);
    syncFile(part);
    renameSync(part, toFile);
    syncFolder(path.dirname(path.resolve(toFile)));
    return { ...info, file: toFile };
  } catch (error) {
    discard(part);
    throw databaseError(error, toFile);
  }
}

function discard(part: string): void {
  try {
    removeDatabase(part);
  } catch {
    // What went wrong before is what counts.
  }
}

function refuseToOverwrite(toFile: string, file: string): void {
  const isItself = path.resolve(toFile) === path.resolve(file);
  if (!isItself && (sizeOf(toFile) ?? 0) === 0) return;
  let isBackup = false;
  if (!isItself) {
    let db: Database.Database | undefined;
    try {
      db = new Database(toFile, { readonly: true, fileMustExist: true });
      isBackup = madeAt(db) !== null;
    } catch {
      // Not a database: somebody else's file.
    } finally {
      db?.close();
    }
  }
  if (isBackup) return;
  throw new DatabaseError('io', toFile, 'it is there already and is no backup', 'name another file');
}

function finishBackup(part: string, now: EpochMs): BackupInfo {
  const copy = new Database(part);
  try {
    forgetLogin(copy);
    copy.pragma('journal_mode = DELETE');
    copy
      .prepare<[string]>(
        "INSERT INTO meta (key, value) VALUES ('backup', ?) ON CONFLICT DO UPDATE SET value = excluded.value",
      )
      .run(JSON.stringify({ madeAt: now }));
    verify(copy, part);
    return infoOf(copy, part);
  } finally {
    copy.close();
  }
}

/** A backup opens nobody's account: its tokens are overwritten, with no journal that would keep them. */
function forgetLogin(copy: Database.Database): void {
  if (!tablesOf(schemaVersion(copy)).includes('login')) return;
  copy.pragma('journal_mode = MEMORY');
  copy.pragma('secure_delete = ON');
  copy.prepare('DELETE FROM login').run();
}

/**
 * Puts a backup in the place of `folder`'s database, which is set aside. Needs the daemon to be down. The backup's
 * open amounts are held, since they may have been sent after it was made. `isDryRun`: only looks.
 * @throws DatabaseError where the daemon runs, or the file is no sound database of ours; nothing is changed then
 */
export function restore(
  fromFile: string,
  folder: string,
  { isDryRun = false, now = Date.now() as EpochMs }: { isDryRun?: boolean; now?: EpochMs } = {},
): Restored {
  const file = path.join(folder, DATABASE_FILE);
  try {
    if (!exists(fromFile)) throw new DatabaseError('io', fromFile, 'there is no such file', 'name a backup');
    const info = look(fromFile);
    if (isDryRun) {
      return { info, held: { amounts: 0, forgotten: 0, undated: 0 }, setAside: null, isDryRun };
    }
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const held = withLock(folder, (mark) => {
      finishReplacement(file, now);
      return put(fromFile, file, info, mark, now);
    });
    return { info, ...held, isDryRun };
  } catch (error) {
    throw databaseError(error, fromFile);
  }
}

function withLock<T>(folder: string, work: (mark: SendMark) => T): T {
  let held: Lock | undefined;
  const mark = new SendMark(folder);
  try {
    held = lock(path.join(folder, LOCK_FILE));
    return work(mark);
  } catch (error) {
    throw databaseError(error, path.join(folder, DATABASE_FILE));
  } finally {
    mark.close();
    held?.close();
  }
}

function put(
  fromFile: string,
  file: string,
  info: BackupInfo,
  mark: SendMark,
  now: EpochMs,
): { held: Held; setAside: string | null } {
  const part = `${file}.part`;
  copyDatabase(fromFile, part);
  const known = mark.read();
  const isSameBridge = typeof known !== 'string' && known.bridgeId === info.bridgeId;
  const lastCallId = Math.max(info.lastCallId, typeof known === 'string' ? 0 : known.lastCallId);
  const isBehind = !isSameBridge || known.lastCallId > info.lastCallId;
  const made =
    info.madeAt === null ? 'a backup of unknown age' : `the backup of ${new Date(info.madeAt).toISOString()}`;
  const reason = `${made} was restored: nobody can tell whether this was sent after it was made`;
  let held: Held;
  const db = connect(part);
  try {
    migrate(db);
    held = holdOpenAmounts(db, { reason, now, lastCallId, isBehind });
    db.prepare("DELETE FROM meta WHERE key = 'backup'").run();
    addNote(db, now, null, null, `${made} was restored`);
  } finally {
    db.close();
  }
  adoptPart(file);
  const setAside = replace(file, 'replaced', now);
  mark.reset({ bridgeId: info.bridgeId, lastCallId });
  return { held, setAside };
}

/** Looks at a copy: even reading would leave files beside the original, which may lie on a read-only disk. */
function look(fromFile: string): BackupInfo {
  const { db, close, scratch } = openCopy(fromFile);
  try {
    verify(db, fromFile);
    migrateCopy(db);
    return infoOf(db, fromFile);
  } catch (error) {
    throw scratchError(error, scratch);
  } finally {
    close();
  }
}

function migrateCopy(db: Database.Database): void {
  db.pragma('synchronous = OFF');
  migrate(db);
}

function verify(db: Database.Database, file: string): void {
  demandOurs(db, file);
  const verdict = String(db.pragma('quick_check(1)', { simple: true }));
  if (verdict !== 'ok')
    throw new DatabaseError('damaged', file, `it is damaged (${verdict})`, 'name another one');
  for (const table of tablesOf(schemaVersion(db))) db.prepare(`SELECT 1 FROM ${table} LIMIT 1`).get();
}

function madeAt(db: Database.Database): EpochMs | null {
  const row = db.prepare<[], { value: string }>("SELECT value FROM meta WHERE key = 'backup'").get();
  return row ? (JSON.parse(row.value) as { madeAt: EpochMs }).madeAt : null;
}

function infoOf(db: Database.Database, file: string): BackupInfo {
  const store = new DeliveryStore(db);
  const { attributes, keys, account } = store.load();
  const count = (table: string): number =>
    db.prepare<[], { n: number }>(`SELECT count(*) AS n FROM ${table}`).get()?.n ?? 0;
  const days = db
    .prepare<[], { first: LocalDate | null; last: LocalDate | null }>(
      'SELECT min(day) AS first, max(day) AS last FROM ledger',
    )
    .get();
  const open = [...keys.values()].flatMap((key) => {
    const { attribute, day } = key;
    if (key.kind === 'value') {
      if (key.wanted === key.delivered) return [];
      return [
        { attribute, day, amount: typeof key.wanted === 'number' ? fromUnits(key.wanted) : key.wanted },
      ];
    }
    // What is booked and still to be set right at Exist may not have arrived either.
    const amount = fromUnits(heldAmount(key, attributes.get(attribute)));
    return amount === 0 ? [] : [{ attribute, day, amount }];
  });
  const bridge = db.prepare<[], { value: string }>("SELECT value FROM meta WHERE key = 'bridge_id'").get();
  return {
    file,
    bytes: sizeOf(file) ?? 0,
    madeAt: madeAt(db),
    bridgeId: bridge?.value ?? '',
    schema: schemaVersion(db),
    lastCallId: account.lastCallId,
    attributes: [...attributes.keys()],
    firstDay: days?.first ?? null,
    lastDay: days?.last ?? null,
    readings: count('reading'),
    topics: count('mapping_state'),
    open,
  };
}
