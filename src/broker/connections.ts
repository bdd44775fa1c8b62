/**
 * The open connections: who may come in, what is known of each until it closes.
 *
 * States of a connection: waiting (accepted, a timer runs; it may have TLS and a websocket to get through) → carried
 * (what comes is MQTT; the timer still runs) → welcome (CONNACK sent, what waited for the client is being sent) →
 * ready → closed. Guarded from when it is carried: a framing problem closes it in any state.
 */
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import {
  boundReadAhead,
  farewell,
  hasEnded,
  FramingGuard,
  guardReads,
  type FramingProblem,
} from './framing-guard.ts';
import type { ConnectPacket } from 'aedes';
import { sourceOf } from '../core/address.ts';
import { NOBODY, type Guest, type LoginRefusal } from './accounts.ts';
import type { QoS } from './inlet.ts';
import type { BrokerLimits } from './limits.ts';
import type { Staged } from './staging.ts';
import type { Turns } from './turns.ts';

/** Large packets count as so many more. */
const BYTES_OF_A_PACKET = 16_384;

/** Why a connection was refused or cut off before it could do anything. */
export type Refusal =
  | 'too_many'
  | 'too_many_from_address'
  | 'connect_timeout'
  /** Its address opens too many: its time was over before its turn came. */
  | 'too_fast'
  /** The handshake failed. */
  | 'tls'
  /** No websocket, or one that is not for MQTT. */
  | 'websocket'
  /** A web page that may not connect. */
  | 'origin'
  | 'client_id'
  | 'client_id_taken'
  | 'will'
  | LoginRefusal
  | FramingProblem;

export const REFUSALS: readonly Refusal[] = [
  'too_many',
  'too_many_from_address',
  'connect_timeout',
  'too_fast',
  'tls',
  'websocket',
  'origin',
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
  /** Told whenever nothing is pending any more. */
  onIdle: (() => void) | undefined;
  /** Told how many copies of a publish were left for sessions. */
  onCopied: ((copies: number) => void) | undefined;
  /** Its QoS 1 publishes that are stored, and not acknowledged yet. */
  readonly unpublished = new Set<Staged>();
  /** Its turn has come. */
  isLetIn = false;
  /** aedes has welcomed the client and dealt with what it sent along with its CONNECT. */
  isReady = false;
  /** Decided when the CONNECT came, told with the CONNACK. */
  returnCode: ReturnCode | undefined;
  /** As it came with the CONNECT. */
  will: ConnectPacket['will'] | undefined;
  /** `undefined` until it is let in. */
  private belongsTo: Guest | undefined;
  private letIn: Arrival | undefined;
  private readonly filters = new Map<string, QoS>();
  private lowest: QoS = 2;
  private readonly timer: NodeJS.Timeout;
  private carrier: Duplex;
  private taken = 0;

  constructor(
    /** Of TCP. */
    readonly socket: Socket,
    readonly address: string,
    connectTimeoutMs: number,
    onTimeout: () => void,
  ) {
    this.timer = setTimeout(onTimeout, connectTimeoutMs);
    this.carrier = socket;
  }

  /** What comes through it is MQTT: the socket itself, or what TLS and websockets make of it. */
  get stream(): Duplex {
    return this.carrier;
  }

  carriedBy(stream: Duplex): void {
    this.carrier = stream;
  }

  /** Publishes of this connection that the inlet has not done with. */
  get pending(): number {
    return this.taken;
  }

  took(): void {
    this.taken += 1;
  }

  did(): void {
    this.taken -= 1;
    if (this.taken === 0) this.onIdle?.();
  }

  /** aedes reads when it is told that there is something; also what is left of the stream's end. */
  readonly resume = (): void => {
    if (!this.carrier.destroyed) this.carrier.emit('readable');
  };

  readonly cut = (): void => {
    this.carrier.destroy();
    this.socket.destroy();
  };

  /** It has hung up before it said anything. */
  get isGone(): boolean {
    return this.socket.destroyed || (hasEnded(this.socket) && this.socket.readableLength === 0);
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
    this.cut();
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
    'connections' | 'connectionsPerAddress' | 'connectTimeoutMs' | 'packetSize' | 'connectPacketSize'
  >;
  readonly turns: Turns;
  /** False while nothing more is to be read from anybody. */
  readonly isReading: () => boolean;
  readonly onRefused: (refusal: Refusal, address: string) => void;
  readonly onClosed: (connection: Connection) => void;
}

export class Connections {
  private readonly open = new Set<Connection>();
  private readonly byAddress = new Map<string, number>();

  constructor(private readonly parts: ConnectionsParts) {}

  /** Gives the socket a place, and time until its CONNACK; `undefined` where it was closed at once. */
  admit(socket: Socket): Connection | undefined {
    const { limits, onRefused } = this.parts;
    // aedes listens too, once it has the socket; before and after that an error must not be unheard.
    socket.on('error', () => undefined);
    boundReadAhead(socket);
    const address = socket.remoteAddress?.replace(/^::ffff:/, '');
    if (address === undefined) {
      // Gone already.
      socket.destroy();
      return undefined;
    }
    const source = sourceOf(address);
    const fromAddress = this.byAddress.get(source) ?? 0;
    if (this.open.size >= limits.connections || fromAddress >= limits.connectionsPerAddress) {
      onRefused(this.open.size >= limits.connections ? 'too_many' : 'too_many_from_address', address);
      socket.destroy();
      return undefined;
    }
    const connection = new Connection(socket, address, limits.connectTimeoutMs, () => {
      onRefused(connection.isLetIn ? 'connect_timeout' : 'too_fast', address);
      connection.cut();
    });
    this.open.add(connection);
    this.byAddress.set(source, fromAddress + 1);
    socket.once('close', () => this.leave(connection));
    connection.onIdle = () => this.parts.turns.idle(connection);
    connection.onCopied = (copies) => this.parts.turns.copied(connection, copies);
    return connection;
  }

  /** From now on `stream` is what carries MQTT, guarded. */
  carry(connection: Connection, stream: Duplex): void {
    if (stream !== connection.socket) stream.on('error', () => undefined);
    connection.carriedBy(stream);
    this.guard(connection);
  }

  /** Those that are let in as one of these accounts; `undefined`: as nobody. */
  *of(accounts: ReadonlySet<string | undefined>): Generator<Connection> {
    for (const connection of this.open) {
      if (connection.arrival && accounts.has(connection.arrival.account)) yield connection;
    }
  }

  /** Closes all that are open. */
  destroyAll(): void {
    for (const connection of this.open) connection.cut();
  }

  private guard(connection: Connection): void {
    const { stream, address } = connection;
    const { limits, turns, isReading, onRefused } = this.parts;
    const guard = new FramingGuard(limits);
    // A CONNECT goes alone: aedes would deal with what comes later ahead of what came along with it. When its client
    // is ready aedes reads again by itself.
    const allowance = (): number => {
      if (!isReading()) return 0;
      if (connection.isReady) return turns.allowance(connection);
      return guard.isConnectComplete ? 0 : 1;
    };
    guardReads(stream, allowance, (chunk, most) => {
      const passage = guard.inspect(chunk, most);
      if (typeof passage === 'object') {
        turns.spend(
          connection,
          passage.packets + Math.floor(passage.bytes / BYTES_OF_A_PACKET),
          passage.messages,
        );
        return passage;
      }
      onRefused(passage, address);
      const words = farewell(passage);
      if (words) stream.end(words, connection.cut);
      else connection.cut();
      return undefined;
    });
  }

  private leave(connection: Connection): void {
    connection.closed();
    this.parts.turns.leave(connection);
    this.open.delete(connection);
    const source = sourceOf(connection.address);
    const left = (this.byAddress.get(source) ?? 1) - 1;
    if (left > 0) this.byAddress.set(source, left);
    else this.byAddress.delete(source);
    this.parts.onClosed(connection);
  }
}
