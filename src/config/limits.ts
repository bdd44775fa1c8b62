/**
 * `broker.limits`: bounds of what clients of the embedded broker can take.
 */
import { HOUR_MS } from '../core/time.ts';
import { duration, section, size, wholeNumber } from './kinds.ts';

const MIB = 1_048_576;

export const limits = section({
  connections: wholeNumber(1, 100_000)
    .default(1_000)
    .describe('Clients connected at a time, over all listeners.'),
  connections_per_address: wholeNumber(1, 100_000)
    .default(500)
    .describe('Clients connected at a time from one address. Behind a proxy all devices share one.'),
  connections_per_second: wholeNumber(1, 100_000)
    .default(50)
    .describe(
      'New connections of one address, once it has opened `connections_per_address` of them; of all addresses together twice as many, once a hundred came at once. Those on top wait, within their `connect_timeout`.',
    ),
  connect_timeout: duration('100ms', '10m')
    .prefault('10s')
    .describe('From opening a connection to being let in, however slowly the bytes of its CONNECT come.'),
  keep_alive: duration('10s', '18h')
    .prefault('4h')
    .describe(
      'Longest keep-alive. Who asks for a longer one, or for none, is disconnected all the same after one and a half times this without a packet.',
    ),
  packet_size: size(1_024, 256 * MIB)
    .prefault('1MiB')
    .describe('Largest MQTT packet. Zigbee2MQTT describes all its devices in one, of hundreds of kilobytes.'),
  connect_packet_size: size(256, MIB)
    .prefault('16KiB')
    .describe('Largest CONNECT, which anybody may send: with client identifier, will, name and password.'),
  messages_per_second: wholeNumber(1, 1_000_000)
    .default(500)
    .describe(
      'Messages of one client. It may say twenty seconds’ worth of them at once; above that it is read from, and acknowledged, no faster than this.',
    ),
  flood_timeout: duration('1s', '1d')
    .prefault('5m')
    .describe('A client that has been above its rate for so long is disconnected.'),
  pending_readings: wholeNumber(100, 1_000_000)
    .default(10_000)
    .describe(
      'Messages taken and not yet on disk. From half of it on each client gets in one at a time; above it, publishes are not acknowledged.',
    ),
  topic_length: size(16, 65_535)
    .prefault('1KiB')
    .describe('Longest topic; publishes with a longer or deeper one are acknowledged and come to nothing.'),
  topic_levels: wholeNumber(1, 100).default(32).describe('Most levels of a topic.'),
  client_id_length: size(23, 65_535).prefault(256).describe('Longest client identifier.'),
  subscriptions_per_client: wholeNumber(1, 10_000)
    .default(100)
    .describe('Subscriptions of one client; those above it are refused (0x80).'),
  sessions: wholeNumber(1, 100_000)
    .default(250)
    .describe(
      'Persistent sessions with subscriptions; where there are more, the longest unused one of the account that has most of them makes room.',
    ),
  session_expiry: duration('1h', '20d')
    .prefault('14d')
    .describe('A session whose client did not come back is forgotten after so long, in hours of running.'),
  queued_messages: wholeNumber(1, 100_000)
    .default(1_000)
    .describe('Messages that wait for the client of one session; those on top are not kept for it.'),
  queued_bytes: size(1_024, 1_024 * MIB)
    .prefault('16MiB')
    .describe('What waits in all sessions together: topics, payloads, and half a kilobyte for each message.'),
  retained_messages: wholeNumber(1, 1_000_000)
    .default(10_000)
    .describe('Topics with a retained message; those on top go out, and are not retained.'),
  retained_bytes: size(1_024, 1_024 * MIB)
    .prefault('16MiB')
    .describe('Topics and payloads of all retained messages together.'),
}).transform((given) => ({
  connections: given.connections,
  connectionsPerAddress: given.connections_per_address,
  connectionsPerSecond: given.connections_per_second,
  connectTimeoutMs: given.connect_timeout,
  keepAliveMs: given.keep_alive,
  packetSize: given.packet_size,
  connectPacketSize: given.connect_packet_size,
  messagesPerSecond: given.messages_per_second,
  floodTimeoutMs: given.flood_timeout,
  pendingReadings: given.pending_readings,
  topicLength: given.topic_length,
  topicLevels: given.topic_levels,
  clientIdLength: given.client_id_length,
  subscriptionsPerClient: given.subscriptions_per_client,
  sessions: given.sessions,
  sessionIdleHours: Math.ceil(given.session_expiry / HOUR_MS),
  queuedMessages: given.queued_messages,
  queuedBytes: given.queued_bytes,
  retainedMessages: given.retained_messages,
  retainedBytes: given.retained_bytes,
}));
