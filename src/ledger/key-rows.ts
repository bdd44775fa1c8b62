/**
 * The ledger's rows: one key per attribute and local day.
 */
import type Database from 'better-sqlite3';
import { newSumKey, newValueKey, type Fixed, type Held, type Key } from '../core/delivery/state.ts';
import type { EpochMs, LocalDate } from '../core/time.ts';
import type { Units } from '../core/units.ts';

export class KeyRows {
  private readonly sql;

  constructor(db: Database.Database) {
    this.sql = prepare(db);
  }

  open(): Key[] {
    return this.sql.readOpen.all().map(keyOfRow);
  }

  key(attribute: string, day: LocalDate): Key | undefined {
    const row = this.sql.readKey.get(attribute, day);
    return row && keyOfRow(row);
  }

  ofDay(day: LocalDate): Key[] {
    return this.sql.readDay.all(day).map(keyOfRow);
  }

  /** Everything but kind and total: those are the intake's alone. */
  write(key: Key): void {
    this.sql.write.run(keyRow(key));
  }

  /** A key that a mapping made another kind of, with all that it is. */
  turn(key: Key): void {
    this.sql.turn.run({ ...keyRow(key), kind: key.kind, total: key.total });
    this.write(key);
  }
}

interface KeyRow {
  readonly attribute: string;
  readonly day: string;
  readonly kind: string;
  readonly open_since_ms: number | null;
  readonly flight: string;
  readonly flight_since_ms: number | null;
  readonly look_at_ms: number | null;
  readonly looks_left: number;
  readonly sent_at_ms: number | null;
  readonly held_state: string | null;
  readonly held_reason: string | null;
  readonly held_since_ms: number | null;
  readonly closed: number;
  readonly total: number;
  readonly dropped: number;
  readonly base: number | null;
  readonly fixed_total: number | null;
  readonly fixed_by: string | null;
  readonly ours: number;
  readonly flight_amount: number;
  readonly doubt: number;
  readonly repair: number;
  readonly repairs: number;
  readonly seen_at_ms: number | null;
  readonly wanted: string | null;
  readonly delivered: string | null;
  readonly adopted: string | null;
  readonly flight_value: string | null;
  readonly doubted: number;
  readonly based: number;
  readonly seen: string | null;
}

function parse(json: string | null): Units | string | null {
  return json === null ? null : (JSON.parse(json) as Units | string | null);
}

function format(value: Units | string | null): string | null {
  return value === null ? null : JSON.stringify(value);
}

function keyOfRow(row: KeyRow): Key {
  const held: Held | null =
    row.held_state === null
      ? null
      : {
          state: row.held_state as Held['state'],
          reason: row.held_reason ?? '',
          since: (row.held_since_ms ?? 0) as EpochMs,
        };
  const shared = {
    flight: row.flight as Key['flight'],
    flightSince: row.flight_since_ms as EpochMs | null,
    lookAt: row.look_at_ms as EpochMs | null,
    looksLeft: row.looks_left,
    sentAt: row.sent_at_ms as EpochMs | null,
    seenAt: row.seen_at_ms as EpochMs | null,
    held,
    closed: row.closed === 1,
    total: row.total as Units,
    dropped: row.dropped as Units,
    ours: row.ours as Units,
    flightAmount: row.flight_amount as Units,
    flightValue: parse(row.flight_value),
  };
  const day = row.day as LocalDate;
  const openSince = row.open_since_ms as EpochMs | null;
  if (row.kind === 'sum') {
    const seen = parse(row.seen);
    return {
      ...newSumKey(row.attribute, day, row.total as Units, openSince),
      ...shared,
      base: row.base as Units | null,
      fixed:
        row.fixed_total === null
          ? null
          : // A CHECK constraint keeps it to these words.
            { total: row.fixed_total as Units, by: row.fixed_by as Fixed['by'] },
      doubt: row.doubt as Units,
      seen: typeof seen === 'string' ? null : seen,
      repair: row.repair === 1,
      repairs: row.repairs,
    };
  }
  return {
    ...newValueKey(row.attribute, day, parse(row.wanted) ?? '', openSince),
    ...shared,
    delivered: parse(row.delivered),
    adopted: parse(row.adopted),
    doubted: row.doubted === 1,
    seen: parse(row.seen),
    based: row.based === 1,
  };
}

function keyRow(key: Key): Omit<KeyRow, 'kind' | 'total'> {
  const sum = key.kind === 'sum' ? key : undefined;
  const value = key.kind === 'value' ? key : undefined;
  return {
    attribute: key.attribute,
    day: key.day,
    open_since_ms: key.openSince,
    flight: key.flight,
    flight_since_ms: key.flightSince,
    look_at_ms: key.lookAt,
    looks_left: key.looksLeft,
    sent_at_ms: key.sentAt,
    held_state: key.held?.state ?? null,
    held_reason: key.held?.reason ?? null,
    held_since_ms: key.held?.since ?? null,
    closed: key.closed ? 1 : 0,
    dropped: key.dropped,
    base: sum?.base ?? null,
    fixed_total: sum?.fixed?.total ?? null,
    fixed_by: sum?.fixed?.by ?? null,
    ours: key.ours,
    flight_amount: key.flightAmount,
    doubt: sum?.doubt ?? 0,
    repair: sum?.repair ? 1 : 0,
    repairs: sum?.repairs ?? 0,
    seen_at_ms: key.seenAt,
    wanted: value ? format(value.wanted) : null,
    delivered: format(value?.delivered ?? null),
    adopted: format(value?.adopted ?? null),
    flight_value: format(key.flightValue),
    doubted: value?.doubted ? 1 : 0,
    based: value?.based ? 1 : 0,
    seen: format(key.seen),
  };
}

function prepare(db: Database.Database) {
  return {
    readOpen: db.prepare<[], KeyRow>('SELECT * FROM ledger WHERE closed = 0 ORDER BY day, attribute'),
    readKey: db.prepare<[string, string], KeyRow>('SELECT * FROM ledger WHERE attribute = ? AND day = ?'),
    readDay: db.prepare<[string], KeyRow>('SELECT * FROM ledger WHERE day = ? ORDER BY attribute'),
    // Where the user set the day's value, further values are put together with that one.
    write: db.prepare<[Omit<KeyRow, 'kind' | 'total'>]>(
      `UPDATE ledger SET open_since_ms = @open_since_ms, flight = @flight, flight_since_ms = @flight_since_ms,
         look_at_ms = @look_at_ms, looks_left = @looks_left, sent_at_ms = @sent_at_ms, held_state = @held_state,
         held_reason = @held_reason, held_since_ms = @held_since_ms, closed = @closed, dropped = @dropped,
         base = @base, fixed_total = @fixed_total, fixed_by = @fixed_by, ours = @ours,
         flight_amount = @flight_amount, doubt = @doubt, repair = @repair, repairs = @repairs,
         seen_at_ms = @seen_at_ms,
         aggregate = CASE
           WHEN aggregate IS NULL OR @wanted IS NULL OR @wanted = wanted THEN aggregate
           WHEN json_extract(aggregate, '$.pick') = 'mean' THEN json_set(aggregate, '$.sum', @wanted, '$.count', 1)
           ELSE json_set(aggregate, '$.value', json(@wanted))
         END,
         wanted = coalesce(@wanted, wanted), delivered = @delivered, adopted = @adopted,
         flight_value = @flight_value, doubted = @doubted, based = @based, seen = @seen
       WHERE attribute = @attribute AND day = @day`,
    ),
    turn: db.prepare<[KeyRow]>(
      `UPDATE ledger SET kind = @kind, total = @total, wanted = coalesce(@wanted, wanted)
       WHERE attribute = @attribute AND day = @day`,
    ),
  };
}
