/**
 * Copies out of a damaged database what can still be read: from both ends of every table towards the bad place,
 * row by row, and only rows that make sense.
 */
import Database from 'better-sqlite3';
import { VALUE_TYPES } from '../core/attribute.ts';
import { isLocalDate } from '../core/time.ts';
import { MIGRATIONS, TABLES, tablesOf } from './migrations.ts';

type Table = (typeof TABLES)[number];

export interface Salvaged {
  /** Rows saved, by table. */
  readonly rows: Readonly<Record<string, number>>;
  /** Tables of which rows may be missing. */
  readonly incomplete: readonly string[];
}

type Row = Record<string, unknown>;

const KEYS: Record<Table, readonly string[]> = {
  meta: ['key'],
  ledger: ['attribute', 'day'],
  attribute: ['name'],
  mapping_state: ['mapping', 'topic'],
  undated: ['seq'],
  identity: ['mapping', 'topic', 'identity'],
  call: ['id'],
  note: ['seq'],
  reading: ['seq'],
  broker_session: ['client'],
  broker_subscription: ['client', 'filter'],
  broker_queue: ['seq'],
  broker_retained: ['topic'],
  broker_exchange: ['client', 'packet_id'],
  broker_will: ['client'],
  source_session: ['source'],
  source_filter: ['source', 'filter'],
  login: ['one'],
};

/** Columns that hold JSON: a text that is none would stop the bridge later, at every start. */
const JSON_COLUMNS: Partial<Record<Table, readonly string[]>> = {
  ledger: ['aggregate', 'wanted', 'delivered', 'adopted', 'flight_value', 'seen'],
  mapping_state: ['state'],
  call: ['request'],
  reading: ['effect'],
  broker_subscription: ['options'],
};
/** Keys of `meta` whose values are JSON. */
export const JSON_FACTS: readonly string[] = ['account', 'readings', 'retention', 'backup', 'heard'];

/** Never throws for what `from` is like; for `to` it does. */
export function salvage(from: string, to: Database.Database): Salvaged {
  const rows: Record<string, number> = {};
  const incomplete: string[] = [];
  const source = openSource(from);
  try {
    const tables = source ? tablesOf(versionOf(source)) : TABLES;
    to.transaction(() => {
      for (const table of tables) {
        const found = source && copyTable(source, to, table);
        if (found && found.rows > 0) rows[table] = found.rows;
        if (!found?.isWhole) incomplete.push(table);
      }
    }).immediate();
  } finally {
    source?.close();
  }
  return { rows, incomplete };
}

function openSource(file: string): Database.Database | undefined {
  let db: Database.Database | undefined;
  try {
    db = new Database(file, { readonly: true, fileMustExist: true });
    db.prepare('SELECT count(*) FROM sqlite_schema').get();
    return db;
  } catch {
    db?.close();
    return undefined;
  }
}

/** Where it does not tell its version, all tables are looked for. */
function versionOf(db: Database.Database): number {
  try {
    return Number(db.pragma('user_version', { simple: true })) || MIGRATIONS.length;
  } catch {
    return MIGRATIONS.length;
  }
}

interface Copied {
  readonly rows: number;
  readonly isWhole: boolean;
}

function copyTable(source: Database.Database, to: Database.Database, table: Table): Copied {
  const columns = commonColumns(source, to, table);
  if (columns.length === 0) return { rows: 0, isWhole: false };
  const names = columns.join(', ');
  const values = columns.map((column) => `@${column}`).join(', ');
  const insert = to.prepare<[Row]>(`INSERT OR REPLACE INTO ${table} (${names}) VALUES (${values})`);
  let copied = 0;
  let isWhole = true;
  const copy = (direction: 'ASC' | 'DESC'): boolean => {
    const order = KEYS[table].map((key) => `${key} ${direction}`).join(', ');
    try {
      for (const row of source
        .prepare<[], Row>(`SELECT ${names} FROM ${table} ORDER BY ${order}`)
        .iterate()) {
        if (makesSense(table, row) && put(insert, row)) copied += 1;
        else isWhole = false;
      }
      return true;
    } catch (error) {
      if (error instanceof WriteFailure) throw error.cause;
      return false;
    }
  };
  if (!copy('ASC')) {
    isWhole = false;
    // From the other end. What both walks met is replaced by itself.
    copy('DESC');
    copied = to.prepare<[], { n: number }>(`SELECT count(*) AS n FROM ${table}`).get()?.n ?? copied;
  }
  return { rows: copied, isWhole };
}

/** Reading fails with the source's damage, which is expected; writing with what ails the new file. */
class WriteFailure extends Error {
  constructor(override readonly cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

/** `false` where the schema does not take the row. */
function put(insert: Database.Statement<[Row]>, row: Row): boolean {
  try {
    insert.run(row);
    return true;
  } catch (error) {
    if (error instanceof Database.SqliteError && /^SQLITE_(CONSTRAINT|MISMATCH)/.test(error.code))
      return false;
    throw new WriteFailure(error);
  }
}

function commonColumns(source: Database.Database, to: Database.Database, table: Table): string[] {
  const columnsOf = (db: Database.Database): string[] =>
    db
      .prepare<[string], { name: string }>('SELECT name FROM pragma_table_info(?)')
      .all(table)
      .map(({ name }) => name);
  try {
    const known = new Set(columnsOf(source));
    const columns = columnsOf(to).filter((column) => known.has(column));
    return KEYS[table].every((key) => known.has(key)) ? columns : [];
  } catch {
    return [];
  }
}

function makesSense(table: Table, row: Row): boolean {
  for (const value of Object.values(row)) {
    if (typeof value === 'number' && !Number.isSafeInteger(value)) return false;
  }
  if (table === 'ledger' && !(typeof row['day'] === 'string' && isLocalDate(row['day']))) return false;
  if (table === 'attribute' && !isWord(VALUE_TYPES, row['value_type'])) return false;
  const columns =
    table === 'meta' && isWord(JSON_FACTS, row['key']) ? ['value'] : (JSON_COLUMNS[table] ?? []);
  return columns.every((column) => isNullOrJson(row[column]));
}

function isWord(words: readonly string[], value: unknown): boolean {
  return words.some((word) => word === value);
}

function isNullOrJson(value: unknown): boolean {
  if (value === null || value === undefined) return true;
  if (typeof value !== 'string') return false;
  try {
    JSON.parse(value);
    return true;
  } catch {
    return false;
  }
}
