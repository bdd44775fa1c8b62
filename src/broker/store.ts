/**
 * Where the broker keeps what must survive its process: retained messages, persistent sessions with their
 * subscriptions and queues, open QoS 2 exchanges with publishers, wills. The broker works in memory; the store is
 * read once at the start, and written behind in batches.
 */
import type { QoS } from './inlet.ts';

export interface StoredRetained {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: QoS;
}

export interface StoredSession {
  readonly clientId: string;
  /** Whose it is; `undefined`: an anonymous client's. */
  readonly account: string | undefined;
  /** When the client was last connected, in hours that the broker has run (see `Sessions`). */
  readonly usedHour: number;
}

/** What a subscription asks for; all but the QoS come from MQTT 5, and from bridges between brokers. */
export interface SubscriptionOptions {
  readonly qos: QoS;
  readonly rh?: number;
  readonly rap?: boolean;
  readonly nl?: boolean;
  readonly subscriptionIdentifier?: number;
}

export interface SubscriptionKey {
  readonly clientId: string;
  readonly filter: string;
}

export interface StoredSubscription extends SubscriptionKey {
  readonly options: SubscriptionOptions;
}

/** A message on its way to the client of a session. */
export interface StoredMessage {
  /** Rising; orders the queue. */
  readonly seq: number;
  readonly clientId: string;
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: QoS;
  /** Under which it goes, or went, to the client. */
  readonly packetId: number | undefined;
  /** QoS 2: the client has it (PUBREC came), only the PUBREL is owed. */
  readonly isReceived: boolean;
}

export interface StoredWill {
  readonly clientId: string;
  /** Whose client it is; `undefined`: anonymous. */
  readonly account: string | undefined;
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: QoS;
  readonly retain: boolean;
}

/** A QoS 2 packet id of a publisher, from the PUBLISH to the PUBREL. */
export interface StoredExchange {
  readonly clientId: string;
  readonly packetId: number;
}

export interface BrokerState {
  /** Hours the broker has run in all. */
  readonly hours: number;
  readonly retained: readonly StoredRetained[];
  /** The longest unused first. */
  readonly sessions: readonly StoredSession[];
  readonly subscriptions: readonly StoredSubscription[];
  /** In the order of `seq`. */
  readonly queue: readonly StoredMessage[];
  readonly wills: readonly StoredWill[];
  readonly exchanges: readonly StoredExchange[];
}

export interface Delta<Key, Row> {
  readonly put: readonly Row[];
  readonly removed: readonly Key[];
}

/** The latest state of all that changed since the last commit. */
export interface BrokerChanges {
  /** `undefined`: as it was. */
  readonly hours: number | undefined;
  /** Applied before all else: these sessions go, with their subscriptions and queues. */
  readonly endedSessions: readonly string[];
  readonly sessions: readonly StoredSession[];
  readonly subscriptions: Delta<SubscriptionKey, StoredSubscription>;
  readonly queue: Delta<number, StoredMessage>;
  readonly retained: Delta<string, StoredRetained>;
  readonly wills: Delta<string, StoredWill>;
  readonly exchanges: Delta<StoredExchange, StoredExchange>;
}

/** The broker's side of a commit. */
export interface ChangeSource {
  /** `undefined` where nothing changed. Changes nothing: the commit may fail. */
  changes(): BrokerChanges | undefined;
  /** What `changes` gave last, in the same turn of the event loop, is durable. */
  committed(): void;
}

export interface BrokerStore {
  load(): BrokerState;
  /** From now on the store may take the source's changes along with any commit of its own. */
  attach(source: ChangeSource): void;
  /**
   * Writes the changes of the source; they are durable when this returns.
   * @throws Error where they cannot be written; they stay the source's
   */
  commit(): void;
}
