/**
 * The delivery's side of the database: its state loaded whole, its decisions written whole.
 */
import type Database from 'better-sqlite3';
import type { Decision } from '../core/delivery/draft.ts';
import {
  keyOf,
  newAccount,
  newSumKey,
  newValueKey,
  type Account,
  type Attribute,
  type DeliveryState,
  type Held,
  type Key,
  type Mode,
} from '../core/delivery/state.ts';
import type { ValueType } from '../core/attribute.ts';
import type { EpochMs, LocalDate } from '../core/time.ts';
import type { Units } from '../core/units.ts';

const ACCOUNT = 'account';

/** What the configuration says of an attribute. */
export type WantedAttribute = Pick<
  Attribute,
  'name' | 'template' | 'label' | 'group' | 'valueType' | 'wantedMode'
>;

/** How the delivery's transactions are carried out. */
export interface DeliveryWriting {
  /** Runs a whole transaction, again where the first attempt met the full disk. */
  urgent<T>(work: () => T): T;
  /** A call's intent is committed, and it leaves once this returns. */
  departing(callId: number): void;
}

export class DeliveryStore {
  private readonly sql;

  constructor(
    private readonly db: Database.Database,
    private readonly writing: DeliveryWriting = { urgent: (work) => work(), departing: () => undefined },
  ) {
    this.sql = prepare(db);
  }

  /**
   * Loads the state, lets `decide` work on it, and writes its decision: one durable transaction. `decide` may run
   * twice. Where the decision begins a call, its number is durable outside of the database as well.
   */
  transact(decide: (state: DeliveryState) => Decision, now: EpochMs): Decision {
    const { writing } = this;
    const transaction = this.db.transaction(() => {
      const decision = decide(this.load());
      this.save(decision, now);
      return decision;
    });
    const decision = writing.urgent(() => transaction.immediate());
    const { call } = decision;
    if (call) writing.urgent(() => writing.departing(call.id));
    return decision;
  }

  load(): DeliveryState {
    const keys = new Map<string, Key>();
    for (const row of this.sql.readOpen.all()) {
      keys.set(keyOf(row.attribute, row.day as LocalDate), keyOfRow(row));
    }
    return { account: this.account(), attributes: this.attributes(), keys };
  }

  /** By configured name. */
  attributes(): Map<string, Attribute> {
    return new Map(this.sql.readAttributes.all().map((row) => [row.name, attributeOf(row)]));
  }

  /** One day of one attribute, closed or not. */
  key(attribute: string, day: LocalDate): Key | undefined {
    const row = this.sql.readKey.get(attribute, day);
    return row && keyOfRow(row);
  }

  /** All keys of one day. */
  keysOfDay(day: LocalDate): Key[] {
    return this.sql.readDay.all(day).map(keyOfRow);
  }

  account(): Account {
    const row = this.sql.readMeta.get(ACCOUNT);
    return row ? { ...newAccount(), ...(JSON.parse(row.value) as Partial<Account>) } : newAccount();
  }

  /** Makes the attributes what the configuration says; those it no longer names stay, for what is still to be sent. */
  want(attributes: readonly WantedAttribute[]): void {
    const transaction = this.db.transaction(() => {
      for (const attribute of attributes) this.wantOne(attribute);
    });
    this.writing.urgent(() => transaction.immediate());
  }

  private wantOne(wanted: WantedAttribute): void {
    const row = this.sql.readAttribute.get(wanted.name);
    const known = row && attributeOf(row);
    const isSame =
      known !== undefined &&
      known.template === wanted.template &&
      known.label === wanted.label &&
      known.valueType === wanted.valueType;
    if (isSame && known.wantedMode === wanted.wantedMode) return;
    const mode: Mode = wanted.wantedMode ?? known?.mode ?? 'guarded';
    this.sql.writeAttribute.run(
      attributeRow({
        ...wanted,
        existName: isSame ? known.existName : null,
        mode,
        // Another mode is decided anew from what the owned list says.
        state: 'wanted',
        createdByUs: isSame ? known.createdByUs : false,
        reacquired: false,
        reason: null,
        retryAt: null,
      }),
    );
  }

  private save(decision: Decision, now: EpochMs): void {
    this.sql.writeMeta.run(ACCOUNT, JSON.stringify(decision.account));
    for (const attribute of decision.attributes) this.sql.writeAttribute.run(attributeRow(attribute));
    for (const key of decision.keys) this.sql.writeKey.run(keyRow(key));
    for (const { level, attribute, day, text } of decision.notes) {
      this.sql.addNote.run(now, level, attribute ?? null, day ?? null, text);
    }
    const { finished, call } = decision;
    if (finished)
      this.sql.finishCall.run(finished.finishedAt, finished.outcome, finished.detail, finished.id);
    if (call) this.sql.addCall.run(call.id, now, JSON.stringify(call.request));
  }
}

interface AttributeRow {
  readonly name: string;
  readonly exist_name: string | null;
  readonly template: string | null;
  readonly label: string;
  readonly group_name: string;
  readonly value_type: string;
  readonly wanted_mode: string | null;
  readonly mode: string;
  readonly state: string;
  readonly created_by_us: number;
  readonly reacquired: number;
  readonly reason: string | null;
  readonly retry_at_ms: number | null;
}

// The casts below narrow texts that CHECK constraints or our own writes keep to these words.
function attributeOf(row: AttributeRow): Attribute {
  return {
    name: row.name,
    existName: row.exist_name,
    template: row.template,
    label: row.label,
    group: row.group_name,
    valueType: row.value_type as ValueType,
    wantedMode: row.wanted_mode as Mode | null,
    mode: row.mode as Mode,
    state: row.state as Attribute['state'],
    createdByUs: row.created_by_us === 1,
    reacquired: row.reacquired === 1,
    reason: row.reason,
    retryAt: row.retry_at_ms as EpochMs | null,
  };
}

function attributeRow(attribute: Attribute): AttributeRow {
  return {
    name: attribute.name,
    exist_name: attribute.existName,
    template: attribute.template,
    label: attribute.label,
    group_name: attribute.group,
    value_type: attribute.valueType,
    wanted_mode: attribute.wantedMode,
    mode: attribute.mode,
    state: attribute.state,
    created_by_us: attribute.createdByUs ? 1 : 0,
    reacquired: attribute.reacquired ? 1 : 0,
    reason: attribute.reason,
    retry_at_ms: attribute.retryAt,
  };
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
  readonly ours: number;
  readonly flight_amount: number;
  readonly doubt: number;
  readonly repair: number;
  readonly repairs: number;
  readonly seen_at_ms: number | null;
  readonly wanted: string | null;
  readonly delivered: string | null;
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
    held,
    closed: row.closed === 1,
  };
  const day = row.day as LocalDate;
  const openSince = row.open_since_ms as EpochMs | null;
  if (row.kind === 'sum') {
    const seen = parse(row.seen);
    return {
      ...newSumKey(row.attribute, day, row.total as Units, openSince),
      ...shared,
      dropped: row.dropped as Units,
      base: row.base as Units | null,
      ours: row.ours as Units,
      flightAmount: row.flight_amount as Units,
      doubt: row.doubt as Units,
      seen: typeof seen === 'string' ? null : seen,
      seenAt: row.seen_at_ms as EpochMs | null,
      repair: row.repair === 1,
      repairs: row.repairs,
    };
  }
  return {
    ...newValueKey(row.attribute, day, parse(row.wanted) ?? '', openSince),
    ...shared,
    delivered: parse(row.delivered),
    flightValue: parse(row.flight_value),
    doubted: row.doubted === 1,
    seen: parse(row.seen),
    based: row.based === 1,
  };
}

/** Everything but the total: that is the intake's alone. */
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
    dropped: sum?.dropped ?? 0,
    base: sum?.base ?? null,
    ours: sum?.ours ?? 0,
    flight_amount: sum?.flightAmount ?? 0,
    doubt: sum?.doubt ?? 0,
    repair: sum?.repair ? 1 : 0,
    repairs: sum?.repairs ?? 0,
    seen_at_ms: sum?.seenAt ?? null,
    wanted: value ? format(value.wanted) : null,
    delivered: format(value?.delivered ?? null),
    flight_value: format(value?.flightValue ?? null),
    doubted: value?.doubted ? 1 : 0,
    based: value?.based ? 1 : 0,
    seen: format(key.seen),
  };
}

function prepare(db: Database.Database) {
  return {
    readMeta: db.prepare<[string], { value: string }>('SELECT value FROM meta WHERE key = ?'),
    writeMeta: db.prepare<[string, string]>(
      'INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value',
    ),
    readAttributes: db.prepare<[], AttributeRow>('SELECT * FROM attribute ORDER BY name'),
    readAttribute: db.prepare<[string], AttributeRow>('SELECT * FROM attribute WHERE name = ?'),
    writeAttribute: db.prepare<[AttributeRow]>(
      `INSERT INTO attribute (name, exist_name, template, label, group_name, value_type, wanted_mode, mode, state,
         created_by_us, reacquired, reason, retry_at_ms)
       VALUES (@name, @exist_name, @template, @label, @group_name, @value_type, @wanted_mode, @mode, @state,
         @created_by_us, @reacquired, @reason, @retry_at_ms)
       ON CONFLICT DO UPDATE SET exist_name = excluded.exist_name, template = excluded.template,
         label = excluded.label, group_name = excluded.group_name, value_type = excluded.value_type,
         wanted_mode = excluded.wanted_mode, mode = excluded.mode, state = excluded.state,
         created_by_us = excluded.created_by_us, reacquired = excluded.reacquired, reason = excluded.reason,
         retry_at_ms = excluded.retry_at_ms`,
    ),
    readOpen: db.prepare<[], KeyRow>('SELECT * FROM ledger WHERE closed = 0 ORDER BY day, attribute'),
    readKey: db.prepare<[string, string], KeyRow>('SELECT * FROM ledger WHERE attribute = ? AND day = ?'),
    readDay: db.prepare<[string], KeyRow>('SELECT * FROM ledger WHERE day = ? ORDER BY attribute'),
    writeKey: db.prepare<[Omit<KeyRow, 'kind' | 'total'>]>(
      `UPDATE ledger SET open_since_ms = @open_since_ms, flight = @flight, flight_since_ms = @flight_since_ms,
         look_at_ms = @look_at_ms, looks_left = @looks_left, sent_at_ms = @sent_at_ms, held_state = @held_state, held_reason = @held_reason,
         held_since_ms = @held_since_ms, closed = @closed, dropped = @dropped, base = @base, ours = @ours,
         flight_amount = @flight_amount, doubt = @doubt, repair = @repair, repairs = @repairs,
         seen_at_ms = @seen_at_ms, wanted = coalesce(@wanted, wanted), delivered = @delivered,
         flight_value = @flight_value, doubted = @doubted, based = @based, seen = @seen
       WHERE attribute = @attribute AND day = @day`,
    ),
    addNote: db.prepare<[number, string, string | null, string | null, string]>(
      'INSERT INTO note (at_ms, level, attribute, day, text) VALUES (?, ?, ?, ?, ?)',
    ),
    addCall: db.prepare<[number, number, string]>(
      'INSERT INTO call (id, started_ms, request) VALUES (?, ?, ?)',
    ),
    finishCall: db.prepare<[number, string, string, number]>(
      'UPDATE call SET finished_ms = ?, outcome = ?, detail = ? WHERE id = ?',
    ),
  };
}
