/**
 * The decisions aedes asks for: who may connect, which publishes are taken, which subscriptions are granted,
 * what is forwarded.
 *
 * aedes calls hooks bare: an exception in one ends the process, so each is wrapped. And it must get an answer
 * each time: a client whose hook was never answered stays connected and is never read again.
 */
import type { AedesOptions, AuthenticateError, Client, PublishPacket } from 'aedes';
import { filterProblem, filterTest, topicProblem } from '../core/topic.ts';
import { IDENTIFIER_REJECTED, type Connection, type Refusal } from './connections.ts';
import type { InletGate, Publish, QoS } from './inlet.ts';
import type { BrokerLimits } from './limits.ts';

type Hooks = Required<
  Pick<
    AedesOptions,
    'preConnect' | 'authenticate' | 'authorizePublish' | 'authorizeSubscribe' | 'authorizeForward'
  >
>;

/** Why a publish was not taken. */
export type PublishRefusal = 'invalid' | 'overload' | 'inlet';

export interface HookParts {
  readonly limits: BrokerLimits;
  readonly gate: InletGate;
  readonly connectionOf: (client: Client) => Connection | undefined;
  /** The QoS 2 packets the inlet called second copies; read by the persistence. */
  readonly duplicates: WeakSet<object>;
  readonly isStopping: () => boolean;
  readonly onRefused: (refusal: Refusal, address: string) => void;
  readonly onPublish: (qos: QoS) => void;
  readonly onPublishRefused: (refusal: PublishRefusal, client: string | undefined, reason: string) => void;
  readonly onDiscarded: () => void;
  readonly onDuplicate: () => void;
  readonly onForwardDropped: () => void;
  readonly onFault: (error: unknown) => void;
}

/**
 * Where publishes to `$SYS` go: aedes speaks to other brokers of a cluster under that name, and a client that
 * could write there could have others disconnected. Like mosquitto: acknowledged [MQTT-3.3.5-2], and nothing
 * comes of it. Nobody can subscribe to it: nothing under `$SYS` is forwarded.
 */
const NOWHERE = '$SYS/nowhere';

export function makeHooks(parts: HookParts): Hooks {
  const { limits, gate, connectionOf } = parts;

  /** Runs one hook; what it throws becomes a refusal. */
  function safely(refuse: (error: Error) => void, work: () => void): void {
    try {
      work();
    } catch (error) {
      parts.onFault(error);
      refuse(error instanceof Error ? error : new Error(String(error)));
    }
  }

  const preConnect: Hooks['preConnect'] = (client, packet, callback) => {
    // `callback(null, false)` would leave the connection open for ever: a refusal is always an error.
    safely(
      (error) => callback(error, false),
      () => {
        const connection = connectionOf(client);
        if (!connection) throw new Error('a client without a connection');
        const { clientId, clean, will } = packet;
        const problem = will && topicRefusal(will.topic, limits);
        if (problem !== undefined) {
          parts.onRefused('will', connection.address);
          callback(new Error(`the will's topic: ${problem}`), false);
          return;
        }
        // [MQTT-3.1.3-8]
        const isNameless = clientId === '' && clean !== true;
        if (isNameless || Buffer.byteLength(clientId) > limits.clientIdLength || !isText(clientId)) {
          parts.onRefused('client_id', connection.address);
          connection.returnCode = IDENTIFIER_REJECTED;
        }
        callback(null, true);
      },
    );
  };

  const authenticate: Hooks['authenticate'] = (client, _username, _password, callback) => {
    safely(
      () => callback(null, false),
      () => {
        const returnCode = connectionOf(client)?.returnCode;
        if (returnCode === undefined) callback(null, true);
        else callback(connectError('identifier rejected', returnCode), false);
      },
    );
  };

  const authorizePublish: Hooks['authorizePublish'] = (client, packet, callback) => {
    const clientId = client?.id;
    const refuse = (refusal: PublishRefusal, reason: string): void => {
      parts.onPublishRefused(refusal, clientId, reason);
      callback(new Error(reason));
    };
    safely(callback, () => {
      // A will comes here without being a packet of its own.
      const isWill = (packet.cmd as string) !== 'publish';
      if (isWill && parts.isStopping()) {
        // The devices are well, it is the broker that goes: their wills would be untrue readings. MQTT 3.1.1
        // leaves it to the server (section 3.1.2.5).
        callback(new Error('the broker is stopping'));
        return;
      }
      const publish = asPublish(packet, clientId, isWill);
      parts.onPublish(publish.qos);
      // [MQTT-3.3.1-3]: the flag says nothing about the copies for subscribers.
      packet.dup = false;
      const problem = publishRefusal(publish, isWill, limits);
      if (problem !== undefined) {
        refuse('invalid', problem);
        return;
      }
      if (isSystem(publish.topic)) {
        parts.onDiscarded();
        packet.topic = NOWHERE;
        packet.payload = '';
        callback();
        return;
      }
      if (gate.isFull(publish.topic.length + publish.payload.length)) {
        refuse('overload', 'too many readings are waiting to be stored');
        return;
      }
      const connection = client ? connectionOf(client) : undefined;
      if (connection) connection.pending += 1;
      gate.take(publish, (error, isDuplicate) => {
        if (connection) connection.pending -= 1;
        if (error) {
          refuse('inlet', error.message);
          return;
        }
        if (isDuplicate) {
          parts.onDuplicate();
          parts.duplicates.add(packet);
        }
        callback();
      });
    });
  };

  const authorizeSubscribe: Hooks['authorizeSubscribe'] = (client, subscription, callback) => {
    safely(
      // Null is a refusal: the SUBACK says 0x80 [MQTT-3.9.3-2].
      () => callback(null, null),
      () => {
        const connection = connectionOf(client);
        const { topic, qos } = subscription;
        const isGranted =
          connection !== undefined &&
          filterRefusal(topic, limits) === undefined &&
          (connection.granted.has(topic) || connection.granted.size < limits.subscriptionsPerClient);
        if (isGranted) connection.grant(topic, qos);
        callback(null, isGranted ? subscription : null);
      },
    );
  };

  /** What one subscriber gets of a message: itself, with a lower QoS, or nothing. */
  const authorizeForward: Hooks['authorizeForward'] = (client, packet) => {
    try {
      // What aedes tells other brokers of its kind, with the ids of clients in it.
      if (isSystem(packet.topic)) return null;
      // Replays (retained messages, a session's queue) wait for the socket; live messages must not, because
      // their publisher would wait with them.
      const isLive = Boolean(packet.brokerId) && packet.messageId === undefined;
      const { writableLength, writableHighWaterMark } = client.conn;
      const size = packet.topic.length + packet.payload.length;
      if (isLive && writableLength > 0 && writableLength + size > writableHighWaterMark) {
        parts.onForwardDropped();
        return null;
      }
      const connection = connectionOf(client);
      if (!connection || packet.qos <= connection.lowestQoS) return packet;
      // [MQTT-3.8.4-6]; aedes itself minds only filters without wildcards.
      const granted = highestQoS(connection, packet.topic);
      return granted < packet.qos ? { ...packet, qos: granted } : packet;
    } catch (error) {
      parts.onFault(error);
      return null;
    }
  };

  return { preConnect, authenticate, authorizePublish, authorizeSubscribe, authorizeForward };
}

function connectError(message: string, returnCode: typeof IDENTIFIER_REJECTED): AuthenticateError {
  // eslint-disable-next-line @typescript-eslint/no-unsafe-enum-assignment -- aedes exports its codes as a type only
  return Object.assign(new Error(message), { returnCode });
}

function asPublish(packet: PublishPacket, clientId: string | undefined, isWill: boolean): Publish {
  const { topic, payload, qos, retain, dup, messageId } = packet;
  return {
    topic,
    payload: typeof payload === 'string' ? Buffer.from(payload) : payload,
    qos,
    retain,
    dup: !isWill && dup,
    packetId: !isWill && qos > 0 ? messageId : undefined,
    clientId,
  };
}

function publishRefusal({ topic, qos, packetId }: Publish, isWill: boolean, limits: BrokerLimits) {
  // [MQTT-2.3.1-1]; the parser passes on 0, and -1 for a packet that ends before its id.
  if (!isWill && qos > 0 && (packetId === undefined || packetId < 1)) return 'no packet id';
  return topicRefusal(topic, limits);
}

function topicRefusal(topic: string, limits: BrokerLimits): string | undefined {
  return topicProblem(topic) ?? sizeProblem(topic, limits);
}

function filterRefusal(filter: string, limits: BrokerLimits): string | undefined {
  // aedes 1 would take it for a topic and never deliver anything: better to say no.
  if (filter.startsWith('$share/')) return 'shared subscriptions are not supported';
  return filterProblem(filter) ?? sizeProblem(filter, limits);
}

function sizeProblem(topic: string, { topicLength, topicLevels }: BrokerLimits): string | undefined {
  if (!isText(topic)) return 'a topic must be UTF-8 without NUL';
  if (Buffer.byteLength(topic) > topicLength) return `a topic must not be longer than ${topicLength} bytes`;
  let levels = 1;
  for (let at = topic.indexOf('/'); at !== -1; at = topic.indexOf('/', at + 1)) levels += 1;
  return levels > topicLevels ? `a topic must not have more than ${topicLevels} levels` : undefined;
}

/** The parser makes U+FFFD of bytes that are not UTF-8 [MQTT-1.5.3-1]; NUL is not allowed [MQTT-1.5.3-2]. */
function isText(text: string): boolean {
  return !text.includes('\0') && !text.includes('\uFFFD');
}

function isSystem(topic: string): boolean {
  return topic.startsWith('$SYS') && (topic.length === 4 || topic[4] === '/');
}

function highestQoS({ granted }: Connection, topic: string): QoS {
  let highest: QoS = 0;
  for (const [filter, qos] of granted) {
    if (qos > highest && filterTest(filter)(topic)) highest = qos;
  }
  return highest;
}
