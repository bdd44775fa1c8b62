/**
 * What one broker holds at most. Everything that somebody else can make grow has a bound here.
 */

export interface BrokerLimits {
  /** Connections at a time, over all listeners. */
  readonly connections: number;
  readonly connectionsPerAddress: number;
  /** New ones of one address, once as many have come at once as may be there. Those on top wait. */
  readonly connectionsPerSecond: number;
  /** From accepting a connection to its CONNACK, however slowly the bytes come. */
  readonly connectTimeoutMs: number;
  /** Longest keep-alive; it holds for clients that ask for none, too. */
  readonly keepAliveMs: number;
  /** Bytes of a packet after its fixed header. */
  readonly packetSize: number;
  /** The same for the CONNECT packet, which anybody may send. */
  readonly connectPacketSize: number;
  /** Bytes of a client identifier. */
  readonly clientIdLength: number;
  /** Bytes of a topic name or topic filter. */
  readonly topicLength: number;
  /** Levels of a topic name or topic filter; aedes goes to 100 at most. */
  readonly topicLevels: number;
  /** Publishes handed to the inlet and not done yet. */
  readonly pendingReadings: number;
  /** Topic and payload bytes of those. */
  readonly pendingBytes: number;
  /** From this many of one connection on, no more is read from it until some are done. */
  readonly pendingPerConnection: number;
  /** Packets of one client, answers not counted; above it for long, it is read from no faster than this. */
  readonly messagesPerSecond: number;
  /** A client that has been above that rate for so long is disconnected. */
  readonly floodTimeoutMs: number;
  /** Bytes waiting for a subscriber that reads too slowly; what comes on top is not sent to it. */
  readonly backlogBytes: number;
  readonly subscriptionsPerClient: number;
  /** Persistent sessions (clean session 0, with subscriptions); the longest unused one makes room. */
  readonly sessions: number;
  /** A session is kept so many hours of the broker's running after its client was last seen. */
  readonly sessionIdleHours: number;
  /** Messages waiting for one session's client. */
  readonly queuedMessages: number;
  /** Topic and payload bytes waiting in all sessions. */
  readonly queuedBytes: number;
  readonly retainedMessages: number;
  /** Topic and payload bytes of all retained messages. */
  readonly retainedBytes: number;
  /** How long after a start clients may take to come back before the wills they left are published. */
  readonly willGraceMs: number;
  /** How long `stop()` waits for the inlet. */
  readonly stopTimeoutMs: number;
}

const KIB = 1024;
const MIB = 1024 * KIB;

/** For a home: hundreds of devices, and some 200 MB on top if two hundred of them misbehave at once (`npm run bench -- crowd`). */
export const DEFAULT_LIMITS: BrokerLimits = {
  connections: 1_000,
  // Behind a container's proxy all devices share one address.
  connectionsPerAddress: 500,
  connectionsPerSecond: 50,
  connectTimeoutMs: 10_000,
  keepAliveMs: 4 * 3_600_000,
  // zigbee2mqtt describes all its devices in one message: hundreds of kilobytes.
  packetSize: MIB,
  connectPacketSize: 16 * KIB,
  clientIdLength: 256,
  topicLength: KIB,
  topicLevels: 32,
  pendingReadings: 10_000,
  pendingBytes: 32 * MIB,
  pendingPerConnection: 100,
  messagesPerSecond: 500,
  floodTimeoutMs: 5 * 60_000,
  backlogBytes: 256 * KIB,
  subscriptionsPerClient: 100,
  // A message that many of them wait for is stored for each.
  sessions: 250,
  sessionIdleHours: 14 * 24,
  queuedMessages: 1_000,
  queuedBytes: 16 * MIB,
  retainedMessages: 10_000,
  retainedBytes: 16 * MIB,
  // Devices that lost the broker try again within a minute.
  willGraceMs: 60_000,
  stopTimeoutMs: 2_000,
};
