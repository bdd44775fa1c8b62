/**
 * Forgets what nobody will ask for again, a bounded piece at a time.
 *
 * | what                                        | kept                                                       |
 * | ------------------------------------------- | ---------------------------------------------------------- |
 * | readings that changed nothing               | 2 days: far longer than a redelivery of them may come      |
 * | refused readings                            | 30 days, for who looks after a sensor                      |
 * | readings that counted, calls, notes         | 90 days: so long every total can be explained              |
 * | identities                                  | 7 days                                                     |
 * | a mapping's memory of a topic               | a year after its last change: a base line older than that  |
 * |                                             | would put the rise of a year into one day                  |
 * | the ledger, one row per attribute and day   | for ever: ten attributes make a megabyte in three years    |
 *
 * Over `mostBytes` the oldest readings, notes and calls go before their time.
 *
 * No page is given back to the file system (auto_vacuum would move pages about, each move a write to the card):
 * freed pages are used again, so the file stays as large as it ever had to be, and that is bounded.
 */
import type Database from 'better-sqlite3';
import { DAY_MS, type EpochMs } from '../core/time.ts';

export interface RetentionLimits {
  readonly idleMs: number;
  readonly refusedMs: number;
  readonly explainedMs: number;
  readonly identityMs: number;
  readonly silentMs: number;
  /** Of the database, free pages not counted. */
  readonly mostBytes: number;
  readonly mostIdentities: number;
  readonly mostStates: number;
  /** Rows looked at, and at most deleted, of each kind in one call of `prune`. */
  readonly rowsPerStep: number;
}

export const RETENTION_LIMITS: RetentionLimits = {
  idleMs: 2 * DAY_MS,
  refusedMs: 30 * DAY_MS,
  explainedMs: 90 * DAY_MS,
  identityMs: 7 * DAY_MS,
  silentMs: 365 * DAY_MS,
  mostBytes: 512 * 1_048_576,
  mostIdentities: 200_000,
  mostStates: 100_000,
  rowsPerStep: 5_000,
};

export interface Pruned {
  readonly deleted: number;
  /** Nothing more to do for now; else call again soon. */
  readonly isDone: boolean;
  /** The database was too large: history younger than its time has gone. */
  readonly isShortened: boolean;
}

/** The newest readings are needed to know redeliveries after a restart, however large the database is. */
const READINGS_KEPT = 20_000;
const CURSORS = 'retention';

interface Cursors {
  idle?: number;
  refused?: number;
}

interface Walk {
  readonly table: 'reading' | 'call' | 'note';
  readonly key: 'seq' | 'id';
  readonly time: 'received_ms' | 'started_ms' | 'at_ms';
  /** Which of the rows that are old enough go. */
  readonly which: string;
}

const IDLE: Walk = {
  table: 'reading',
  key: 'seq',
  time: 'received_ms',
  which: "effect IS NULL AND verdict <> 'refused'",
};
const REFUSED: Walk = { ...IDLE, which: "verdict = 'refused' AND effect IS NULL" };
const OLD_READINGS: Walk = { ...IDLE, which: 'TRUE' };
const OLD_CALLS: Walk = { table: 'call', key: 'id', time: 'started_ms', which: 'finished_ms IS NOT NULL' };
const OLD_NOTES: Walk = { table: 'note', key: 'seq', time: 'at_ms', which: 'TRUE' };

export class Retention {
  private readonly limits: RetentionLimits;

  constructor(
    private readonly db: Database.Database,
    private readonly commits: { urgent<T>(work: () => T): T },
    limits: Partial<RetentionLimits> = {},
  ) {
    this.limits = { ...RETENTION_LIMITS, ...limits };
  }

  /**
   * One transaction of bounded work. `now` is to be trusted; a clock that stands a day behind what was already
   * recorded is not, and nothing is forgotten by it.
   * @throws DatabaseError
   */
  prune(now: EpochMs): Pruned {
    const newest = this.db
      .prepare<[], { at: number }>('SELECT received_ms AS at FROM reading ORDER BY seq DESC LIMIT 1')
      .get();
    if (newest && newest.at > now + DAY_MS) return { deleted: 0, isDone: true, isShortened: false };
    const transaction = this.db.transaction(() => this.pruneAll(now));
    return this.commits.urgent(() => transaction.immediate());
  }

  private pruneAll(now: EpochMs): Pruned {
    const { limits } = this;
    const cursors = this.readCursors();
    const before = JSON.stringify(cursors);
    const steps = [
      this.walk(IDLE, now, limits.idleMs, cursors.idle ?? 0, (cursor) => (cursors.idle = cursor)),
      this.walk(REFUSED, now, limits.refusedMs, cursors.refused ?? 0, (cursor) => (cursors.refused = cursor)),
      this.walk(OLD_READINGS, now, limits.explainedMs),
      this.walk(OLD_CALLS, now, limits.explainedMs),
      this.walk(OLD_NOTES, now, limits.explainedMs),
      this.forget(
        'identity',
        'mapping, topic, identity',
        'seen_ms',
        now - limits.identityMs,
        limits.mostIdentities,
      ),
      this.forgetStates(now),
    ];
    const cut = steps.every((step) => step.isDone) && this.usedBytes() > limits.mostBytes;
    if (cut) steps.push(this.shorten());
    if (JSON.stringify(cursors) !== before) this.writeCursors(cursors);
    return {
      deleted: steps.reduce((sum, step) => sum + step.deleted, 0),
      isDone: steps.every((step) => step.isDone),
      isShortened: cut,
    };
  }

  /**
   * From the row after `cursor` on, as far as rows are old. Rows lie in the order they came; one that a wrong clock
   * dated into the future is taken to be as old as its neighbours. The last row stays, so that numbers never
   * begin anew below a cursor.
   */
  private walk(
    { table, key, time, which }: Walk,
    now: EpochMs,
    keptMs: number,
    cursor = 0,
    moved: (cursor: number) => void = () => undefined,
  ): Step {
    const { rowsPerStep } = this.limits;
    const rows = this.db
      .prepare<[number, number], { key: number; at: number }>(
        `SELECT ${key} AS key, ${time} AS at FROM ${table}
         WHERE ${key} > ? AND ${key} < (SELECT max(${key}) FROM ${table}) ORDER BY ${key} LIMIT ?`,
      )
      .all(cursor, rowsPerStep);
    const young = rows.findIndex(({ at }) => at >= now - keptMs && at <= now + DAY_MS);
    const last = (young === -1 ? rows : rows.slice(0, young)).at(-1);
    if (!last) return { deleted: 0, isDone: true };
    const { changes } = this.db
      .prepare<[number, number]>(`DELETE FROM ${table} WHERE ${key} > ? AND ${key} <= ? AND ${which}`)
      .run(cursor, last.key);
    moved(last.key);
    return { deleted: changes, isDone: young !== -1 || rows.length < rowsPerStep };
  }

  /** What is older than `before`, and past `most` rows the oldest. */
  private forget(table: string, key: string, time: string, before: number, most: number): Step {
    const { rowsPerStep } = this.limits;
    const remove = (condition: string, ...values: number[]): number =>
      this.db
        .prepare<number[]>(
          `DELETE FROM ${table} WHERE (${key}) IN (SELECT ${key} FROM ${table} ${condition} LIMIT ?)`,
        )
        .run(...values).changes;
    const aged = remove(`WHERE ${time} < ?`, before, rowsPerStep);
    const count = this.db.prepare<[], { n: number }>(`SELECT count(*) AS n FROM ${table}`).get()?.n ?? 0;
    const excess = Math.min(Math.max(count - most, 0), rowsPerStep);
    const cut = excess === 0 ? 0 : remove(`ORDER BY ${time}`, excess);
    return { deleted: aged + cut, isDone: aged < rowsPerStep && cut < rowsPerStep };
  }

  /** Those of a version that did not write the time down begin to age now. */
  private forgetStates(now: EpochMs): Step {
    this.db.prepare<[number]>('UPDATE mapping_state SET changed_ms = ? WHERE changed_ms IS NULL').run(now);
    const { silentMs, mostStates } = this.limits;
    return this.forget('mapping_state', 'mapping, topic', 'changed_ms', now - silentMs, mostStates);
  }

  private shorten(): Step {
    const { rowsPerStep } = this.limits;
    const oldest = ({ table, key, which }: Walk, kept: number): number =>
      this.db
        .prepare<[number, number]>(
          `DELETE FROM ${table} WHERE ${which} AND ${key} <= (SELECT max(${key}) FROM ${table}) - ?
             AND ${key} IN (SELECT ${key} FROM ${table} ORDER BY ${key} LIMIT ?)`,
        )
        .run(kept, rowsPerStep).changes;
    const deleted = oldest(OLD_READINGS, READINGS_KEPT) + oldest(OLD_NOTES, 1_000) + oldest(OLD_CALLS, 1_000);
    return { deleted, isDone: deleted === 0 || this.usedBytes() <= this.limits.mostBytes };
  }

  private usedBytes(): number {
    const number = (pragma: string): number => Number(this.db.pragma(pragma, { simple: true }));
    return (number('page_count') - number('freelist_count')) * number('page_size');
  }

  private readCursors(): Cursors {
    const row = this.db
      .prepare<[string], { value: string }>('SELECT value FROM meta WHERE key = ?')
      .get(CURSORS);
    return row ? (JSON.parse(row.value) as Cursors) : {};
  }

  private writeCursors(cursors: Cursors): void {
    this.db
      .prepare<[string, string]>(
        'INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value',
      )
      .run(CURSORS, JSON.stringify(cursors));
  }
}

interface Step {
  readonly deleted: number;
  readonly isDone: boolean;
}
