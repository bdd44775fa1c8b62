/**
 * The broker's side of the database: retained messages, sessions, queues, open exchanges, wills.
 *
 * The broker says what changed when it is asked: by itself through `commit`, or by the journal, which takes the
 * changes along in the transaction of its readings so that both cost one sync of the disk.
 */
import Database from 'better-sqlite3';

type QoS = 0 | 1 | 2;

interface Retained {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: QoS;
}

interface Session {
  readonly clientId: string;
  readonly account: string | undefined;
  readonly usedHour: number;
}

interface SubscriptionOptions {
  readonly qos: QoS;
}

interface SubscriptionKey {
  readonly clientId: string;
  readonly filter: string;
}

interface Subscription extends SubscriptionKey {
  readonly options: SubscriptionOptions;
}

interface Message {
  readonly seq: number;
  readonly clientId: string;
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: QoS;
  readonly packetId: number | undefined;
  readonly isReceived: boolean;
}

interface Will extends Retained {
  readonly clientId: string;
  readonly account: string | undefined;
  readonly retain: boolean;
}

interface Exchange {
  readonly clientId: string;
  readonly packetId: number;
}

interface Delta<Key, Row> {
  readonly put: readonly Row[];
  readonly removed: readonly Key[];
}

interface BrokerChanges {
  readonly hours: number | undefined;
  readonly endedSessions: readonly string[];
  readonly sessions: readonly Session[];
  readonly subscriptions: Delta<SubscriptionKey, Subscription>;
  readonly queue: Delta<number, Message>;
  readonly retained: Delta<string, Retained>;
  readonly wills: Delta<string, Will>;
  readonly exchanges: Delta<Exchange, Exchange>;
}

interface BrokerState {
  readonly hours: number;
  readonly retained: readonly Retained[];
  readonly sessions: readonly Session[];
  readonly subscriptions: readonly Subscription[];
  readonly queue: readonly Message[];
  readonly wills: readonly Will[];
  readonly exchanges: readonly Exchange[];
}

/** Who has changes to be written. */
interface ChangeSource {
  changes(): BrokerChanges | undefined;
  committed(): void;
}

const HOURS = 'broker_hours';

export class BrokerStore {
  private readonly sql;
  private readonly applyAll: Database.Transaction<(changes: BrokerChanges) => void>;
  private source: ChangeSource | undefined;
  private isWritten = false;

  constructor(
    db: Database.Database,
    /** Refuses while the disk is short, and ends all writing once it fails. */
    private readonly commits: { readings<T>(work: () => T): T },
  ) {
    this.sql = prepare(db);
    this.applyAll = db.transaction((changes) => {
      this.apply(changes);
    });
  }

  load(): BrokerState {
    const { sql } = this;
    return {
      hours: Number(sql.readMeta.get(HOURS)?.value ?? 0),
      retained: sql.readRetained.all(),
      sessions: sql.readSessions.all().map((row) => ({ ...row, account: row.account ?? undefined })),
      subscriptions: sql.readSubscriptions.all().flatMap(({ options, ...key }) => {
        const known = readOptions(options);
        return known ? [{ ...key, options: known }] : [];
      }),
      queue: sql.readQueue.all().map(({ packetId, received, ...row }) => ({
        ...row,
        packetId: packetId ?? undefined,
        isReceived: received === 1,
      })),
      wills: sql.readWills
        .all()
        .map((row) => ({ ...row, account: row.account ?? undefined, retain: row.retain === 1 })),
      exchanges: sql.readExchanges.all(),
    };
  }

  attach(source: ChangeSource): void {
    this.source = source;
  }

  /**
   * Writes what the source has; it is durable when this returns.
   * @throws DatabaseError
   */
  commit(): void {
    const { source } = this;
    const changes = source?.changes();
    if (!source || !changes) return;
    this.commits.readings(() => {
      this.applyAll.immediate(changes);
    });
    source.committed();
  }

  /**
   * Only within another's transaction: writes what the source has. A mistake in it must not stop the readings:
   * it is undone, and left to `commit` to be told.
   */
  join(): void {
    this.isWritten = false;
    const changes = this.source?.changes();
    if (!changes) return;
    try {
      this.applyAll(changes);
      this.isWritten = true;
    } catch (error) {
      if (!isMistake(error)) throw error;
    }
  }

  /** The transaction of the last `join` is durable. */
  joined(): void {
    if (!this.isWritten) return;
    this.isWritten = false;
    this.source?.committed();
  }

  private apply(changes: BrokerChanges): void {
    const { sql } = this;
    if (changes.hours !== undefined) sql.writeMeta.run(HOURS, String(changes.hours));
    for (const clientId of changes.endedSessions) {
      sql.endSubscriptions.run(clientId);
      sql.endQueue.run(clientId);
      sql.endSession.run(clientId);
    }
    for (const { clientId, account, usedHour } of changes.sessions) {
      sql.putSession.run(clientId, account ?? null, usedHour);
    }
    for (const { clientId, filter } of changes.subscriptions.removed) {
      sql.removeSubscription.run(clientId, filter);
    }
    for (const { clientId, filter, options } of changes.subscriptions.put) {
      sql.putSubscription.run(clientId, filter, JSON.stringify(options));
    }
    for (const seq of changes.queue.removed) sql.removeMessage.run(seq);
    for (const { seq, clientId, topic, payload, qos, packetId, isReceived } of changes.queue.put) {
      const received = isReceived ? 1 : 0;
      sql.putMessage.run(seq, clientId, topic, payload, qos, packetId ?? null, received);
    }
    for (const topic of changes.retained.removed) sql.removeRetained.run(topic);
    for (const { topic, payload, qos } of changes.retained.put) sql.putRetained.run(topic, payload, qos);
    for (const clientId of changes.wills.removed) sql.removeWill.run(clientId);
    for (const { clientId, account, topic, payload, qos, retain } of changes.wills.put) {
      sql.putWill.run(clientId, account ?? null, topic, payload, qos, retain ? 1 : 0);
    }
    for (const { clientId, packetId } of changes.exchanges.removed) {
      sql.removeExchange.run(clientId, packetId);
    }
    for (const { clientId, packetId } of changes.exchanges.put) sql.putExchange.run(clientId, packetId);
  }
}

/** A constraint that failed, a value SQLite does not take: ours, not the disk's. */
function isMistake(error: unknown): boolean {
  if (error instanceof TypeError || error instanceof RangeError) return true;
  return (
    error instanceof Database.SqliteError &&
    /^SQLITE_(CONSTRAINT|ERROR|MISMATCH|RANGE|MISUSE|TOOBIG)/.test(error.code)
  );
}

function readOptions(text: string): SubscriptionOptions | undefined {
  try {
    const options: unknown = JSON.parse(text);
    return isOptions(options) ? options : undefined;
  } catch {
    return undefined;
  }
}

function isOptions(options: unknown): options is SubscriptionOptions {
  return (
    typeof options === 'object' &&
    options !== null &&
    'qos' in options &&
    (options.qos === 0 || options.qos === 1 || options.qos === 2)
  );
}

function prepare(db: Database.Database) {
  return {
    readMeta: db.prepare<[string], { value: string }>('SELECT value FROM meta WHERE key = ?'),
    writeMeta: db.prepare<[string, string]>(
      'INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value',
    ),

    readSessions: db.prepare<[], { clientId: string; account: string | null; usedHour: number }>(
      `SELECT client AS clientId, account, used_hour AS usedHour FROM broker_session ORDER BY used_hour, client`,
    ),
    putSession: db.prepare<[string, string | null, number]>(
      `INSERT INTO broker_session (client, account, used_hour) VALUES (?, ?, ?)
       ON CONFLICT DO UPDATE SET account = excluded.account, used_hour = excluded.used_hour`,
    ),
    endSession: db.prepare<[string]>('DELETE FROM broker_session WHERE client = ?'),
    endSubscriptions: db.prepare<[string]>('DELETE FROM broker_subscription WHERE client = ?'),
    endQueue: db.prepare<[string]>('DELETE FROM broker_queue WHERE client = ?'),

    readSubscriptions: db.prepare<[], { clientId: string; filter: string; options: string }>(
      'SELECT client AS clientId, filter, options FROM broker_subscription ORDER BY client, filter',
    ),
    putSubscription: db.prepare<[string, string, string]>(
      `INSERT INTO broker_subscription (client, filter, options) VALUES (?, ?, ?)
       ON CONFLICT DO UPDATE SET options = excluded.options`,
    ),
    removeSubscription: db.prepare<[string, string]>(
      'DELETE FROM broker_subscription WHERE client = ? AND filter = ?',
    ),

    readQueue: db.prepare<
      [],
      {
        seq: number;
        clientId: string;
        topic: string;
        payload: Uint8Array;
        qos: QoS;
        packetId: number | null;
        received: number;
      }
    >(
      `SELECT seq, client AS clientId, topic, payload, qos, packet_id AS packetId, received
       FROM broker_queue ORDER BY seq`,
    ),
    putMessage: db.prepare<[number, string, string, Uint8Array, number, number | null, number]>(
      `INSERT INTO broker_queue (seq, client, topic, payload, qos, packet_id, received)
       VALUES (?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET packet_id = excluded.packet_id, received = excluded.received`,
    ),
    removeMessage: db.prepare<[number]>('DELETE FROM broker_queue WHERE seq = ?'),

    readRetained: db.prepare<[], Retained>('SELECT topic, payload, qos FROM broker_retained ORDER BY rowid'),
    putRetained: db.prepare<[string, Uint8Array, number]>(
      `INSERT INTO broker_retained (topic, payload, qos) VALUES (?, ?, ?)
       ON CONFLICT DO UPDATE SET payload = excluded.payload, qos = excluded.qos`,
    ),
    removeRetained: db.prepare<[string]>('DELETE FROM broker_retained WHERE topic = ?'),

    readWills: db.prepare<
      [],
      Retained & { clientId: string; account: string | null; topic: string; retain: number }
    >('SELECT client AS clientId, account, topic, payload, qos, retain FROM broker_will ORDER BY rowid'),
    putWill: db.prepare<[string, string | null, string, Uint8Array, number, number]>(
      `INSERT INTO broker_will (client, account, topic, payload, qos, retain) VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET account = excluded.account, topic = excluded.topic,
         payload = excluded.payload, qos = excluded.qos, retain = excluded.retain`,
    ),
    removeWill: db.prepare<[string]>('DELETE FROM broker_will WHERE client = ?'),

    readExchanges: db.prepare<[], Exchange>(
      'SELECT client AS clientId, packet_id AS packetId FROM broker_exchange',
    ),
    putExchange: db.prepare<[string, number]>(
      'INSERT OR IGNORE INTO broker_exchange (client, packet_id) VALUES (?, ?)',
    ),
    removeExchange: db.prepare<[string, number]>(
      'DELETE FROM broker_exchange WHERE client = ? AND packet_id = ?',
    ),
  };
}
