/**
 * The decisions aedes asks for once a client is welcome: which publishes are taken, which subscriptions are
 * granted, what is forwarded. Who is welcome: admission.ts.
 *
 * aedes calls hooks bare: an exception in one ends the process, so each is wrapped. And it must get an answer
 * each time: a client whose hook was never answered stays connected and is never read again.
 */
import type { AedesOptions, Client, PublishPacket } from 'aedes';
import { filterTest } from '../core/topic.ts';
import { ANYBODY, NOBODY, type Guest } from './accounts.ts';
import type { Connection } from './connections.ts';
import { asPublish, type InletGate, type Publish, type QoS } from './inlet.ts';
import type { BrokerLimits } from './limits.ts';
import type { Staged, Staging } from './staging.ts';
import type { WriteBehind } from './write-behind.ts';
import { discard, filterRefusal, isSystem, sizeProblem, topicProblem } from './topics.ts';

/** A packet of few bytes takes many times as many in memory while it waits for a socket: of these fewer may wait. */
const SMALL_BYTES = 1_024;
const SMALL_SHARE = 4;

type Hooks = Required<Pick<AedesOptions, 'authorizePublish' | 'authorizeSubscribe' | 'authorizeForward'>>;

/** Why a publish was not taken. */
export type PublishRefusal = 'invalid' | 'overload' | 'inlet' | 'store';

export interface HookParts {
  readonly limits: BrokerLimits;
  readonly gate: InletGate;
  readonly staging: Staging;
  readonly changes: WriteBehind;
  readonly connectionOf: (client: Client) => Connection | undefined;
  /** QoS 2 packets that do not go out: the inlet called them second copies, or their copies did; read by the persistence. */
  readonly duplicates: WeakSet<object>;
  /** Messages of sessions that went out before; marked by the persistence. */
  readonly resent: WeakSet<object>;
  readonly isStopping: () => boolean;
  readonly onPublish: (qos: QoS, account: string | undefined) => void;
  readonly onPublishRefused: (refusal: PublishRefusal, client: string | undefined, reason: string) => void;
  readonly onDiscarded: () => void;
  /** Its topic is longer or deeper than topics may be: acknowledged, and nothing comes of it. */
  readonly onTopicTooLarge: (client: string | undefined, topic: string, reason: string) => void;
  /** The client has no right to it. */
  readonly onDenied: (guest: Guest, publish: Publish) => void;
  readonly onDeniedSubscription: (guest: Guest, filter: string) => void;
  /** A persistent session must not hold on to a subscription that was refused. */
  readonly onSubscriptionRefused: (client: Client, filter: string) => void;
  readonly onDuplicate: () => void;
  readonly onForwardDropped: () => void;
  readonly onFault: (error: unknown) => void;
}

export function makeHooks(parts: HookParts): Hooks {
  const { limits, gate, staging, changes, connectionOf } = parts;

  /** Runs one hook; what it throws becomes a refusal. */
  function safely(refuse: (error: Error) => void, work: () => void): void {
    try {
      work();
    } catch (error) {
      parts.onFault(error);
      refuse(error instanceof Error ? error : new Error(String(error)));
    }
  }

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
      const connection = client ? connectionOf(client) : undefined;
      // The right to a will was looked at when its client came; the client may be gone since.
      const guest = connection?.guest ?? (isWill ? ANYBODY : NOBODY);
      const publish = asPublish(packet, clientId, guest.account, isWill);
      parts.onPublish(publish.qos, guest.account);
      // [MQTT-3.3.1-3]: the flag says nothing about the copies for subscribers.
      packet.dup = false;
      const problem = publishRefusal(publish, isWill);
      if (problem !== undefined) {
        refuse('invalid', problem);
        return;
      }
      // A device that is cut off comes back with the same publish for ever. (Above 100 levels aedes does that before.)
      const tooLarge = sizeProblem(publish.topic, limits);
      if (tooLarge !== undefined) {
        parts.onTopicTooLarge(clientId, publish.topic, tooLarge);
        discard(packet);
        callback();
        return;
      }
      if (isSystem(publish.topic)) {
        parts.onDiscarded();
        discard(packet);
        callback();
        return;
      }
      // [MQTT-3.3.5-2]: acknowledged, or the connection closed. A device that is cut off comes back with the same
      // publish for ever; one that is acknowledged goes on with what it has a right to.
      if (!guest.permissions.mayPublish(publish.topic)) {
        parts.onDenied(guest, publish);
        discard(packet);
        callback();
        return;
      }
      if (gate.isFull(publish.topic.length + publish.payload.length)) {
        refuse('overload', 'too many readings are waiting to be stored');
        return;
      }
      connection?.took();
      takeAndStore(packet, publish, connection, (refusal) => {
        connection?.did();
        if (refusal) refuse(refusal.kind, refusal.reason);
        else callback();
      });
    });
  };

  /** Calls `done` once nothing of the publish can be lost any more. */
  function takeAndStore(
    packet: PublishPacket,
    publish: Publish,
    connection: Connection | undefined,
    done: (refusal?: { readonly kind: PublishRefusal; readonly reason: string }) => void,
  ): void {
    // Before the inlet takes it, so that one commit keeps both. But a second copy of a QoS 2 message must not leave
    // anything behind again; whether it is one, where it seems to be, is the inlet's to say.
    const isLate = publish.qos === 2 && publish.dup && gate.knows(publish);
    let staged = isLate ? undefined : staging.stage(packet, publish);
    if (staged && staged.messages.size > 0) connection?.onCopied?.(staged.messages.size);
    gate.take(publish, (error, isDuplicate) => {
      if (error) {
        staging.undo(staged);
        done({ kind: 'inlet', reason: error.message });
        return;
      }
      if (isDuplicate) {
        parts.onDuplicate();
        parts.duplicates.add(packet);
        // Known of an earlier run, in which nobody wanted a copy. With QoS 1 the copies are sent again.
        if (publish.qos === 2 && staged) {
          staging.undo(staged);
          staged = undefined;
        }
      } else if (isLate && staging.isInherited(publish)) {
        // That run ended between the commit of the copies and that of the reading: this one counts, and goes out no more.
        parts.duplicates.add(packet);
      } else if (isLate) staged = staging.stage(packet, publish);
      // What the first copy left behind may still be on its way to the disk.
      const mark = publish.qos === 2 && isDuplicate ? changes.mark : staged?.mark;
      if (mark === undefined) {
        done();
        return;
      }
      changes.whenStored(mark, (failure) => {
        if (failure) {
          staging.undo(staged);
          if (!isDuplicate) gate.undo(publish);
          done({ kind: 'store', reason: failure.message });
          return;
        }
        if (staged && connection) awaitPublish(staged, connection);
        done();
      });
    });
  }

  /** aedes drops a QoS 1 publish whose acknowledgement cannot be sent: the client will send it again. */
  function awaitPublish(staged: Staged, { socket, unpublished }: Connection): void {
    if (staged.publish.qos !== 1) return;
    if (socket.destroyed) {
      staging.undo(staged);
      return;
    }
    unpublished.add(staged);
    staged.onPublished = () => unpublished.delete(staged);
  }

  const authorizeSubscribe: Hooks['authorizeSubscribe'] = (client, subscription, callback) => {
    safely(
      // Null is a refusal: the SUBACK says 0x80 [MQTT-3.9.3-2].
      () => callback(null, null),
      () => {
        const connection = connectionOf(client);
        const guest = connection?.guest ?? NOBODY;
        const { topic, qos } = subscription;
        const isSound = filterRefusal(topic, limits) === undefined;
        const isAllowed = isSound && guest.permissions.maySubscribe(topic);
        if (isSound && !isAllowed) parts.onDeniedSubscription(guest, topic);
        const isGranted =
          connection !== undefined &&
          isAllowed &&
          (connection.granted.has(topic) || connection.granted.size < limits.subscriptionsPerClient);
        if (!isAllowed) parts.onSubscriptionRefused(client, topic);
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
      // [MQTT-3.3.1-1]
      if (parts.resent.has(packet)) packet.dup = true;
      // Replays (retained messages, a session's queue) wait for the socket; live messages must not, because
      // their publisher would wait with them.
      const isLive = Boolean(packet.brokerId) && packet.messageId === undefined;
      // Retained messages go on when their client has gone: each would end in an error that holds on to the one before.
      if (!isLive && packet.retain && client.closed) return null;
      const { writableLength, writableHighWaterMark } = client.conn;
      const size = packet.topic.length + packet.payload.length;
      const most = size < SMALL_BYTES ? writableHighWaterMark / SMALL_SHARE : writableHighWaterMark;
      if (isLive && writableLength > 0 && writableLength + size > most) {
        parts.onForwardDropped();
        return null;
      }
      const connection = connectionOf(client);
      // A session's queue may be older than the rights of its client.
      if (!isLive && connection?.guest?.permissions.maySubscribe(packet.topic) !== true) return null;
      if (!connection || packet.qos <= connection.lowestQoS) return packet;
      // [MQTT-3.8.4-6]; aedes itself minds only filters without wildcards.
      const granted = highestQoS(connection, packet.topic);
      return granted < packet.qos ? { ...packet, qos: granted } : packet;
    } catch (error) {
      parts.onFault(error);
      return null;
    }
  };

  return { authorizePublish, authorizeSubscribe, authorizeForward };
}

/** What breaks the protocol: there is no other answer than to close the connection. */
function publishRefusal({ topic, qos, packetId }: Publish, isWill: boolean): string | undefined {
  // [MQTT-2.3.1-1]; the parser passes on 0, and -1 for a packet that ends before its id.
  if (!isWill && qos > 0 && (packetId === undefined || packetId < 1)) return 'no packet id';
  return topicProblem(topic);
}

function highestQoS({ granted }: Connection, topic: string): QoS {
  let highest: QoS = 0;
  for (const [filter, qos] of granted) {
    if (qos > highest && filterTest(filter)(topic)) highest = qos;
  }
  return highest;
}
