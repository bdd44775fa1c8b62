/**
 * The embedded MQTT 3.1.1 broker: aedes, behind a guard, with an acknowledgement that means "stored".
 *
 * A publish goes socket → framing guard → aedes → `authorizePublish` → inlet; only when the inlet is done does
 * aedes go on to acknowledge and forward it. That holds for QoS 0, 1 and 2 alike: aedes sends PUBACK after
 * that hook and before every other, and PUBREC later still.
 *
 * States: stopped → starting → running → stopping → stopped.
 */
import type { EventEmitter } from 'node:events';
import type { Duplex } from 'node:stream';
import { Aedes, type PublishPacket } from 'aedes';
import { makeAdmission } from './admission.ts';
import { Connections, type Connection } from './connections.ts';
import { startCounters, type BrokerCounters } from './counters.ts';
import type { TlsIdentity } from './entrance.ts';
import { makeHooks } from './hooks.ts';
import { Incidents } from './incidents.ts';
import { InletGate } from './inlet.ts';
import { DEFAULT_LIMITS, type BrokerLimits } from './limits.ts';
import type { Listening } from './listen.ts';
import { Listeners } from './listeners.ts';
import type { BrokerOptions, OwnMessage } from './options.ts';
import { Owners } from './owners.ts';
import { Persistence } from './persistence.ts';
import { Roster } from './roster.ts';
import { State } from './state.ts';
import { Turns } from './turns.ts';
import { afterwards } from './write-behind.ts';
import type { Will } from './wills.ts';

/** aedes announces itself to other brokers of a cluster; there is none. Times 4 it must fit a timer. */
const HEARTBEAT_MS = 500_000_000;

/** A subscriber that takes nothing for so long, with its backlog full, is disconnected. */
const DRAIN_TIMEOUT_MS = 5_000;

export class Broker {
  readonly counters: BrokerCounters = startCounters();

  private readonly limits: BrokerLimits;
  private readonly gate: InletGate;
  private readonly connections: Connections;
  private readonly state: State;
  private readonly owners: Owners;
  private readonly persistence: Persistence;
  private readonly roster = new Roster();
  private readonly turns: Turns;
  private readonly incidents: Incidents;
  private readonly duplicates = new WeakSet<object>();
  private readonly resent = new WeakSet<object>();
  private readonly listeners: Listeners;
  private aedes: Aedes | undefined;
  private starting: Promise<Listening[]> | undefined;
  private stopping: Promise<void> | undefined;

  constructor(private readonly options: BrokerOptions) {
    this.limits = { ...DEFAULT_LIMITS, ...options.limits };
    const incidents = new Incidents(this.counters, this.limits, options);
    this.incidents = incidents;
    this.gate = new InletGate(
      options.inlet,
      this.limits,
      (error) => incidents.fault(error),
      (clientId, packetId) => this.state.staging.exchangeOver(clientId, packetId),
    );
    this.turns = new Turns({
      limits: this.limits,
      pending: () => this.gate.pending,
      now: () => performance.now(),
      workMs: () => {
        const { user, system } = process.cpuUsage();
        return (user + system) / 1_000;
      },
      after: afterwards,
      onSlowed: (client) => incidents.slowed(client),
      onFlood: (connection, client) => {
        incidents.flooded(client);
        connection.cut();
      },
    });
    this.connections = new Connections({
      limits: this.limits,
      turns: this.turns,
      isReading: () => this.stopping === undefined,
      onRefused: (refusal, address) => incidents.refused(refusal, address),
      onClosed: (connection) => this.closed(connection),
    });
    this.listeners = new Listeners({
      listen: options.listen,
      identity: options.tls,
      origins: options.origins ?? [],
      limits: this.limits,
      connections: this.connections,
      onStream: (connection, stream) => this.accept(connection, stream),
      onRefused: (refusal, address, detail) => incidents.refused(refusal, address, detail),
      log: options.log,
    });
    this.owners = new Owners((clientId) => this.state.sessions.has(clientId));
    this.state = this.makeState();
    this.persistence = this.makePersistence();
  }

  /** Clients that are connected: their CONNECT was accepted. */
  get clientCount(): number {
    return this.roster.count;
  }

  /** Publishes the inlet has not done with. */
  get pending(): number {
    return this.gate.pending;
  }

  /** Listens, and tells where. Rejects with a `ListenError`; then nothing is left open. */
  start(): Promise<Listening[]> {
    if (this.stopping) return this.stopping.then(() => this.start());
    this.starting ??= this.open().catch((error: unknown) => {
      this.starting = undefined;
      throw error;
    });
    return this.starting;
  }

  /**
   * Takes no more, lets the inlet finish what it has (acknowledgements go out), then closes all connections.
   * The inlet must live until this resolves. Wills are not published: see `hooks.ts`.
   */
  stop(): Promise<void> {
    this.stopping ??= this.close().finally(() => (this.stopping = undefined));
    return this.stopping;
  }

  /**
   * Shows another certificate to clients that come from now on.
   * @throws where it is of no use; then all stays as it was
   */
  secure(identity: TlsIdentity): void {
    this.listeners.secure(identity);
  }

  /** Publishes to subscribers; the inlet does not see it. Rejects while the broker is not running. */
  async publish({ topic, payload, qos, retain }: OwnMessage): Promise<void> {
    const { aedes } = this;
    if (!aedes) throw new Error('the broker is not running');
    const packet = { cmd: 'publish', topic, payload: Buffer.from(payload), qos, retain, dup: false } as const;
    await new Promise<void>((resolve, reject) => {
      aedes.publish(packet, (error) => (error ? reject(error) : resolve()));
    });
  }

  /** Whose client this is; `undefined` where it is anonymous or gone. */
  accountOf(clientId: string): string | undefined {
    return this.roster.accountOf(clientId);
  }

  /**
   * These accounts are gone, or not what they were: their clients are disconnected, their sessions forgotten.
   * Who still has an account comes back by itself, with the rights of today. `undefined`: the anonymous.
   */
  expel(names: readonly (string | undefined)[]): void {
    const accounts = new Set(names);
    for (const connection of this.connections.of(accounts)) connection.expel();
    this.state.expel(accounts);
    for (const clientId of this.owners.clientIdsOf(accounts)) {
      this.state.sessions.end(clientId);
      this.gate.forget(clientId);
    }
  }

  /** What an earlier run left of accounts that are gone since. */
  private expelUnknown(): void {
    const { accounts } = this.options;
    if (!accounts) return;
    const owners = [...this.owners.accounts(), ...this.state.wills.accounts()];
    this.expel(owners.filter((owner) => !accounts.knows(owner)));
  }

  private async open(): Promise<Listening[]> {
    this.state.load();
    this.expelUnknown();
    const aedes = this.makeAedes();
    await aedes.listen();
    this.aedes = aedes;
    try {
      const opened = await this.listeners.open();
      this.state.start((will) => this.publishWill(aedes, will));
      return opened;
    } catch (error) {
      this.aedes = undefined;
      await closeAedes(aedes);
      throw error;
    }
  }

  private async close(): Promise<void> {
    await this.starting?.catch(() => undefined);
    const { aedes } = this;
    if (!aedes) return;
    const closed = this.listeners.close();
    await this.drain();
    this.state.changes.flush();
    // Acknowledgements leave with the next turn of the event loop.
    await new Promise((resolve) => setImmediate(resolve));
    await closeAedes(aedes);
    this.connections.destroyAll();
    await closed;
    await this.drain();
    this.turns.stop();
    this.state.stop();
    this.aedes = undefined;
    this.starting = undefined;
  }

  private async drain(): Promise<void> {
    if (await this.gate.drained(this.limits.stopTimeoutMs)) return;
    this.options.log('warn', 'stopped with publishes not yet stored; they are not acknowledged', {
      pending: this.gate.pending,
    });
  }

  private accept(connection: Connection, stream: Duplex): void {
    const { aedes } = this;
    if (!aedes) {
      connection.cut();
      return;
    }
    this.counters.connections += 1;
    this.connections.carry(connection, stream);
    this.roster.pair(aedes.handle(stream), connection);
  }

  private makeAedes(): Aedes {
    const { counters, incidents, limits } = this;
    const aedes = new Aedes({
      persistence: this.persistence,
      // Unbounded on purpose: with a bound, a hundred messages waiting for one stuck subscriber hold up those
      // of all others. What may wait is bounded per subscriber and per publisher instead.
      concurrency: 0,
      heartbeatInterval: HEARTBEAT_MS,
      drainTimeout: DRAIN_TIMEOUT_MS,
      // Only a second fence: the connection's own timer also covers what comes after the CONNECT.
      connectTimeout: 2 * limits.connectTimeoutMs,
      maxClientsIdLength: limits.clientIdLength,
      ...makeAdmission({
        limits,
        accounts: this.options.accounts,
        owners: this.owners,
        connectionOf: (client) => this.roster.connectionOf(client),
        onRefused: (refusal, address) => incidents.refused(refusal, address),
        onDeniedWill: (guest, will) => incidents.denied(guest, 'will', will),
        onFault: (error) => incidents.fault(error),
      }),
      ...makeHooks({
        limits,
        gate: this.gate,
        staging: this.state.staging,
        changes: this.state.changes,
        connectionOf: (client) => this.roster.connectionOf(client),
        duplicates: this.duplicates,
        resent: this.resent,
        isStopping: () => this.stopping !== undefined,
        onPublish: (qos, account) => {
          counters.publishes[qos] += 1;
          if (account !== undefined) this.options.accounts?.published(account);
        },
        onDenied: (guest, publish) => incidents.denied(guest, 'publish', publish),
        onDeniedSubscription: (guest, filter) => incidents.subscriptionDenied(guest, filter),
        onSubscriptionRefused: ({ id }, filter) => this.state.sessions.unsubscribe(id, filter),
        onPublishRefused: (refusal, client, reason) => incidents.publishRefused(refusal, client, reason),
        onDiscarded: () => (counters.discarded += 1),
        onTopicTooLarge: (client, topic, reason) => incidents.topicTooLarge(client, topic, reason),
        onDuplicate: () => (counters.duplicates += 1),
        onForwardDropped: () => (counters.droppedForwards += 1),
        onFault: (error) => incidents.fault(error),
      }),
    });
    // Without a listener an 'error' ends the process; the typings leave the event out.
    (aedes as EventEmitter).on('error', (error) => incidents.fault(error));
    aedes.on('clientError', (client, error) => incidents.lost(client.id, error));
    aedes.on('connectionError', (client, error) => incidents.lost(client.id, error));
    aedes.on('client', (client) => this.roster.join(client));
    aedes.on('clientDisconnect', (client) => this.roster.leave(client));
    aedes.on('connackSent', (packet, client) => {
      if (packet.returnCode === 0) this.roster.connectionOf(client)?.welcomed();
    });
    aedes.on('clientReady', (client) => {
      const connection = this.roster.connectionOf(client);
      if (!connection) return;
      connection.isReady = true;
      const account = connection.arrival?.account;
      const { address } = connection;
      this.turns.join(connection, client.id, account === undefined ? `at ${address}` : `as ${account}`);
    });
    aedes.on('unsubscribe', (filters, client) => {
      for (const filter of filters) this.roster.connectionOf(client)?.withdraw(filter);
    });
    return aedes;
  }

  private makeState(): State {
    const { incidents, options } = this;
    return new State({
      limits: this.limits,
      store: options.store,
      after: options.after ?? afterwards,
      owners: this.owners,
      gate: this.gate,
      isConnected: (clientId) => this.roster.isConnected(clientId),
      accountOf: (clientId) => this.roster.accountOf(clientId),
      onRetainedDropped: (topic) => incidents.retainedDropped(topic),
      onQueuedDropped: (client) => incidents.queuedDropped(client),
      onStored: () => options.onStored?.(),
      onUnstored: (error) => {
        if (options.onUnstored) options.onUnstored(error);
        else this.incidents.fault(error);
      },
    });
  }

  private makePersistence(): Persistence {
    const { gate } = this;
    return new Persistence({
      state: this.state,
      isGranted: (client, filter) => this.roster.connectionOf(client)?.granted.has(filter) ?? false,
      accountOf: (client) => this.roster.connectionOf(client)?.guest?.account,
      isDuplicate: (packet) => this.duplicates.has(packet),
      resent: this.resent,
      release: (clientId, packetId) => gate.release(clientId, packetId),
      forgetExchanges: (clientId) => gate.forget(clientId),
      isStopping: () => this.stopping !== undefined,
    });
  }

  /** The will of a client that did not come back: a reading as any other. */
  private async publishWill(aedes: Aedes, will: Will): Promise<void> {
    // As aedes itself hands wills over: without being a packet.
    const packet = { ...will } as PublishPacket;
    await new Promise<void>((resolve, reject) => {
      aedes.authorizePublish(null, packet, (error) => (error ? reject(error) : resolve()));
    });
    aedes.publish(packet, (error) => error && this.incidents.fault(error));
  }

  private closed(connection: Connection): void {
    const { arrival, unpublished } = connection;
    for (const staged of unpublished) this.state.staging.undo(staged);
    unpublished.clear();
    if (arrival) {
      this.owners.release(arrival.clientId);
      if (arrival.account !== undefined) this.options.accounts?.disconnected(arrival.account);
    }
    this.roster.closed(connection);
  }
}

function closeAedes(aedes: Aedes): Promise<void> {
  return new Promise((resolve) => aedes.close(resolve));
}
