/** A ledger in a folder of its own, readings for it, and an Exist that its delivery reaches without a network. */
import path from 'node:path';
import Database from 'better-sqlite3';
import { onTestFinished } from 'vitest';
import { step, type Event } from '../../src/core/delivery/step.ts';
import type { Settlement } from '../../src/core/delivery/settlement.ts';
import type { Key, Settings } from '../../src/core/delivery/state.ts';
import { keyOf } from '../../src/core/delivery/state.ts';
import type { JournalEntry } from '../../src/core/journal.ts';
import { MINUTE_MS, localDate, type EpochMs, type LocalDate } from '../../src/core/time.ts';
import { toUnits, type Units } from '../../src/core/units.ts';
import type { DamageReport } from '../../src/ledger/damage-report.ts';
import { DATABASE_FILE } from '../../src/ledger/database.ts';
import type { WantedAttribute } from '../../src/ledger/delivery-store.ts';
import { Ledger, type LedgerOptions } from '../../src/ledger/ledger.ts';
import { ExistModel, type Fault } from '../simulation/exist-model.ts';
import { Random } from '../simulation/random.ts';
import { temporaryFolder } from '../support/folder.ts';

const SETTINGS: Settings = {
  settleMs: 90_000,
  callsPerHour: 100_000,
  flushEveryMs: 0,
  lingerMs: 0,
  batch: 35,
  timezone: 'UTC',
};

const ATTRIBUTES: readonly WantedAttribute[] = [
  { name: 'opens', template: null, label: 'Opens', group: 'food', valueType: 'integer', wantedMode: null },
  { name: 'power', template: null, label: 'Power', group: 'food', valueType: 'decimal', wantedMode: null },
  { name: 'weight', template: null, label: 'Weight', group: 'food', valueType: 'decimal', wantedMode: null },
];

export const TODAY = '2026-11-24' as LocalDate;
const MORNING = Date.parse('2026-11-24T08:00:00Z') as EpochMs;

export class Bench {
  readonly reports: DamageReport[] = [];
  readonly exist = new ExistModel(new Random(1), true, new Map());
  now = MORNING;
  private opened: Ledger | undefined;

  constructor(
    readonly folder = temporaryFolder(),
    private readonly options: LedgerOptions = {},
  ) {
    onTestFinished(() => this.close());
  }

  get file(): string {
    return path.join(this.folder, DATABASE_FILE);
  }

  /** Open, and opened where it is not. */
  get ledger(): Ledger {
    if (!this.opened) {
      this.opened = Ledger.open(this.folder, {
        now: this.now,
        onDamage: (report) => this.reports.push(report),
        ...this.options,
      });
      this.opened.delivery.want(ATTRIBUTES, this.now);
    }
    return this.opened;
  }

  close(): void {
    this.opened?.close();
    this.opened = undefined;
  }

  pass(minutes: number): void {
    this.now = (this.now + minutes * MINUTE_MS) as EpochMs;
  }

  /** A reading that adds `amount` to today. */
  count(amount: number, attribute = 'opens', entry: Partial<JournalEntry> = {}): void {
    const day = localDate(this.now, 'UTC');
    this.enter({ contributions: [{ kind: 'sum', attribute, day, amount: units(amount) }], ...entry });
  }

  /** A reading that is today's value now. */
  set(value: number, attribute = 'weight'): void {
    const { now } = this;
    const day = localDate(now, 'UTC');
    this.enter({
      contributions: [{ kind: 'value', attribute, day, pick: 'last', at: now, value: units(value) }],
    });
  }

  enter(entry: Partial<JournalEntry>): void {
    const { journal } = this.ledger;
    journal.transact(() =>
      journal.add({
        receivedAt: this.now,
        topic: 'kitchen/fridge',
        verdict: 'accepted',
        delivery: undefined,
        contributions: [],
        reason: undefined,
        sample: undefined,
        ...entry,
      }),
    );
  }

  /** Lets the delivery do all that is due now. */
  deliver(fault?: Fault): void {
    this.run({ type: 'wake' }, fault);
  }

  /** Begins the next call and leaves it without an answer. */
  beginCall(): void {
    this.step({ type: 'wake' });
  }

  restartDelivery(): void {
    this.run({ type: 'started' });
  }

  settle(how: 'retry' | 'drop' | 'count', attribute = 'opens'): void {
    const settlement: Settlement = { attribute, day: TODAY, how };
    this.run({ type: 'settled', settlement });
  }

  /** Held, it is set by the user; the delivery does not get to it yet. */
  settleTo(total: number, attribute = 'opens'): void {
    const settlement: Settlement = { attribute, day: TODAY, how: 'set', total: units(total) };
    this.step({ type: 'settled', settlement }, true);
  }

  private run(first: Event, fault?: Fault): void {
    let event = first;
    for (let calls = 0; calls < 50; calls += 1) {
      const decision = this.step(event);
      if (!decision.call) return;
      const { id, request } = decision.call;
      const isWrite = request.kind === 'increment' || request.kind === 'update';
      const outcome = this.exist.call(request, this.now, isWrite ? fault : undefined);
      event = { type: 'answered', callId: id, outcome };
    }
    throw new Error('the delivery does not come to rest');
  }

  private step(event: Event, beginsNothing = false) {
    const circumstances = { settings: SETTINGS, now: this.now, random: 0.5, beginsNothing };
    const decision = this.ledger.delivery.transact((state) => step(state, event, circumstances), this.now);
    if (decision.call) this.ledger.delivery.depart(decision.call.id);
    return decision;
  }

  /** What stands at Exist for today. */
  atExist(attribute = 'opens'): number {
    return Number(this.exist.values.get(keyOf(attribute, TODAY)) ?? 0) / 1_000_000;
  }

  key(attribute = 'opens', day = TODAY): Key | undefined {
    return this.ledger.delivery.key(attribute, day);
  }

  total(attribute = 'opens'): number | undefined {
    const key = this.key(attribute);
    return key?.kind === 'sum' ? key.total / 1_000_000 : undefined;
  }

  /** Looks into the database from outside. */
  query<T>(sql: string, ...values: unknown[]): T[] {
    const db = new Database(this.file, { readonly: true });
    try {
      return db.prepare<unknown[], T>(sql).all(...values);
    } finally {
      db.close();
    }
  }

  rows(table: string): number {
    return this.query<{ n: number }>(`SELECT count(*) AS n FROM ${table}`)[0]?.n ?? 0;
  }

  /** Writes into the closed database behind the ledger's back. */
  meddle(sql: string): void {
    this.close();
    const db = new Database(this.file);
    db.exec(sql);
    db.close();
  }
}

export function units(amount: number): Units {
  const found = toUnits(amount);
  if (found === undefined) throw new RangeError(String(amount));
  return found;
}
