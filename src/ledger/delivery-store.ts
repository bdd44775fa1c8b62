/**
 * The delivery's side of the database: its state loaded whole, its decisions written whole.
 */
import type Database from 'better-sqlite3';
import { goOnElsewhere } from '../core/delivery/another.ts';
import type { Decision } from '../core/delivery/draft.ts';
import {
  keyOf,
  newAccount,
  type Account,
  type Attribute,
  type DeliveryState,
  type Key,
  type Mode,
} from '../core/delivery/state.ts';
import type { ValueType } from '../core/attribute.ts';
import type { EpochMs, LocalDate } from '../core/time.ts';
import { KeyRows } from './key-rows.ts';

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
  private readonly keyRows: KeyRows;

  constructor(
    private readonly db: Database.Database,
    private readonly writing: DeliveryWriting = { urgent: (work) => work(), departing: () => undefined },
  ) {
    this.sql = prepare(db);
    this.keyRows = new KeyRows(db);
  }

  /**
   * Loads the state, lets `decide` work on it, and writes its decision: one durable transaction. `decide` may run
   * twice. Before a call that it begins may leave, `depart` must have returned.
   */
  transact(decide: (state: DeliveryState) => Decision, now: EpochMs): Decision {
    const transaction = this.db.transaction(() => {
      const decision = decide(this.load());
      this.save(decision, now);
      return decision;
    });
    return this.writing.urgent(() => transaction.immediate());
  }

  /** Makes the number of a call durable outside of the database as well: an older copy of that shows by it. */
  depart(callId: number): void {
    this.writing.urgent(() => this.writing.departing(callId));
  }

  load(): DeliveryState {
    const keys = new Map<string, Key>();
    for (const key of this.keyRows.open()) keys.set(keyOf(key.attribute, key.day), key);
    return { account: this.account(), attributes: this.attributes(), keys };
  }

  /** By configured name. */
  attributes(): Map<string, Attribute> {
    return new Map(this.sql.readAttributes.all().map((row) => [row.name, attributeOf(row)]));
  }

  /** One day of one attribute, closed or not. */
  key(attribute: string, day: LocalDate): Key | undefined {
    return this.keyRows.key(attribute, day);
  }

  /** All keys of one day. */
  keysOfDay(day: LocalDate): Key[] {
    return this.keyRows.ofDay(day);
  }

  account(): Account {
    const row = this.sql.readMeta.get(ACCOUNT);
    return row ? { ...newAccount(), ...(JSON.parse(row.value) as Partial<Account>) } : newAccount();
  }

  /** Makes the attributes what the configuration says; those it no longer names stay, for what is still to be sent. */
  want(attributes: readonly WantedAttribute[], now: EpochMs): void {
    const transaction = this.db.transaction(() => {
      for (const attribute of attributes) this.wantOne(attribute, now);
    });
    this.writing.urgent(() => transaction.immediate());
  }

  private wantOne(wanted: WantedAttribute, now: EpochMs): void {
    const row = this.sql.readAttribute.get(wanted.name);
    const known = row && attributeOf(row);
    const isSame =
      known !== undefined &&
      known.template === wanted.template &&
      known.label === wanted.label &&
      known.valueType === wanted.valueType;
    if (isSame && known.wantedMode === wanted.wantedMode && known.group === wanted.group) return;
    if (known && !isSame) this.goOnElsewhere(wanted.name, now);
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

  private goOnElsewhere(name: string, now: EpochMs): void {
    for (const key of this.keyRows.open().filter(({ attribute }) => attribute === name)) {
      const wasHeld = key.held !== null;
      goOnElsewhere(key, now);
      this.keyRows.write(key);
      if (key.held && !wasHeld) this.sql.addNote.run(now, 'error', name, key.day, key.held.reason);
    }
  }

  private save(decision: Decision, now: EpochMs): void {
    this.sql.writeMeta.run(ACCOUNT, JSON.stringify(decision.account));
    for (const attribute of decision.attributes) this.sql.writeAttribute.run(attributeRow(attribute));
    for (const key of decision.keys) this.keyRows.write(key);
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
