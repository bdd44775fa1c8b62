/**
 * What stands behind the total of an attribute's day: every contribution, every call that carried or looked at it,
 * and what the delivery had to say about it.
 */
import path from 'node:path';
import type Database from 'better-sqlite3';
import { unsent } from '../core/delivery/plan.ts';
import type { Request } from '../core/delivery/request.ts';
import type { Attribute, Key } from '../core/delivery/state.ts';
import type { Contribution } from '../core/reading.ts';
import type { EpochMs, LocalDate } from '../core/time.ts';
import { add, fromUnits, subtract, ZERO, type Units } from '../core/units.ts';
import { demandOurs } from './connection.ts';
import { DatabaseError, databaseError } from './database-error.ts';
import { DeliveryStore } from './delivery-store.ts';
import { DATABASE_FILE, exists } from './files.ts';
import { openForReading } from './read-only.ts';

/** Plain JSON. Amounts are in the attribute's own measure. */
export interface Explanation {
  readonly attribute: string;
  readonly day: LocalDate;
  /** `null` where the configuration never named it. */
  readonly exist: Pick<Attribute, 'existName' | 'valueType' | 'mode' | 'state' | 'reason'> | null;
  /** `null` where nothing was ever counted for that day. */
  readonly ledger: LedgerLine | null;
  /** In the order they came; only the last `MOST_CONTRIBUTIONS`. */
  readonly contributions: readonly ExplainedContribution[];
  /** Contributions before those listed. */
  readonly omitted: number;
  /** The total less all contributions that are still on record; 0 within 90 days, `null` for values. */
  readonly unexplained: number | null;
  readonly calls: readonly ExplainedCall[];
  readonly notes: readonly { readonly at: EpochMs; readonly level: string; readonly text: string }[];
}

export interface LedgerLine {
  readonly kind: 'sum' | 'value';
  /** What the sensors said. */
  readonly total: number | string;
  /** What stood at Exist before the bridge; `null`: not read yet, or a value. */
  readonly base: number | null;
  /** What is booked as arrived. */
  readonly ours: number | string | null;
  /** What is still to be sent; 0 or `null` where nothing is. */
  readonly open: number | string | null;
  /** What is on its way, or may have arrived. */
  readonly inFlight: number | string | null;
  /** What the user told the bridge to forget. */
  readonly dropped: number;
  /** What Exist showed last. */
  readonly seen: number | string | null;
  readonly state: 'closed' | 'delivered' | 'open' | 'sending' | 'unknown' | 'repair' | 'conflict' | 'refused';
  /** Of a conflict or a refusal. */
  readonly reason: string | null;
}

export interface ExplainedContribution {
  readonly at: EpochMs;
  readonly topic: string;
  /** `timer` where no message but the passing of time counted. */
  readonly verdict: string;
  readonly amount: number | string;
  /** The day's sum up to here; `null` for values. */
  readonly sum: number | null;
}

export interface ExplainedCall {
  readonly id: number;
  readonly startedAt: EpochMs;
  readonly finishedAt: EpochMs | null;
  /** An `update` of a sum is a repair; a `read` looks. */
  readonly kind: 'increment' | 'update' | 'read';
  readonly value: number | string | null;
  /** `null` while it is on its way. */
  readonly outcome: string | null;
  readonly detail: string | null;
}

export const MOST_CONTRIBUTIONS = 10_000;

/** A reader beside the running daemon: takes no lock and writes nothing. */
export interface LedgerReader {
  explain(attribute: string, day: LocalDate): Explanation;
  /** The names that an explanation can be asked for. */
  attributes(): string[];
  close(): void;
}

/**
 * Takes a database on a read-only disk as well.
 * @throws DatabaseError
 */
export function openReadOnly(folder: string): LedgerReader {
  const file = path.join(folder, DATABASE_FILE);
  if (!exists(file)) {
    throw new DatabaseError(
      'io',
      file,
      'there is no database',
      'start the daemon once, or name its data_dir',
    );
  }
  try {
    const { db, close } = openForReading(file);
    try {
      demandOurs(db, file);
    } catch (error) {
      close();
      throw error;
    }
    return {
      explain: (attribute, day) => explain(db, attribute, day),
      attributes: () => namesOf(db),
      close,
    };
  } catch (error) {
    throw databaseError(error, file);
  }
}

function namesOf(db: Database.Database): string[] {
  return db
    .prepare<[], { name: string }>('SELECT name FROM attribute UNION SELECT attribute FROM ledger ORDER BY 1')
    .all()
    .map(({ name }) => name);
}

/** All of one instant, though the daemon goes on writing. */
export function explain(db: Database.Database, attribute: string, day: LocalDate): Explanation {
  return db
    .transaction((): Explanation => {
      const store = new DeliveryStore(db);
      const known = store.attributes().get(attribute);
      const key = store.key(attribute, day);
      const { contributions, omitted, sum } = contributionsOf(db, attribute, day);
      return {
        attribute,
        day,
        exist: known ? atExist(known) : null,
        ledger: key ? lineOf(key, known) : null,
        contributions,
        omitted,
        unexplained: key?.kind === 'sum' ? fromUnits(subtract(key.total, sum)) : null,
        calls: callsOf(db, attribute, day),
        notes: db
          .prepare<[string, string], { at: EpochMs; level: string; text: string }>(
            'SELECT at_ms AS at, level, text FROM note WHERE attribute = ? AND (day IS NULL OR day = ?) ORDER BY seq',
          )
          .all(attribute, day),
      };
    })
    .deferred();
}

function atExist({ existName, valueType, mode, state, reason }: Attribute): Explanation['exist'] {
  return { existName, valueType, mode, state, reason };
}

function lineOf(key: Key, attribute: Attribute | undefined): LedgerLine {
  const shared = { seen: shown(key.seen), reason: key.held?.reason ?? null };
  if (key.kind === 'sum') {
    const open = unsent(key, attribute);
    return {
      kind: 'sum',
      total: fromUnits(key.total),
      base: key.base === null ? null : fromUnits(key.base),
      ours: fromUnits(key.ours),
      open: fromUnits(open),
      inFlight: fromUnits(key.flightAmount),
      dropped: fromUnits(key.dropped),
      ...shared,
      state: stateOf(key, open !== 0),
    };
  }
  const isOpen = key.wanted !== key.delivered && key.flight === 'none';
  return {
    kind: 'value',
    total: shown(key.wanted) ?? '',
    base: null,
    ours: shown(key.delivered),
    open: isOpen ? shown(key.wanted) : null,
    inFlight: shown(key.flightValue),
    dropped: 0,
    ...shared,
    state: stateOf(key, isOpen),
  };
}

function stateOf(key: Key, isOpen: boolean): LedgerLine['state'] {
  if (key.held) return key.held.state;
  if (key.flight !== 'none') return key.flight;
  if (key.kind === 'sum' && key.repair) return 'repair';
  if (isOpen) return 'open';
  return key.closed ? 'closed' : 'delivered';
}

function shown(value: Units | string | null): number | string | null {
  return typeof value === 'number' ? fromUnits(value) : value;
}

function contributionsOf(
  db: Database.Database,
  attribute: string,
  day: LocalDate,
): { contributions: ExplainedContribution[]; omitted: number; sum: Units } {
  const contributions: ExplainedContribution[] = [];
  let omitted = 0;
  let sum = ZERO;
  const rows = db
    .prepare<[string, string], { at: EpochMs; topic: string; verdict: string; effect: string }>(
      `SELECT received_ms AS at, topic, verdict, effect FROM reading
       WHERE effect IS NOT NULL AND instr(effect, ?) > 0 AND instr(effect, ?) > 0 ORDER BY seq`,
    )
    .iterate(JSON.stringify(attribute), JSON.stringify(day));
  for (const { at, topic, verdict, effect } of rows) {
    for (const contribution of JSON.parse(effect) as Contribution[]) {
      if (contribution.attribute !== attribute || contribution.day !== day) continue;
      const isSum = contribution.kind === 'sum';
      if (isSum) sum = add(sum, contribution.amount);
      const amount = shown(isSum ? contribution.amount : contribution.value) ?? '';
      contributions.push({ at, topic, verdict, amount, sum: isSum ? fromUnits(sum) : null });
    }
    // Cut now and then, not at every one: the last ones count, and the sum goes over all.
    if (contributions.length >= 2 * MOST_CONTRIBUTIONS) omitted += cut(contributions);
  }
  omitted += cut(contributions);
  return { contributions, omitted, sum };
}

function cut(contributions: ExplainedContribution[]): number {
  const excess = Math.max(contributions.length - MOST_CONTRIBUTIONS, 0);
  contributions.splice(0, excess);
  return excess;
}

interface CallRow {
  readonly id: number;
  readonly startedAt: EpochMs;
  readonly finishedAt: EpochMs | null;
  readonly request: string;
  readonly outcome: string | null;
  readonly detail: string | null;
}

function callsOf(db: Database.Database, attribute: string, day: LocalDate): ExplainedCall[] {
  const rows = db
    .prepare<[string, string], CallRow>(
      `SELECT id, started_ms AS startedAt, finished_ms AS finishedAt, request, outcome, detail FROM call
       WHERE instr(request, ?) > 0 AND instr(request, ?) > 0 ORDER BY id`,
    )
    .all(JSON.stringify(attribute), JSON.stringify(day));
  return rows.flatMap(({ request: json, ...row }): ExplainedCall[] => {
    const request = JSON.parse(json) as Request;
    if (request.kind === 'read') {
      const isAsked = request.items.some((item) => item.attribute === attribute && item.day === day);
      return isAsked ? [{ ...row, kind: request.kind, value: null }] : [];
    }
    if (request.kind !== 'increment' && request.kind !== 'update') return [];
    const item = request.items.find((one) => one.attribute === attribute && one.day === day);
    return item ? [{ ...row, kind: request.kind, value: shown(item.value) }] : [];
  });
}
