/**
 * Who may call: developer tokens, and OAuth2's authorization code with refresh.
 *
 * code ──exchanged once, within ten minutes──▶ access and refresh token ──refresh──▶ a new pair; the old two are dead
 *
 * The hour's limit of calls is counted here too, since it is a token's.
 */
import { randomBytes } from 'node:crypto';
import { HOUR_MS, MINUTE_MS } from '../core/time.ts';
import type { Caller } from './account.ts';

export interface Pair {
  readonly access: string;
  readonly refresh: string;
  readonly clientId: string;
  readonly scope: string;
  readonly expiresAt: number;
}

interface Code {
  readonly clientId: string;
  readonly redirectUri: string;
  readonly scope: string;
  readonly expiresAt: number;
}

export interface TokenOptions {
  /** Developer tokens; without, any token will do. */
  readonly tokens: readonly string[] | undefined;
  readonly callsPerHour: number;
  readonly clock: () => number;
}

/** "About" one, as the reference says. */
const YEAR_MS = 365 * 24 * HOUR_MS;
const CODE_LIFETIME_MS = 10 * MINUTE_MS;
const MOST_PAIRS = 100;
/** What is issued here begins so: a token of this form that is not known is a dead one, not a developer's. */
const ACCESS_PREFIX = 'sandbox-access-';

export class Tokens {
  private readonly codes = new Map<string, Code>();
  /** By access token. */
  private readonly pairs = new Map<string, Pair>();
  private readonly callsAt = new Map<string, number[]>();
  isDirty = false;
  /** How long an access token lives that is issued from now on. */
  lifetimeMs = YEAR_MS;

  constructor(private readonly options: TokenOptions) {}

  get issued(): readonly Pair[] {
    return [...this.pairs.values()];
  }

  restore(pairs: readonly Pair[]): void {
    for (const pair of pairs) this.pairs.set(pair.access, pair);
  }

  callerOf(token: string): Caller | undefined {
    const { tokens, clock } = this.options;
    const pair = this.pairs.get(token);
    if (pair) {
      if (pair.expiresAt <= clock()) return undefined;
      return { service: pair.clientId, scopes: new Set(pair.scope.split(/[\s+]+/)) };
    }
    if (token === '' || token.startsWith(ACCESS_PREFIX)) return undefined;
    return !tokens || tokens.includes(token) ? { service: 'developer', scopes: undefined } : undefined;
  }

  /** Counts a call; `false` where the hour's calls are used up. */
  spend(token: string): boolean {
    const now = this.options.clock();
    const recent = (this.callsAt.get(token) ?? []).filter((at) => at <= now && now - at < HOUR_MS);
    const isAllowed = recent.length < this.options.callsPerHour;
    if (isAllowed) recent.push(now);
    this.callsAt.delete(token);
    this.callsAt.set(token, recent);
    forgetOldest(this.callsAt);
    return isAllowed;
  }

  authorize(clientId: string, redirectUri: string, scope: string): string {
    const code = randomBytes(16).toString('hex');
    this.codes.set(code, {
      clientId,
      redirectUri,
      scope,
      expiresAt: this.options.clock() + CODE_LIFETIME_MS,
    });
    forgetOldest(this.codes);
    return code;
  }

  exchange(code: string, clientId: string, redirectUri: string): Pair | undefined {
    const found = this.codes.get(code);
    this.codes.delete(code);
    if (!found || found.expiresAt <= this.options.clock()) return undefined;
    if (found.clientId !== clientId || found.redirectUri !== redirectUri) return undefined;
    return this.issue(clientId, found.scope);
  }

  refresh(refreshToken: string, clientId: string): Pair | undefined {
    const found = this.issued.find((pair) => pair.refresh === refreshToken && pair.clientId === clientId);
    if (!found) return undefined;
    this.pairs.delete(found.access);
    return this.issue(clientId, found.scope);
  }

  /** The access token dies, its refresh token stays good. */
  expire(accessToken: string): void {
    const pair = this.pairs.get(accessToken);
    if (!pair) return;
    this.pairs.set(accessToken, { ...pair, expiresAt: 0 });
    this.isDirty = true;
  }

  /** The user has taken back what was allowed: all pairs are dead, both tokens of each. */
  revoke(): void {
    this.pairs.clear();
    this.isDirty = true;
  }

  private issue(clientId: string, scope: string): Pair {
    const pair: Pair = {
      access: `${ACCESS_PREFIX}${randomBytes(16).toString('hex')}`,
      refresh: `sandbox-refresh-${randomBytes(16).toString('hex')}`,
      clientId,
      scope,
      expiresAt: this.options.clock() + this.lifetimeMs,
    };
    this.pairs.set(pair.access, pair);
    forgetOldest(this.pairs);
    this.isDirty = true;
    return pair;
  }
}

function forgetOldest(map: Map<string, unknown>): void {
  for (const key of map.keys()) {
    if (map.size <= MOST_PAIRS) return;
    map.delete(key);
  }
}
