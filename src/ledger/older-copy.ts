/**
 * What is done to a database that may be older than the last call to Exist: a backup put back, a copy put in its
 * place by hand, or what could be saved of a damaged one.
 *
 * - What it takes for unsent may have arrived long ago: held as a conflict, for a person to decide. What stands at
 *   Exist by now is not known either; the delivery's first audit looks, and only shows it.
 * - What it believes to stand at Exist is out of date: the base of every day is read anew before anything is
 *   judged by it. Else the ledger would be taken for right, and days that went on would be set back.
 * - Meters and running intervals go on from where they stand now: their rise since the copy was made has been
 *   counted, and sent, by the database that is no more.
 */
import type Database from 'better-sqlite3';
import { unsent } from '../core/delivery/plan.ts';
import { missing } from '../core/delivery/settlement.ts';
import type { Attribute, Key } from '../core/delivery/state.ts';
import type { EpochMs } from '../core/time.ts';
import { add, type Units } from '../core/units.ts';
import { DeliveryStore } from './delivery-store.ts';

export interface HoldOptions {
  /** Said of every amount that is held; a sentence for a person. */
  readonly reason: string;
  readonly now: EpochMs;
  /** The highest number a call ever had, as far as anything knows. */
  readonly lastCallId: number;
  /** Calls have gone out since this copy was made, or may have: what mappings remember is out of date. */
  readonly isBehind: boolean;
}

export interface Held {
  /** Amounts held now. */
  readonly amounts: number;
  /** Meters and intervals that begin anew. */
  readonly forgotten: number;
  /** Messages without a date that may have been counted since, and are dropped. */
  readonly undated: number;
}

/** One transaction; doing it again changes nothing. */
export function holdOpenAmounts(db: Database.Database, options: HoldOptions): Held {
  return db
    .transaction(() => {
      const state = new DeliveryStore(db).load();
      let amounts = 0;
      for (const key of state.keys.values()) {
        if (holdOne(db, key, state.attributes.get(key.attribute), options)) amounts += 1;
      }
      db.prepare(
        `UPDATE ledger SET base = NULL, seen = NULL, seen_at_ms = NULL, doubt = 0, doubted = 0, based = 0,
           repair = 0, repairs = 0, look_at_ms = NULL, looks_left = 0`,
      ).run();
      endCall(db, options);
      return { amounts, ...(options.isBehind ? forgetProgress(db) : { forgotten: 0, undated: 0 }) };
    })
    .immediate();
}

/** `true` where it is held now and was not before. */
function holdOne(
  db: Database.Database,
  key: Key,
  attribute: Attribute | undefined,
  { reason, now }: HoldOptions,
): boolean {
  const inFlight = key.kind === 'sum' ? key.flightAmount : 0;
  const repair = repairOf(key);
  const amount = key.kind === 'sum' ? add(add(unsent(key, attribute), key.flightAmount), repair) : 0;
  // What is held already stays as it is, where all of it is what its settling knows.
  if (key.held && (key.kind === 'value' || amount === inFlight)) return false;
  const isOpen =
    key.flight !== 'none' ||
    (key.kind === 'sum' ? amount !== inFlight || key.fixed !== null : key.wanted !== key.delivered);
  if (!isOpen) {
    // Done, as far as this copy knows. A late contribution opens the day again.
    db.prepare('UPDATE ledger SET closed = 1, open_since_ms = NULL WHERE attribute = ? AND day = ?').run(
      key.attribute,
      key.day,
    );
    return false;
  }
  // In flight and unknown is what a conflict is: so all four ways to settle it know its amount.
  db.prepare(
    `UPDATE ledger SET flight = 'unknown', flight_since_ms = ?, flight_amount = ?, open_since_ms = NULL, ours = ours - ?,
       flight_value = iif(kind = 'value', wanted, NULL),
       held_state = 'conflict', held_reason = ?, held_since_ms = ?
     WHERE attribute = ? AND day = ?`,
  ).run(now, amount, repair, reason, now, key.attribute, key.day);
  addNote(db, now, key.attribute, key.day, reason);
  return true;
}

/** What was booked as applied and was to be set right at Exist: whether it was since, nobody knows. */
function repairOf(key: Key): Units {
  return Math.max(0, key.kind === 'value' || key.fixed ? 0 : missing(key)) as Units;
}

function endCall(db: Database.Database, { now, lastCallId }: HoldOptions): void {
  const { n: lastRow } = db.prepare<[], { n: number | null }>('SELECT max(id) AS n FROM call').get() ?? {
    n: null,
  };
  const account = new DeliveryStore(db).account();
  account.lastCallId = Math.max(account.lastCallId, lastCallId, lastRow ?? 0);
  account.call = null;
  account.flushing = false;
  account.nextAuditAt = null;
  db.prepare(
    "INSERT INTO meta (key, value) VALUES ('account', ?) ON CONFLICT DO UPDATE SET value = excluded.value",
  ).run(JSON.stringify(account));
  db.prepare(
    `UPDATE call SET finished_ms = ?, outcome = 'crashed', detail = 'this copy does not know how it ended'
     WHERE finished_ms IS NULL`,
  ).run(now);
}

function forgetProgress(db: Database.Database): Omit<Held, 'amounts'> {
  const forgotten = db
    .prepare("DELETE FROM mapping_state WHERE json_extract(state, '$.kind') IN ('rise', 'duration')")
    .run().changes;
  // Open or shut is the same in the copy as now, or one change away; an event that waited for `hold` has counted.
  db.prepare("UPDATE mapping_state SET state = json_remove(state, '$.holdingSince'), due_ms = NULL").run();
  return { forgotten, undated: db.prepare('DELETE FROM undated').run().changes };
}

/** A line for the log of the ledger, as the delivery writes them. */
export function addNote(
  db: Database.Database,
  now: EpochMs,
  attribute: string | null,
  day: string | null,
  text: string,
): void {
  db.prepare("INSERT INTO note (at_ms, level, attribute, day, text) VALUES (?, 'error', ?, ?, ?)").run(
    now,
    attribute,
    day,
    text,
  );
}
