/**
 * What existing brokers keep for us, by client id and broker: the session's name, and what may be subscribed in it.
 */
import type Database from 'better-sqlite3';
import type { Commits } from './commits.ts';

export interface SourceSession {
  readonly session: string;
  /** Filters with the QoS they were asked for; `null`: not yet answered. */
  readonly filters: Readonly<Record<string, number | null>>;
}

export class SourceSessions {
  private readonly sql;

  constructor(
    private readonly db: Database.Database,
    private readonly commits: Commits,
  ) {
    this.sql = {
      read: db.prepare<[string], { session: string }>('SELECT session FROM source_session WHERE source = ?'),
      readFilters: db.prepare<[string], { filter: string; qos: number | null }>(
        'SELECT filter, qos FROM source_filter WHERE source = ? ORDER BY filter',
      ),
      write: db.prepare<[string, string]>('REPLACE INTO source_session (source, session) VALUES (?, ?)'),
      writeFilter: db.prepare<[string, string, number | null]>(
        'INSERT INTO source_filter (source, filter, qos) VALUES (?, ?, ?)',
      ),
      remove: db.prepare<[string]>('DELETE FROM source_session WHERE source = ?'),
      keys: db.prepare<[], { source: string }>('SELECT source FROM source_session ORDER BY source'),
      removeFilters: db.prepare<[string]>('DELETE FROM source_filter WHERE source = ?'),
    };
  }

  load(source: string): SourceSession | undefined {
    const row = this.sql.read.get(source);
    if (!row) return undefined;
    const filters = this.sql.readFilters.all(source).map(({ filter, qos }) => [filter, qos] as const);
    return { session: row.session, filters: Object.fromEntries(filters) };
  }

  /**
   * Durable when it returns.
   * @throws DatabaseError
   */
  save(source: string, { session, filters }: SourceSession): void {
    this.transact(() => {
      this.sql.write.run(source, session);
      this.sql.removeFilters.run(source);
      for (const [filter, qos] of Object.entries(filters)) this.sql.writeFilter.run(source, filter, qos);
    });
  }

  /** @throws DatabaseError */
  remove(source: string): void {
    this.transact(() => {
      this.sql.removeFilters.run(source);
      this.sql.remove.run(source);
    });
  }

  /** Of all that are kept. */
  keys(): string[] {
    return this.sql.keys.all().map(({ source }) => source);
  }

  private transact(work: () => void): void {
    this.commits.urgent(() => this.db.transaction(work).immediate());
  }
}
