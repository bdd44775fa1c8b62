/**
 * What the broker counts.
 */
import type { NotDone } from '../core/status.ts';
import { REFUSALS, type Refusal } from './connections.ts';
import type { PublishRefusal } from './hooks.ts';
import type { QoS } from './inlet.ts';

/** Counted since the broker was made. */
export interface BrokerCounters {
  connections: number;
  readonly refusedConnections: Record<Refusal, number>;
  /** As they came, second copies and refused ones included, by QoS. */
  readonly publishes: Record<QoS, number>;
  readonly refusedPublishes: Record<PublishRefusal, number>;
  /** What clients had no right to: publishes are acknowledged and come to nothing, subscriptions get 0x80. */
  readonly denied: Record<'publish' | 'subscribe' | 'will', number>;
  /** Times that a client was told of to send more than its rate. */
  slowed: number;
  /** Clients cut off because they did so for too long. */
  flooded: number;
  /** Second copies of a QoS 1 or 2 publish. */
  duplicates: number;
  /** Publishes to `$SYS`: acknowledged, nothing else. */
  discarded: number;
  /** Publishes whose topic was too long or too deep: acknowledged, nothing else. */
  topicsTooLarge: number;
  /** Messages not sent to a subscriber that reads too slowly. */
  droppedForwards: number;
  /** Messages for which a session's queue had no room. */
  droppedQueued: number;
  /** Retained messages for which there was no room. */
  droppedRetained: number;
}

export function startCounters(): BrokerCounters {
  return {
    connections: 0,
    refusedConnections: Object.fromEntries(REFUSALS.map((refusal) => [refusal, 0])) as Record<
      Refusal,
      number
    >,
    publishes: { 0: 0, 1: 0, 2: 0 },
    refusedPublishes: { invalid: 0, overload: 0, inlet: 0, store: 0 },
    denied: { publish: 0, subscribe: 0, will: 0 },
    slowed: 0,
    flooded: 0,
    duplicates: 0,
    discarded: 0,
    topicsTooLarge: 0,
    droppedForwards: 0,
    droppedQueued: 0,
    droppedRetained: 0,
  };
}

/** What was not done, by what and why; only what has happened. */
export function refusalsOf(counters: BrokerCounters): readonly NotDone[] {
  const { refusedConnections, refusedPublishes, denied } = counters;
  const list = (what: NotDone['what'], by: Readonly<Record<string, number>>): NotDone[] =>
    Object.entries(by).flatMap(([reason, count]) => (count > 0 ? [{ what, reason, count }] : []));
  return [
    ...list('connection', { ...refusedConnections, above_its_rate: counters.flooded }),
    ...list('publish', {
      ...refusedPublishes,
      no_right: denied.publish,
      topic_too_large: counters.topicsTooLarge,
      to_sys: counters.discarded,
    }),
    ...list('subscription', { no_right: denied.subscribe }),
    ...list('will', { no_right: denied.will }),
    ...list('forward', { subscriber_too_slow: counters.droppedForwards, queue_full: counters.droppedQueued }),
    ...list('retained', { no_room: counters.droppedRetained }),
  ];
}
