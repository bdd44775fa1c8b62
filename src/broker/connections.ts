/**
 * The open connections: who may come in, what is known of each until it closes.
 *
 * States of a connection: waiting (accepted, a timer runs) → welcome (CONNACK sent, what waited for the client
 * is being sent) → ready → closed. Guarded all along: a framing problem closes it in any state.
 */
import type { Socket } from 'node:net';
import { farewell, FramingGuard, guardReads, type FramingProblem } from './framing-guard.ts';
import type { PublishPacket } from 'aedes';
import { NOBODY, type Guest, type LoginRefusal } from './accounts.ts';
import type { QoS } from './inlet.ts';
import type { BrokerLimits } from './limits.ts';
import type { Staged } from './staging.ts';

/** Why a connection was refused or cut off before it could do anything. */
export type Refusal =
  | 'too_many'
  | 'too_many_from_address'
  | 'connect_timeout'
  | 'client_id'
  | 'client_id_taken'
  | 'will'
  | LoginRefusal
  | FramingProblem;

export const REFUSALS: readonly Refusal[] = [
  'too_many',
  'too_many_from_address',
  'connect_timeout',
  'client_id',
  'client_id_taken',
  'credentials',
  'busy',
  'will',
  'not_mqtt',
  'malformed',
  'packet_too_large',
  'mqtt_5',
  'protocol_level',
];

/** CONNACK return codes of MQTT 3.1.1 (table 3.1). */
export const RETURN_CODES = {
  identifierRejected: 2,
  unavailable: 3,
  badCredentials: 4,
  notAuthorized: 5,
} as const;

export type ReturnCode = (typeof RETURN_CODES)[keyof typeof RETURN_CODES];

export interface Arrival {
  readonly account: string | undefined;
  readonly clientId: string;
}

export class Connection {
  /** Publishes of this connection that the inlet has not done with. */
  pending = 0;
  /** Its QoS 1 publishes that are stored, and not acknowledged yet. */
  readonly unpublished = new Set<Staged>();
  /** aedes has welcomed the client and dealt with what it sent along with its CONNECT. */
  isReady = false;
  /** Decided when the CONNECT came, told with the CONNACK. */
  returnCode: ReturnCode | undefined;
  /** As it came with the CONNECT. */
  will: Pick<PublishPacket, 'topic' | 'payload'> | undefined;
  /** `undefined` until it is let in. */
  private belongsTo: Guest | undefined;
  private letIn: Arrival | undefined;
  private readonly filters = new Map<string, QoS>();
  private lowest: QoS = 2;
  private readonly timer: NodeJS.Timeout;

  constructor(
    readonly socket: Socket,
    readonly address: string,
    connectTimeoutMs: number,
    onTimeout: () => void,
  ) {
    this.timer = setTimeout(onTimeout, connectTimeoutMs);
  }

  /** The CONNACK went out. */
  welcomed(): void {
    clearTimeout(this.timer);
  }

  closed(): void {
    clearTimeout(this.timer);
  }

  admit(guest: Guest, clientId: string): void {
    this.belongsTo = guest;
    this.letIn = { account: guest.account, clientId };
  }

  get guest(): Guest | undefined {
    return this.belongsTo;
  }

  /** As what it was let in; `undefined` where it was not. */
  get arrival(): Arrival | undefined {
    return this.letIn;
  }

  /** Its account is no more what it was: what is still on its way, a will too, comes to nothing. */
  expel(): void {
    this.belongsTo = NOBODY;
    this.socket.destroy();
  }

  /** The subscriptions that were granted, with their QoS. */
  get granted(): ReadonlyMap<string, QoS> {
    return this.filters;
  }

  /** No subscription has a lower QoS. */
  get lowestQoS(): QoS {
    return this.lowest;
  }

  grant(filter: string, qos: QoS): void {
    this.filters.set(filter, qos);
    this.findLowest();
  }

  withdraw(filter: string): void {
    this.filters.delete(filter);
    this.findLowest();
  }

  private findLowest(): void {
    this.lowest = 2;
    for (const qos of this.filters.values()) if (qos < this.lowest) this.lowest = qos;
  }
}

interface ConnectionsParts {
  readonly limits: Pick<
    BrokerLimits,
    | 'connections'
    | 'connectionsPerAddress'
    | 'connectTimeoutMs'
    | 'packetSize'
    | 'connectPacketSize'
    | 'pendingPerConnection'
  >;
  /** False while nothing more is to be read from anybody. */
  readonly isReading: () => boolean;
  readonly onRefused: (refusal: Refusal, address: string) => void;
  readonly onClosed: (connection: Connection) => void;
}

export class Connections {
  private readonly open = new Set<Connection>();
  private readonly byAddress = new Map<string, number>();

  constructor(private readonly parts: ConnectionsParts) {}

  /** Takes the socket in, guarded; `undefined` where it was closed at once. */
  admit(socket: Socket): Connection | undefined {
    const { limits, onRefused } = this.parts;
    // aedes listens too, once it has the socket; before and after that an error must not be unheard.
    socket.on('error', () => undefined);
    const address = socket.remoteAddress?.replace(/^::ffff:/, '');
    if (address === undefined) {
      // Gone already.
      socket.destroy();
      return undefined;
    }
    const fromAddress = this.byAddress.get(address) ?? 0;
    if (this.open.size >= limits.connections || fromAddress >= limits.connectionsPerAddress) {
      onRefused(this.open.size >= limits.connections ? 'too_many' : 'too_many_from_address', address);
      socket.destroy();
      return undefined;
    }
    const connection = new Connection(socket, address, limits.connectTimeoutMs, () => {
      onRefused('connect_timeout', address);
      socket.destroy();
    });
    this.open.add(connection);
    this.byAddress.set(address, fromAddress + 1);
    socket.once('close', () => this.leave(connection));
    this.guard(connection);
    return connection;
  }

  /** Those that are let in as one of these accounts; `undefined`: as nobody. */
  *of(accounts: ReadonlySet<string | undefined>): Generator<Connection> {
    for (const connection of this.open) {
      if (connection.arrival && accounts.has(connection.arrival.account)) yield connection;
    }
  }

  /** Closes all that are open. */
  destroyAll(): void {
    for (const { socket } of this.open) socket.destroy();
  }

  private guard(connection: Connection): void {
    const { socket, address } = connection;
    const { limits, isReading, onRefused } = this.parts;
    const guard = new FramingGuard(limits);
    // In both cases aedes reads again by itself: when a publish is done, when the client is ready. Before that
    // it would deal with later packets ahead of those that came along with the CONNECT.
    const mayRead = (): boolean =>
      isReading() &&
      connection.pending < limits.pendingPerConnection &&
      (connection.isReady || !guard.isConnectComplete);
    guardReads(socket, mayRead, (chunk) => {
      const problem = guard.inspect(chunk);
      if (problem === undefined) return true;
      onRefused(problem, address);
      const words = farewell(problem);
      if (words) socket.end(words, () => socket.destroy());
      else socket.destroy();
      return false;
    });
  }

  private leave(connection: Connection): void {
    connection.closed();
    this.open.delete(connection);
    const left = (this.byAddress.get(connection.address) ?? 1) - 1;
    if (left > 0) this.byAddress.set(connection.address, left);
    else this.byAddress.delete(connection.address);
    this.parts.onClosed(connection);
  }
}
