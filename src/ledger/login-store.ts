/**
 * The login at Exist: its pair of tokens, and how far a refresh has come.
 */
import type Database from 'better-sqlite3';
import type { Login } from '../core/authorization.ts';
import type { EpochMs } from '../core/time.ts';
import type { Commits } from './commits.ts';

/** Whose the tokens are. */
export interface Issuer {
  readonly url: string;
  readonly clientId: string;
}

export class LoginStore {
  private readonly sql;

  constructor(
    db: Database.Database,
    private readonly commits: Commits,
  ) {
    this.sql = {
      read: db.prepare<[], LoginRow>('SELECT * FROM login'),
      write: db.prepare<[LoginRow]>(
        `REPLACE INTO login (one, id, url, client_id, access_token, refresh_token, scope, expires_ms, renew_ms,
           access_refused, refresh_refused, renewal, attempts, retry_ms, trouble)
         VALUES (@one, @id, @url, @client_id, @access_token, @refresh_token, @scope, @expires_ms, @renew_ms,
           @access_refused, @refresh_refused, @renewal, @attempts, @retry_ms, @trouble)`,
      ),
    };
  }

  /** `null` where nobody has logged in there as this client. */
  load({ url, clientId }: Issuer): Login | null {
    const row = this.sql.read.get();
    return row?.url === url && row.client_id === clientId ? loginOf(row) : null;
  }

  /** Of the login that is stored, whosesoever it is. */
  lastId(): string | undefined {
    return this.sql.read.get()?.id;
  }

  /**
   * Durable when it returns.
   * @throws DatabaseError
   */
  save(issuer: Issuer, login: Login): void {
    this.commits.urgent(() => this.sql.write.run(rowOf(issuer, login)));
  }
}

interface LoginRow {
  readonly one: 1;
  readonly id: string;
  readonly url: string;
  readonly client_id: string;
  readonly access_token: string;
  readonly refresh_token: string;
  readonly scope: string;
  readonly expires_ms: number | null;
  readonly renew_ms: number | null;
  readonly access_refused: number;
  readonly refresh_refused: number;
  readonly renewal: string;
  readonly attempts: number;
  readonly retry_ms: number | null;
  readonly trouble: string | null;
}

function loginOf(row: LoginRow): Login {
  return {
    id: row.id,
    access: row.access_token,
    refresh: row.refresh_token,
    scope: row.scope,
    expiresAt: row.expires_ms as EpochMs | null,
    renewAt: row.renew_ms as EpochMs | null,
    isAccessRefused: row.access_refused === 1,
    isRefreshRefused: row.refresh_refused === 1,
    renewal: row.renewal as Login['renewal'],
    attempts: row.attempts,
    retryAt: row.retry_ms as EpochMs | null,
    trouble: row.trouble,
  };
}

function rowOf({ url, clientId }: Issuer, login: Login): LoginRow {
  return {
    one: 1,
    id: login.id,
    url,
    client_id: clientId,
    access_token: login.access,
    refresh_token: login.refresh,
    scope: login.scope,
    expires_ms: login.expiresAt,
    renew_ms: login.renewAt,
    access_refused: login.isAccessRefused ? 1 : 0,
    refresh_refused: login.isRefreshRefused ? 1 : 0,
    renewal: login.renewal,
    attempts: login.attempts,
    retry_ms: login.retryAt,
    trouble: login.trouble,
  };
}
