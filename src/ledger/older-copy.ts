/**
 * What is done to a database that may be older than the last call to Exist (src/core/delivery/older-copy.ts tells what
 * becomes of its days).
 *
 * Meters and running intervals go on from where they stand now: their rise since the copy was made has been counted, and
 * sent, by the database that is no more.
 */
import type Database from 'better-sqlite3';
import { endCall, holdOpen, type OlderCopy } from '../core/delivery/older-copy.ts';
import type { EpochMs } from '../core/time.ts';
import { DeliveryStore } from './delivery-store.ts';

export interface HoldOptions extends OlderCopy {
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
      const amounts = holdDays(db, options);
      endCalls(db, options.now);
      return { amounts, ...(options.isBehind ? forgetProgress(db) : { forgotten: 0, undated: 0 }) };
    })
    .immediate();
}

/** How many are held now and were not before. */
function holdDays(db: Database.Database, options: HoldOptions): number {
  const { n: lastRow } = db.prepare<[], { n: number | null }>('SELECT max(id) AS n FROM call').get() ?? {
    n: null,
  };
  let amounts = 0;
  new DeliveryStore(db).transact(({ account, attributes, keys }) => {
    const changed = [...keys.values()].map((key) => ({
      before: key,
      after: holdOpen(key, attributes.get(key.attribute), options),
    }));
    const held = changed.filter(({ before, after }) => after.held !== before.held);
    amounts = held.length;
    return {
      account: endCall(account, { ...options, lastCallId: Math.max(options.lastCallId, lastRow ?? 0) }),
      attributes: [],
      keys: changed.map(({ after }) => after),
      notes: held.map(({ after: { attribute, day } }) => ({
        level: 'error',
        attribute,
        day,
        text: options.reason,
      })),
      finished: undefined,
      call: undefined,
      wakeAt: undefined,
    };
  }, options.now);
  // Days that are done may be opened again.
  db.prepare(
    `UPDATE ledger SET base = NULL, seen = NULL, seen_at_ms = NULL, doubt = 0, doubted = 0, based = 0,
       repair = 0, repairs = 0, look_at_ms = NULL, looks_left = 0, delivered = NULL, adopted = NULL`,
  ).run();
  return amounts;
}

function endCalls(db: Database.Database, now: EpochMs): void {
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
