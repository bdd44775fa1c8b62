/**
 * The intake's side of the database: what came in, what the mappings remember, and what it adds to each day.
 *
 * The changes of a group of readings are gathered, then written in one durable transaction: a hundred readings of
 * one meter cost one row of state and one of the ledger, and a group that changes nothing costs nothing. Nothing
 * gathered outlives a group that fails.
 */
import type Database from 'better-sqlite3';
import { combine, dayValueResult, type DayValue } from '../core/day-value.ts';
import { countInto, setInto } from '../core/delivery/contribute.ts';
import type { Counters, DeliveryMark, JournalEntry, UndatedMessage } from '../core/journal.ts';
import type { MappingState } from '../core/mapping/mapping-state.ts';
import type { Contribution } from '../core/reading.ts';
import type { EpochMs, LocalDate } from '../core/time.ts';
import { add, type Units } from '../core/units.ts';
import { KeyRows } from './key-rows.ts';
import { ReadingRows } from './reading-rows.ts';

/** States kept in memory beside the database; past it the ones used longest ago are read again when needed. */
const MOST_CACHED_STATES = 10_000;
const COUNTERS = 'readings';
const HEARD = 'heard';

interface StateChange {
  readonly mapping: string;
  readonly topic: string;
  readonly state: MappingState;
  readonly dueAt: EpochMs | undefined;
}

interface DayChange {
  readonly attribute: string;
  readonly day: LocalDate;
  amount: Units | undefined;
  values: (Contribution & { kind: 'value' })[];
  readonly since: EpochMs;
}

interface Companion {
  /** Within the transaction. */
  join(): void;
  /** It is durable. */
  joined(): void;
}

const ALONE: Companion = { join: () => undefined, joined: () => undefined };

export class Journal {
  private readonly sql;
  private readonly readingRows: ReadingRows;
  private readonly keyRows: KeyRows;
  private readonly states = new Map<string, MappingState>();
  private readonly changedStates = new Map<string, StateChange>();
  private readonly changedDays = new Map<string, DayChange>();
  private readonly entries: JournalEntry[] = [];
  private readonly identities = new Map<string, readonly [string, string, string, number]>();
  private readonly undatedChanges: (() => void)[] = [];
  private readonly counted: Counters;
  private readonly writeAll: Database.Transaction<() => void>;

  constructor(
    db: Database.Database,
    /** Refuses readings while the disk is short, and ends all writing once it fails. */
    private readonly commits: { readings<T>(work: () => T): T },
    /** Others with something to write; it goes into the same transaction. */
    private readonly companion: Companion = ALONE,
  ) {
    this.sql = prepare(db);
    this.readingRows = new ReadingRows(db);
    this.keyRows = new KeyRows(db);
    this.counted = this.readCounters();
    this.writeAll = db.transaction(() => {
      this.write();
    });
  }

  get counters(): Readonly<Counters> {
    return this.counted;
  }

  /** Counts a reading; written with the next group that writes anything. */
  count(verdict: keyof Counters): void {
    this.counted[verdict] += 1;
  }

  /** Runs `work` and writes all that it changed in one durable transaction; on a throw nothing of it stays. */
  transact<T>(work: () => T): T {
    const counted = { ...this.counted };
    try {
      return this.commits.readings(() => {
        const result = work();
        if (this.hasChanges()) {
          this.writeAll.immediate();
          this.companion.joined();
          for (const [id, change] of this.changedStates) this.cache(id, change.state);
        }
        return result;
      });
    } catch (error) {
      Object.assign(this.counted, counted);
      throw error;
    } finally {
      this.changedStates.clear();
      this.changedDays.clear();
      this.identities.clear();
      this.entries.length = 0;
      this.undatedChanges.length = 0;
    }
  }

  private hasChanges(): boolean {
    return (
      this.changedStates.size > 0 ||
      this.entries.length > 0 ||
      this.identities.size > 0 ||
      this.undatedChanges.length > 0
    );
  }

  state(mapping: string, topic: string): MappingState | undefined {
    const id = stateId(mapping, topic);
    const known = this.changedStates.get(id)?.state ?? this.states.get(id);
    if (known) return known;
    const row = this.sql.readState.get(mapping, topic);
    if (!row) return undefined;
    const state = JSON.parse(row.state) as MappingState;
    this.cache(id, state);
    return state;
  }

  putState(mapping: string, topic: string, state: MappingState, dueAt: EpochMs | undefined): void {
    this.changedStates.set(stateId(mapping, topic), { mapping, topic, state, dueAt });
  }

  /** The states that want to be woken. */
  due(): { readonly mapping: string; readonly topic: string }[] {
    return this.sql.readDue.all();
  }

  storedStates(): { readonly mapping: string; readonly topic: string; readonly state: MappingState }[] {
    return this.sql.readStates
      .all()
      .map(({ mapping, topic, state }) => ({ mapping, topic, state: JSON.parse(state) as MappingState }));
  }

  /** Records an identity; `false` where it was seen before on that topic. */
  isNewIdentity(mapping: string, topic: string, identity: string, now: EpochMs): boolean {
    const id = JSON.stringify([mapping, topic, identity]);
    if (this.identities.has(id) || this.sql.readIdentity.get(mapping, topic, identity)) return false;
    this.identities.set(id, [mapping, topic, identity, now]);
    return true;
  }

  add(entry: JournalEntry): void {
    this.entries.push(entry);
    for (const contribution of entry.contributions) this.contribute(contribution, entry.receivedAt);
  }

  private contribute(contribution: Contribution, now: EpochMs): void {
    const id = `${contribution.day} ${contribution.attribute}`;
    let change = this.changedDays.get(id);
    if (!change) {
      const { attribute, day } = contribution;
      change = { attribute, day, amount: undefined, values: [], since: now };
      this.changedDays.set(id, change);
    }
    if (contribution.kind === 'sum') change.amount = add(change.amount ?? (0 as Units), contribution.amount);
    else change.values.push(contribution);
  }

  addUndated(message: Omit<UndatedMessage, 'seq'>): void {
    const { delivery } = message;
    this.undatedChanges.push(() =>
      this.sql.addUndated.run(
        message.bootId,
        Math.round(message.monotonicMs),
        message.topic,
        Buffer.from(message.payload),
        message.retain ? 1 : 0,
        message.replay ? 1 : 0,
        delivery?.client ?? null,
        delivery?.packetId ?? null,
        delivery?.digest ?? null,
      ),
    );
  }

  /** The oldest undated messages, in the order they came. */
  undated(most: number): UndatedMessage[] {
    return this.sql.readUndated.all(most).map((row) => ({
      seq: row.seq,
      bootId: row.boot_id,
      monotonicMs: row.monotonic_ms,
      topic: row.topic,
      payload: row.payload,
      retain: row.retain === 1,
      replay: row.replay === 1,
      delivery: mark(row),
    }));
  }

  removeUndated(seq: number): void {
    this.undatedChanges.push(() => this.sql.removeUndated.run(seq));
  }

  undatedCount(): number {
    return this.sql.countUndated.get()?.n ?? 0;
  }

  /** The boots of the undated messages, oldest first, and when in each the last one came. */
  undatedBoots(): { readonly bootId: string; readonly lastMs: number }[] {
    return this.sql.readBoots.all();
  }

  /**
   * The marks of publishes taken lately, oldest first, to know their redeliveries after a restart. `at` is `undefined`
   * where the message has no date yet.
   */
  recentDeliveries(most: number): { readonly mark: DeliveryMark; readonly at: EpochMs | undefined }[] {
    const rows = [
      ...this.sql.readRecent.all(most).reverse(),
      ...this.sql.readUndatedMarks.all(most).reverse(),
    ];
    return rows.flatMap((row) => {
      const found = mark(row);
      return found ? [{ mark: found, at: (row.received_ms ?? undefined) as EpochMs | undefined }] : [];
    });
  }

  /** The last refused readings, newest first. */
  refused(
    most: number,
  ): { readonly at: EpochMs; readonly topic: string; readonly reason: string; readonly payload: string }[] {
    return this.sql.readRefused.all(most).map((row) => ({ ...row, at: row.at as EpochMs }));
  }

  /** When mappings were last heard of, as it was last saved. */
  lastHeard(): Readonly<Record<string, number>> {
    const row = this.sql.readMeta.get(HEARD);
    return row ? (JSON.parse(row.value) as Record<string, number>) : {};
  }

  saveLastHeard(heard: Readonly<Record<string, number>>): void {
    this.commits.readings(() => this.sql.writeMeta.run(HEARD, JSON.stringify(heard)));
  }

  private write(): void {
    for (const change of this.undatedChanges) change();
    for (const identity of this.identities.values()) this.sql.addIdentity.run(...identity);
    this.readingRows.insert(this.entries);
    const changedAt = this.entries.at(-1)?.receivedAt ?? null;
    for (const { mapping, topic, state, dueAt } of this.changedStates.values()) {
      this.sql.writeState.run(mapping, topic, JSON.stringify(state), dueAt ?? null, changedAt);
    }
    for (const change of this.changedDays.values()) {
      if (change.amount !== undefined) this.addToSum(change, change.amount);
      if (change.values.length > 0) this.writeValue(change);
    }
    this.sql.writeMeta.run(COUNTERS, JSON.stringify(this.counted));
    this.companion.join();
  }

  private addToSum({ attribute, day, since: now }: DayChange, amount: Units): void {
    if (this.sql.addToSum.run(attribute, day, amount, now).changes > 0) return;
    // The mapping changed its operation in the middle of the day, or the day was done.
    this.keyRows.turn(countInto(this.keyRows.key(attribute, day), { attribute, day, now }, amount));
  }

  private writeValue({ attribute, day, since: now, values }: DayChange): void {
    const row = this.sql.readAggregate.get(attribute, day);
    // A sum's row may have one, of a mapping before.
    let aggregate = row?.aggregate ? (JSON.parse(row.aggregate) as DayValue) : undefined;
    for (const value of values) aggregate = combine(aggregate, value);
    if (!aggregate) return;
    const wanted = dayValueResult(aggregate);
    const json = JSON.stringify(aggregate);
    if (this.sql.writeValue.run(attribute, day, json, JSON.stringify(wanted), now).changes > 0) return;
    const isNews = row?.aggregate !== json;
    this.keyRows.turn(setInto(this.keyRows.key(attribute, day), { attribute, day, now }, wanted, isNews));
    this.sql.writeAggregate.run(json, attribute, day);
  }

  private cache(id: string, state: MappingState): void {
    this.states.set(id, state);
    if (this.states.size <= MOST_CACHED_STATES) return;
    const oldest = this.states.keys().next();
    if (!oldest.done) this.states.delete(oldest.value);
  }

  private readCounters(): Counters {
    const none: Counters = { accepted: 0, ignored: 0, refused: 0, duplicates: 0 };
    const row = this.sql.readMeta.get(COUNTERS);
    return row ? { ...none, ...(JSON.parse(row.value) as Partial<Counters>) } : none;
  }
}

function stateId(mapping: string, topic: string): string {
  return `${mapping}\n${topic}`;
}

interface MarkRow {
  readonly client: string | null;
  readonly packet_id: number | null;
  readonly digest: string | null;
}

function mark({ client, packet_id: packetId, digest }: MarkRow): DeliveryMark | undefined {
  return client === null || packetId === null || digest === null ? undefined : { client, packetId, digest };
}

interface UndatedRow extends MarkRow {
  readonly seq: number;
  readonly boot_id: string;
  readonly monotonic_ms: number;
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly retain: number;
  readonly replay: number;
}

function prepare(db: Database.Database) {
  return {
    readState: db.prepare<[string, string], { state: string }>(
      'SELECT state FROM mapping_state WHERE mapping = ? AND topic = ?',
    ),
    writeState: db.prepare<[string, string, string, number | null, number | null]>(
      `INSERT INTO mapping_state (mapping, topic, state, due_ms, changed_ms) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET state = excluded.state, due_ms = excluded.due_ms,
         changed_ms = coalesce(excluded.changed_ms, changed_ms)`,
    ),
    readDue: db.prepare<[], { mapping: string; topic: string }>(
      'SELECT mapping, topic FROM mapping_state WHERE due_ms IS NOT NULL',
    ),
    readStates: db.prepare<[], { mapping: string; topic: string; state: string }>(
      'SELECT mapping, topic, state FROM mapping_state',
    ),
    addIdentity: db.prepare<[string, string, string, number]>(
      'INSERT OR IGNORE INTO identity (mapping, topic, identity, seen_ms) VALUES (?, ?, ?, ?)',
    ),
    readIdentity: db.prepare<[string, string, string], { seen_ms: number }>(
      'SELECT seen_ms FROM identity WHERE mapping = ? AND topic = ? AND identity = ?',
    ),
    readRecent: db.prepare<[number], MarkRow & { received_ms: number | null }>(
      `SELECT client, packet_id, digest, received_ms FROM reading WHERE client IS NOT NULL ORDER BY seq DESC LIMIT ?`,
    ),
    readRefused: db.prepare<[number], { at: number; topic: string; reason: string; payload: string }>(
      `SELECT received_ms AS at, topic, coalesce(reason, '') AS reason, coalesce(sample, '') AS payload
       FROM (SELECT * FROM reading ORDER BY seq DESC LIMIT 10000) WHERE verdict = 'refused' LIMIT ?`,
    ),
    addUndated: db.prepare<
      [string, number, string, Uint8Array, number, number, string | null, number | null, string | null]
    >(
      `INSERT INTO undated (boot_id, monotonic_ms, topic, payload, retain, replay, client, packet_id, digest)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    ),
    readUndated: db.prepare<[number], UndatedRow>('SELECT * FROM undated ORDER BY seq LIMIT ?'),
    readUndatedMarks: db.prepare<[number], MarkRow & { received_ms: number | null }>(
      'SELECT client, packet_id, digest, NULL AS received_ms FROM undated ORDER BY seq DESC LIMIT ?',
    ),
    readBoots: db.prepare<[], { bootId: string; lastMs: number }>(
      'SELECT boot_id AS bootId, max(monotonic_ms) AS lastMs FROM undated GROUP BY boot_id ORDER BY min(seq)',
    ),
    removeUndated: db.prepare<[number]>('DELETE FROM undated WHERE seq = ?'),
    countUndated: db.prepare<[], { n: number }>('SELECT count(*) AS n FROM undated'),
    // These change what `core/delivery/contribute.ts` does to a key of the kind it has; nothing where it has the other.
    addToSum: db.prepare<[string, string, number, number]>(
      `INSERT INTO ledger (attribute, day, kind, total, open_since_ms) VALUES (?, ?, 'sum', ?, ?)
       ON CONFLICT DO UPDATE SET
         total = total + excluded.total,
         open_since_ms = coalesce(open_since_ms, excluded.open_since_ms)
       WHERE kind = 'sum' AND closed = 0`,
    ),
    readAggregate: db.prepare<[string, string], { aggregate: string | null }>(
      'SELECT aggregate FROM ledger WHERE attribute = ? AND day = ?',
    ),
    writeValue: db.prepare<[string, string, string, string, number]>(
      `INSERT INTO ledger (attribute, day, kind, aggregate, wanted, open_since_ms) VALUES (?, ?, 'value', ?, ?, ?)
       ON CONFLICT DO UPDATE SET
         delivered = iif(adopted IS NOT NULL AND delivered = excluded.wanted AND aggregate IS NOT excluded.aggregate,
           NULL, delivered),
         aggregate = excluded.aggregate,
         wanted = excluded.wanted,
         open_since_ms = coalesce(open_since_ms, excluded.open_since_ms)
       WHERE kind = 'value' AND closed = 0`,
    ),
    writeAggregate: db.prepare<[string, string, string]>(
      'UPDATE ledger SET aggregate = ? WHERE attribute = ? AND day = ?',
    ),
    readMeta: db.prepare<[string], { value: string }>('SELECT value FROM meta WHERE key = ?'),
    writeMeta: db.prepare<[string, string]>(
      'INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value',
    ),
  };
}
