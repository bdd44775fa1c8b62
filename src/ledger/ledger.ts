/**
 * The database as its two writers see it: the intake through `journal`, the flusher through `delivery`.
 */
import { randomBytes } from 'node:crypto';
import { openDatabase, type OpenDatabase } from './database.ts';
import { DeliveryStore } from './delivery-store.ts';
import { Journal } from './journal.ts';

export class Ledger {
  private constructor(
    private readonly opened: OpenDatabase,
    readonly journal: Journal,
    readonly delivery: DeliveryStore,
    /** Eight hexadecimal digits, made once: names this bridge in its MQTT topics. */
    readonly bridgeId: string,
  ) {}

  /**
   * Opens (or makes) the database in `folder`.
   * @throws DatabaseError
   */
  static open(folder: string): Ledger {
    const opened = openDatabase(folder);
    const { db } = opened;
    db.prepare("INSERT OR IGNORE INTO meta (key, value) VALUES ('bridge_id', ?)").run(
      randomBytes(4).toString('hex'),
    );
    const row = db.prepare<[], { value: string }>("SELECT value FROM meta WHERE key = 'bridge_id'").get();
    return new Ledger(opened, new Journal(db), new DeliveryStore(db), row?.value ?? '');
  }

  get file(): string {
    return this.opened.file;
  }

  get isOpen(): boolean {
    return this.opened.db.open;
  }

  close(): void {
    this.opened.close();
  }
}
