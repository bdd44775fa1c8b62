/**
 * The campaign's house with a login by OAuth2 instead of a developer's token. Its access tokens live for seconds, so
 * that kills fall into refreshes, and refreshes fail as everything does. Where Exist's pair went down with an answer,
 * or with the daemon, somebody logs in again: that is the one loss that nobody can prevent, and it may cost no count.
 */
import { existsSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import path from 'node:path';
import Database from 'better-sqlite3';
import type { EpochMs } from '../../src/core/time.ts';
import { OAuthClient } from '../../src/exist/oauth-client.ts';
import { DATABASE_FILE } from '../../src/ledger/database.ts';
import { LoginFile } from '../../src/ledger/login-file.ts';
import type { FaultInput } from '../../src/sandbox/faults.ts';
import type { Sandbox } from '../../src/sandbox/sandbox.ts';
import type { DaemonOptions } from '../support/daemon.ts';
import { CLIENT, CLIENT_SECRET, decide } from '../support/login.ts';

const REDIRECT = 'http://localhost:8000/';
/** More than a start and a first call take: where no token is ever accepted, refreshes soon wait for an hour. */
const LIFETIME_S = 4;

/** What befalls a refresh, and how often. */
const FAULTS: readonly (readonly [FaultInput['fault'], number])[] = [
  ['lose', 0.1],
  ['apply-then-lose', 0.05],
  ['timeout', 0.03],
  ['apply-then-timeout', 0.02],
  [{ kind: 'status', status: 503 }, 0.05],
  [{ kind: 'status', status: 429, headers: { 'retry-after': '0' } }, 0.05],
  ['broken-json', 0.02],
];

interface HouseWithLogin {
  readonly sandbox: Sandbox;
  /** The folder of the database. */
  readonly dataDir: string;
  login: Pick<DaemonOptions, 'token' | 'exist'>;
}

export class CampaignLogin {
  /** How often somebody had to log in again. */
  again = -1;
  private readonly file: LoginFile;

  private constructor(
    private readonly house: HouseWithLogin,
    private readonly existUrl: string,
  ) {
    this.file = new LoginFile(house.dataDir);
  }

  /** Before the first start. */
  static async open(house: HouseWithLogin, existUrl: string, seed: number): Promise<CampaignLogin> {
    const login = new CampaignLogin(house, existUrl);
    house.login = { token: CLIENT };
    house.sandbox.setTokenLifetime(LIFETIME_S);
    house.sandbox.faults(
      FAULTS.map(([fault, probability], index) => ({
        match: { path: 'access_token' },
        times: -1,
        probability,
        seed: seed + 1_000 + index,
        fault,
      })),
    );
    await login.keep();
    return login;
  }

  /** While the daemon is down: logs in again where no refresh token that it has is good any more. */
  async keep(): Promise<void> {
    if (this.file.isThere || this.isAlive()) return;
    this.again += 1;
    await this.logIn();
  }

  /** Before the books are read: somebody who finds that the login waits logs in, and tokens live for a year again. */
  async calm(): Promise<void> {
    this.house.sandbox.setTokenLifetime(365 * 86_400);
    await this.logIn();
  }

  private async logIn(): Promise<void> {
    const { sandbox } = this.house;
    for (let tries = 0; tries < 50; tries += 1) {
      const client = new OAuthClient({
        url: this.existUrl,
        clientId: 'bridge',
        clientSecret: CLIENT_SECRET,
        timeoutMs: 500,
        userAgent: 'campaign',
      });
      const scopes = ['custom_read', 'custom_write'];
      const address = client.authorizeUrl({ redirectUri: REDIRECT, scopes, state: 'campaign' });
      // A spell of trouble may strike Exist's page, and the answer may be lost as well.
      const back = await decide(address).catch(() => '');
      if (!URL.canParse(back)) continue;
      const code = new URL(back).searchParams.get('code') ?? '';
      const outcome = await client.exchangeCode(code, REDIRECT);
      if (outcome.kind !== 'granted') continue;
      const { refresh = '', ...rest } = outcome.issued;
      this.file.prepare();
      this.file.write({
        id: randomUUID(),
        url: this.existUrl,
        clientId: 'bridge',
        issued: { ...rest, refresh },
        issuedAt: Date.now() as EpochMs,
      });
      return;
    }
    throw new Error(`nobody can log in: ${JSON.stringify(sandbox.faults())}`);
  }

  private isAlive(): boolean {
    const file = path.join(this.house.dataDir, DATABASE_FILE);
    if (!existsSync(file)) return false;
    const db = new Database(file, { readonly: true });
    try {
      const row = db.prepare<[], { refresh_token: string }>('SELECT refresh_token FROM login').get();
      return this.house.sandbox.issued().some(({ refresh }) => refresh === row?.refresh_token);
    } catch {
      // An older schema has no login yet.
      return false;
    } finally {
      db.close();
    }
  }
}
