/**
 * A broker on a real database, of which every test can take what is on disk at one instant and start another broker
 * from that.
 */
import { copyFileSync, existsSync } from 'node:fs';
import path from 'node:path';
import Database from 'better-sqlite3';
import { onTestFinished } from 'vitest';
import { Broker } from '../../src/broker/broker.ts';
import type { BrokerOptions } from '../../src/broker/options.ts';
import type { BrokerStore } from '../../src/broker/store.ts';
import type { EpochMs } from '../../src/core/time.ts';
import { DATABASE_FILE } from '../../src/ledger/database.ts';
import { Ledger } from '../../src/ledger/ledger.ts';
import { TestClock } from '../support/clock.ts';
import { temporaryFolder } from '../support/folder.ts';
import { connectMqtt, Mailbox, RawClient, TestInlet, turns } from './setup.ts';

/** The store of a real database; counts its commits, and fails when told to. */
class TestStore implements BrokerStore {
  commits = 0;
  isFailing = false;

  constructor(private readonly ledger: Ledger) {}

  load(): ReturnType<BrokerStore['load']> {
    return this.ledger.broker.load();
  }

  attach(source: Parameters<BrokerStore['attach']>[0]): void {
    this.ledger.broker.attach(source);
  }

  commit(): void {
    if (this.isFailing) throw new Error('disk full');
    this.commits += 1;
    this.ledger.broker.commit();
  }
}

export class House {
  readonly clock = new TestClock('2026-11-24T08:00:00Z');
  readonly inlet = new TestInlet();
  readonly unstored: unknown[] = [];
  readonly store: TestStore;
  readonly broker: Broker;
  port = 0;

  constructor(
    private readonly folder: string,
    options: Partial<BrokerOptions>,
  ) {
    const ledger = Ledger.open(folder, { space: { ballastBytes: 0 } });
    this.store = new TestStore(ledger);
    this.broker = new Broker({
      listen: [{ host: '127.0.0.1', port: 0 }],
      inlet: this.inlet,
      store: this.store,
      after: (delayMs, task) => this.clock.at((this.clock.now() + delayMs) as EpochMs, task),
      onUnstored: (error) => this.unstored.push(error),
      log: () => undefined,
      ...options,
    });
    onTestFinished(async () => {
      this.inlet.letGo();
      await this.broker.stop();
      ledger.close();
    });
  }

  static async start(options: Partial<BrokerOptions> = {}, folder = temporaryFolder()): Promise<House> {
    const house = new House(folder, options);
    house.port = (await house.broker.start())[0]?.port ?? 0;
    return house;
  }

  /** Another broker, on what is on disk at this instant. This one knows nothing of it. */
  async afterCrash(options: Partial<BrokerOptions> = {}): Promise<House> {
    const folder = temporaryFolder();
    for (const suffix of ['', '-wal']) {
      const file = path.join(this.folder, DATABASE_FILE) + suffix;
      if (existsSync(file)) copyFileSync(file, path.join(folder, DATABASE_FILE) + suffix);
    }
    return House.start(options, folder);
  }

  /** What the disk has, seen by somebody else. */
  onDisk(table: string): unknown[] {
    const db = new Database(path.join(this.folder, DATABASE_FILE), { readonly: true });
    try {
      return db.prepare(`SELECT * FROM ${table}`).all();
    } finally {
      db.close();
    }
  }

  /** Lets what nobody waits for be written. */
  pass(seconds: number): void {
    this.clock.advanceTo(new Date(this.clock.now() + seconds * 1_000).toISOString());
  }

  /** Makes a session for `clientId` that subscribes to `filter`, and leaves. */
  async subscribed(clientId: string, filter: string, qos: 1 | 2 = 2): Promise<void> {
    const client = await RawClient.connected(this.port, clientId, false);
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: filter, qos }] });
    await client.next('suback');
    await leave(client);
  }

  /** Publishes and waits for the end of the exchange. */
  async publish(
    topic: string,
    payload: string,
    options: { qos?: 1 | 2; retain?: boolean } = {},
  ): Promise<void> {
    const client = await connectMqtt(this.port);
    await client.publishAsync(topic, payload, { qos: 1, ...options });
    await client.endAsync();
  }

  /** The payloads that a new subscriber of `filter` gets at once. */
  async retained(filter: string): Promise<string[]> {
    const client = await connectMqtt(this.port);
    const mailbox = new Mailbox(client);
    await client.subscribeAsync(filter, { qos: 1 });
    await mailbox.settle(this.port);
    return mailbox.received.filter(({ retain }) => retain).map(({ payload }) => payload);
  }
}

export async function leave(client: RawClient): Promise<void> {
  client.send({ cmd: 'disconnect' });
  await client.closed;
}

/** Without a word, as when the power goes. */
export async function vanish(client: RawClient): Promise<void> {
  client.socket.destroy();
  await client.closed;
  await turns();
}
