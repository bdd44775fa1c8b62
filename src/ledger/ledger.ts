/**
 * The database as its writers see it: the intake through `journal`, the flusher through `delivery`, the broker
 * through `broker`, connections to existing brokers through `sources`, the login at Exist through `login`.
 */
import type { LocalDate } from '../core/time.ts';
import { BrokerStore } from './broker-store.ts';
import { Commits } from './commits.ts';
import { openDatabase, type OpenDatabase, type OpenOptions } from './database.ts';
import { DeliveryStore } from './delivery-store.ts';
import type { DiskSpace } from './disk-space.ts';
import { explain, type Explanation } from './explanation.ts';
import { Journal } from './journal.ts';
import { LoginStore } from './login-store.ts';
import { Retention, type RetentionLimits } from './retention.ts';
import { SourceSessions } from './source-sessions.ts';

export interface LedgerOptions extends OpenOptions {
  readonly retention?: Partial<RetentionLimits>;
}

export class Ledger {
  readonly journal: Journal;
  readonly broker: BrokerStore;
  readonly delivery: DeliveryStore;
  readonly retention: Retention;
  readonly sources: SourceSessions;
  readonly login: LoginStore;

  private constructor(
    private readonly opened: OpenDatabase,
    options: LedgerOptions,
  ) {
    const { db, file, space, mark, bridgeId } = opened;
    const commits = new Commits(file, space);
    this.broker = new BrokerStore(db, commits);
    this.journal = new Journal(db, commits, this.broker);
    this.delivery = new DeliveryStore(db, {
      urgent: (work) => commits.urgent(work),
      departing: (lastCallId) => mark.advance({ bridgeId, lastCallId }),
    });
    this.retention = new Retention(db, commits, options.retention);
    this.sources = new SourceSessions(db, commits);
    this.login = new LoginStore(db, commits);
  }

  /**
   * Opens (or makes) the database in `folder`. One that is damaged or emptied is set aside, what can be read of it
   * saved, and `onDamage` told; one that is older than the last call gets its open amounts held.
   * @throws DatabaseError where it is in use, not ours, of a newer version, or not to be written
   */
  static open(folder: string, options: LedgerOptions = {}): Ledger {
    return new Ledger(openDatabase(folder, options), options);
  }

  get file(): string {
    return this.opened.file;
  }

  /** Eight hexadecimal digits, made once: names this bridge in its MQTT topics. */
  get bridgeId(): string {
    return this.opened.bridgeId;
  }

  /** While it `isShort`, the journal takes nothing. */
  get space(): DiskSpace {
    return this.opened.space;
  }

  get isOpen(): boolean {
    return this.opened.db.open;
  }

  /** What stands behind a day's total. */
  explain(attribute: string, day: LocalDate): Explanation {
    return explain(this.opened.db, attribute, day);
  }

  close(): void {
    this.opened.close();
  }
}
