/**
 * Writes the journal's lines. A group of readings comes as some dozens of lines at once: one statement for many
 * of them costs half of one for each.
 */
import type Database from 'better-sqlite3';
import type { JournalEntry } from '../core/journal.ts';

const COLUMNS = 'received_ms, topic, verdict, client, packet_id, digest, effect, reason, sample';
const ROW = '(?, ?, ?, ?, ?, ?, ?, ?, ?)';
const ROWS_AT_ONCE = 32;

type Parameter = string | number | null;

export class ReadingRows {
  private readonly insertOne: Database.Statement<[readonly Parameter[]]>;
  private readonly insertMany: Database.Statement<[readonly Parameter[]]>;

  constructor(db: Database.Database) {
    const insert = (rows: number): Database.Statement<[readonly Parameter[]]> =>
      db.prepare<[readonly Parameter[]]>(
        `INSERT INTO reading (${COLUMNS}) VALUES ${Array(rows).fill(ROW).join(', ')}`,
      );
    this.insertOne = insert(1);
    this.insertMany = insert(ROWS_AT_ONCE);
  }

  /** Within a transaction of the caller's. */
  insert(entries: readonly JournalEntry[]): void {
    let next = 0;
    for (; entries.length - next >= ROWS_AT_ONCE; next += ROWS_AT_ONCE) {
      const parameters: Parameter[] = [];
      for (let at = next; at < next + ROWS_AT_ONCE; at += 1) pushRow(parameters, entries[at]);
      this.insertMany.run(parameters);
    }
    for (; next < entries.length; next += 1) {
      const parameters: Parameter[] = [];
      pushRow(parameters, entries[next]);
      this.insertOne.run(parameters);
    }
  }
}

function pushRow(parameters: Parameter[], entry: JournalEntry | undefined): void {
  if (!entry) return;
  const { receivedAt, topic, verdict, delivery, contributions, reason, sample } = entry;
  const effect = contributions.length === 0 ? null : JSON.stringify(contributions);
  if (delivery) {
    const { client, packetId, digest } = delivery;
    parameters.push(
      receivedAt,
      topic,
      verdict,
      client,
      packetId,
      digest,
      effect,
      reason ?? null,
      sample ?? null,
    );
  } else {
    parameters.push(receivedAt, topic, verdict, null, null, null, effect, reason ?? null, sample ?? null);
  }
}
