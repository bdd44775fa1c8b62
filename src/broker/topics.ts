/**
 * Which topics and topic filters the broker takes from clients.
 */
import type { PublishPacket } from 'aedes';
import { filterProblem, topicProblem as nameProblem } from '../core/topic.ts';
import type { BrokerLimits } from './limits.ts';

/**
 * Where publishes to `$SYS` go: aedes speaks to other brokers of a cluster under that name, and a client that
 * could write there could have others disconnected. Like mosquitto: acknowledged [MQTT-3.3.5-2], and nothing
 * comes of it. Nobody can subscribe to it: nothing under `$SYS` is forwarded.
 */
const NOWHERE = '$SYS/nowhere';

/** aedes goes on with the packet, and nothing comes of it. */
export function discard(packet: Pick<PublishPacket, 'topic' | 'payload'>): void {
  packet.topic = NOWHERE;
  packet.payload = Buffer.alloc(0);
}

/** What no topic may be [MQTT-3.3.2-2], [MQTT-4.7.3-2]. */
export function topicProblem(topic: string): string | undefined {
  return nameProblem(topic) ?? textProblem(topic);
}

export function topicRefusal(topic: string, limits: BrokerLimits): string | undefined {
  return topicProblem(topic) ?? sizeProblem(topic, limits);
}

export function filterRefusal(filter: string, limits: BrokerLimits): string | undefined {
  // aedes 1 would take it for a topic and never deliver anything: better to say no.
  if (filter.startsWith('$share/')) return 'shared subscriptions are not supported';
  return filterProblem(filter) ?? textProblem(filter) ?? sizeProblem(filter, limits);
}

/** What no topic here may be. */
export function sizeProblem(
  topic: string,
  { topicLength, topicLevels }: Pick<BrokerLimits, 'topicLength' | 'topicLevels'>,
): string | undefined {
  if (Buffer.byteLength(topic) > topicLength) return `a topic must not be longer than ${topicLength} bytes`;
  let levels = 1;
  for (let at = topic.indexOf('/'); at !== -1; at = topic.indexOf('/', at + 1)) levels += 1;
  return levels > topicLevels ? `a topic must not have more than ${topicLevels} levels` : undefined;
}

function textProblem(topic: string): string | undefined {
  return isText(topic) ? undefined : 'a topic must be UTF-8 without NUL';
}

/** The parser makes U+FFFD of bytes that are not UTF-8 [MQTT-1.5.3-1]; NUL is not allowed [MQTT-1.5.3-2]. */
export function isText(text: string): boolean {
  return !text.includes('\0') && !text.includes('\uFFFD');
}

export function isSystem(topic: string): boolean {
  return topic.startsWith('$SYS') && (topic.length === 4 || topic[4] === '/');
}
