/**
 * The embedded MQTT 3.1.1 broker: aedes, behind a guard, with an acknowledgement that means "stored".
 *
 * A publish goes socket → framing guard → aedes → `authorizePublish` → inlet; only when the inlet is done does
 * aedes go on to acknowledge and forward it. That holds for QoS 0, 1 and 2 alike: aedes sends PUBACK after
 * that hook and before every other, and PUBREC later still.
 *
 * States: stopped → starting → running → stopping → stopped.
 */
import { createServer, type Server, type Socket } from 'node:net';
import type { EventEmitter } from 'node:events';
import { Aedes, type Client } from 'aedes';
import type { Accounts, Guest } from './accounts.ts';
import { makeAdmission } from './admission.ts';
import { Connections, type Connection, type Refusal } from './connections.ts';
import { startCounters, type BrokerCounters } from './counters.ts';
import { makeHooks } from './hooks.ts';
import { InletGate, type Inlet, type QoS } from './inlet.ts';
import { DEFAULT_LIMITS, type BrokerLimits } from './limits.ts';
import { closeServer, listen, type ListenAddress } from './listen.ts';
import { Owners } from './owners.ts';
import { Persistence } from './persistence.ts';
import { RetainedMessages } from './retained.ts';
import { Sessions } from './sessions.ts';

export type Log = (
  level: 'debug' | 'info' | 'warn' | 'error',
  message: string,
  fields?: Readonly<Record<string, unknown>>,
) => void;

export interface BrokerOptions {
  /** Port 0 takes a free one. */
  readonly listen: readonly ListenAddress[];
  readonly limits?: Partial<BrokerLimits>;
  readonly inlet: Inlet;
  /** Absent: everybody may connect, publish and subscribe. */
  readonly accounts?: Accounts;
  readonly log: Log;
}

/** A message of the bridge itself. */
export interface OwnMessage {
  readonly topic: string;
  readonly payload: string | Uint8Array;
  readonly qos: QoS;
  readonly retain: boolean;
}

/** TCP keepalive: finds dead peers of clients that asked for no MQTT keepalive. */
const TCP_KEEPALIVE_MS = 60_000;

/** aedes announces itself to other brokers of a cluster; there is none. Times 4 it must fit a timer. */
const HEARTBEAT_MS = 500_000_000;

/** Packets sent right behind the CONNECT. Bytes are bounded anyway: no more is read until the CONNACK. */
const MOST_BEFORE_CONNACK = 1_000;

/** A subscriber that takes nothing for so long, with its backlog full, is disconnected. */
const DRAIN_TIMEOUT_MS = 5_000;

export class Broker {
  readonly counters: BrokerCounters = startCounters();

  private readonly limits: BrokerLimits;
  private readonly gate: InletGate;
  private readonly connections: Connections;
  private readonly sessions: Sessions;
  private readonly owners: Owners;
  private readonly persistence: Persistence;
  private readonly connectionOf = new WeakMap<Client, Connection>();
  private readonly clientOf = new WeakMap<Connection, Client>();
  private readonly clients = new Map<string, Client>();
  private readonly duplicates = new WeakSet<object>();
  private servers: Server[] = [];
  private aedes: Aedes | undefined;
  private starting: Promise<ListenAddress[]> | undefined;
  private stopping: Promise<void> | undefined;

  constructor(private readonly options: BrokerOptions) {
    this.limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.gate = new InletGate(options.inlet, this.limits, (error) => this.fault(error));
    this.connections = new Connections({
      limits: this.limits,
      isReading: () => this.stopping === undefined,
      onRefused: (refusal, address) => this.refused(refusal, address),
      onClosed: (connection) => this.closed(connection),
    });
    this.sessions = new Sessions(this.limits, (clientId) => this.clients.has(clientId));
    this.owners = new Owners((clientId) => this.sessions.has(clientId));
    this.persistence = this.makePersistence();
  }

  /** Clients that are connected: their CONNECT was accepted. */
  get clientCount(): number {
    return this.clients.size;
  }

  /** Publishes the inlet has not done with. */
  get pending(): number {
    return this.gate.pending;
  }

  /** Listens, and tells where. Rejects with a `ListenError`; then nothing is left open. */
  start(): Promise<ListenAddress[]> {
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
    const client = this.clients.get(clientId);
    return client && this.connectionOf.get(client)?.guest?.account;
  }

  /**
   * These accounts are gone, or not what they were: their clients are disconnected, their sessions forgotten.
   * Who still has an account comes back by itself, with the rights of today. `undefined`: the anonymous.
   */
  expel(names: readonly (string | undefined)[]): void {
    const accounts = new Set(names);
    for (const connection of this.connections.of(accounts)) connection.expel();
    for (const clientId of this.owners.clientIdsOf(accounts)) {
      this.sessions.end(clientId);
      this.gate.forget(clientId);
    }
  }

  private async open(): Promise<ListenAddress[]> {
    const aedes = this.makeAedes();
    await aedes.listen();
    const servers: Server[] = [];
    try {
      const addresses: ListenAddress[] = [];
      for (const address of this.options.listen) {
        const server = this.makeServer(aedes);
        addresses.push(await listen(server, address));
        servers.push(server);
        server.on('error', (error) => this.options.log('error', 'listener failed', { error: error.message }));
      }
      this.aedes = aedes;
      this.servers = servers;
      return addresses;
    } catch (error) {
      this.connections.destroyAll();
      await Promise.all(servers.map(closeServer));
      await closeAedes(aedes);
      throw error;
    }
  }

  private async close(): Promise<void> {
    await this.starting?.catch(() => undefined);
    const { aedes, servers } = this;
    if (!aedes) return;
    const closed = servers.map(closeServer);
    await this.drain();
    // Acknowledgements leave with the next turn of the event loop.
    await new Promise((resolve) => setImmediate(resolve));
    await closeAedes(aedes);
    this.connections.destroyAll();
    await Promise.all(closed);
    await this.drain();
    this.aedes = undefined;
    this.servers = [];
    this.starting = undefined;
  }

  private async drain(): Promise<void> {
    if (await this.gate.drained(this.limits.stopTimeoutMs)) return;
    this.options.log('warn', 'stopped with publishes not yet stored; they are not acknowledged', {
      pending: this.gate.pending,
    });
  }

  private makeServer(aedes: Aedes): Server {
    const server = createServer(
      {
        noDelay: true,
        keepAlive: true,
        keepAliveInitialDelay: TCP_KEEPALIVE_MS,
        highWaterMark: this.limits.backlogBytes,
      },
      (socket) => this.accept(aedes, socket),
    );
    // `admit` counts over all listeners; this one spares the work where a single one is flooded.
    server.maxConnections = this.limits.connections;
    server.on('drop', (data) => this.refused('too_many', data?.remoteAddress ?? 'unknown'));
    return server;
  }

  private accept(aedes: Aedes, socket: Socket): void {
    const connection = this.connections.admit(socket);
    if (!connection) return;
    this.counters.connections += 1;
    const client = aedes.handle(socket);
    this.connectionOf.set(client, connection);
    this.clientOf.set(connection, client);
  }

  private makeAedes(): Aedes {
    const { counters, limits } = this;
    const aedes = new Aedes({
      persistence: this.persistence,
      // Unbounded on purpose: with a bound, a hundred messages waiting for one stuck subscriber hold up those
      // of all others. What may wait is bounded per subscriber and per publisher instead.
      concurrency: 0,
      heartbeatInterval: HEARTBEAT_MS,
      drainTimeout: DRAIN_TIMEOUT_MS,
      queueLimit: MOST_BEFORE_CONNACK,
      // Only a second fence: the connection's own timer also covers what comes after the CONNECT.
      connectTimeout: 2 * limits.connectTimeoutMs,
      maxClientsIdLength: limits.clientIdLength,
      ...makeAdmission({
        limits,
        accounts: this.options.accounts,
        owners: this.owners,
        connectionOf: (client) => this.connectionOf.get(client),
        onRefused: (refusal, address) => this.refused(refusal, address),
        onDeniedWill: (guest, topic) => this.denied(guest, 'will', topic),
        onFault: (error) => this.fault(error),
      }),
      ...makeHooks({
        limits,
        gate: this.gate,
        connectionOf: (client) => this.connectionOf.get(client),
        duplicates: this.duplicates,
        isStopping: () => this.stopping !== undefined,
        onPublish: (qos, account) => {
          counters.publishes[qos] += 1;
          if (account !== undefined) this.options.accounts?.published(account);
        },
        onDenied: (guest, what, topic) => this.denied(guest, what, topic),
        onSubscriptionRefused: ({ id }, filter) => this.sessions.unsubscribe(id, filter),
        onPublishRefused: (refusal, client, reason) => {
          counters.refusedPublishes[refusal] += 1;
          this.options.log('debug', 'publish not taken', { client, reason });
        },
        onDiscarded: () => (counters.discarded += 1),
        onDuplicate: () => (counters.duplicates += 1),
        onForwardDropped: () => (counters.droppedForwards += 1),
        onFault: (error) => this.fault(error),
      }),
    });
    // Without a listener an 'error' ends the process; the typings leave the event out.
    (aedes as EventEmitter).on('error', (error) => this.fault(error));
    aedes.on('clientError', (client, error) => this.lost(client, error));
    aedes.on('connectionError', (client, error) => this.lost(client, error));
    aedes.on('client', (client) => this.clients.set(client.id, client));
    aedes.on('clientDisconnect', (client) => this.leave(client));
    aedes.on('connackSent', (packet, client) => {
      if (packet.returnCode === 0) this.connectionOf.get(client)?.welcomed();
    });
    aedes.on('clientReady', (client) => {
      const connection = this.connectionOf.get(client);
      if (connection) connection.isReady = true;
    });
    aedes.on('unsubscribe', (filters, client) => {
      for (const filter of filters) this.connectionOf.get(client)?.withdraw(filter);
    });
    return aedes;
  }

  private makePersistence(): Persistence {
    const { counters, gate } = this;
    return new Persistence({
      retained: new RetainedMessages(this.limits),
      sessions: this.sessions,
      // aedes hands over its own client objects here; the cast only says so.
      // eslint-disable-next-line @typescript-eslint/no-unsafe-class-instance-assignment
      isGranted: (client, filter) => this.connectionOf.get(client as Client)?.granted.has(filter) ?? false,
      isDuplicate: (packet) => this.duplicates.has(packet),
      release: (clientId, packetId) => gate.release(clientId, packetId),
      forgetExchanges: (clientId) => gate.forget(clientId),
      onRetainedDropped: (topic) => {
        counters.droppedRetained += 1;
        this.options.log('debug', 'no room for a retained message', { topic });
      },
      onQueuedDropped: (client) => {
        counters.droppedQueued += 1;
        this.options.log('debug', 'no room in the queue of a session', { client });
      },
    });
  }

  private refused(refusal: Refusal, address: string): void {
    this.counters.refusedConnections[refusal] += 1;
    this.options.log('debug', 'connection refused', { reason: refusal, address });
  }

  private lost(client: Client, error: Error): void {
    this.options.log('debug', 'connection lost', { client: client.id, reason: error.message });
  }

  private denied({ account }: Guest, what: 'publish' | 'subscribe' | 'will', topic: string): void {
    this.counters.denied[what] += 1;
    if (account !== undefined) this.options.accounts?.denied(account, what, topic);
  }

  private closed(connection: Connection): void {
    const { arrival } = connection;
    if (arrival) {
      this.owners.release(arrival.clientId);
      if (arrival.account !== undefined) this.options.accounts?.disconnected(arrival.account);
    }
    const client = this.clientOf.get(connection);
    if (client) this.leave(client);
  }

  private leave(client: Client): void {
    if (this.clients.get(client.id) === client) this.clients.delete(client.id);
  }

  private fault(error: unknown): void {
    this.options.log('error', 'broker failed', {
      error: error instanceof Error ? error.stack : String(error),
    });
  }
}

function closeAedes(aedes: Aedes): Promise<void> {
  return new Promise((resolve) => aedes.close(resolve));
}
