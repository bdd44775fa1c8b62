/**
 * Topic names and topic filters (MQTT 3.1.1, section 4.7), and the tree that finds what a topic is for.
 */
import { Qlobber } from 'qlobber';

/** [MQTT-4.7.3-3] */
const maxTopicBytes = 65_535;

/** No device nests deeper; mosquitto's bound too. Keeps the walk through the tree from becoming deep. */
const maxFilterLevels = 200;

/** The bridge's own topics are never readings, whoever sends them, and nothing to map. */
export function isOwnTopic(topic: string): boolean {
  return topic.startsWith('mqtt2exist/');
}

/** Why `topic` cannot be a topic name, or `undefined` where it can. */
export function topicProblem(topic: string): string | undefined {
  const problem = textProblem(topic);
  if (problem !== undefined) return `a topic ${problem}`;
  // [MQTT-3.3.2-2]
  if (topic.includes('+') || topic.includes('#')) {
    return 'a topic to publish to must not contain the wildcards + and #';
  }
  return undefined;
}

/** Why `filter` cannot be a topic filter, or `undefined` where it can. */
export function filterProblem(filter: string): string | undefined {
  const problem = textProblem(filter);
  if (problem !== undefined) return `a topic filter ${problem}`;
  const levels = filter.split('/');
  if (levels.length > maxFilterLevels)
    return `a topic filter must not have more than ${maxFilterLevels} levels`;
  for (const [index, level] of levels.entries()) {
    // [MQTT-4.7.1-2]
    if (level.includes('#') && (level !== '#' || index !== levels.length - 1)) {
      return '# must stand alone as the last level of a topic filter, as in home/#';
    }
    // [MQTT-4.7.1-3]
    if (level.includes('+') && level !== '+') {
      return '+ must stand alone in its level of a topic filter, as in home/+/door';
    }
  }
  return undefined;
}

/** A test for `filter`, to be asked many times. The filter is well-formed. */
export function filterTest(filter: string): (topic: string) => boolean {
  const wildcard = filter.search(/[+#]/);
  if (wildcard === -1) return (topic) => topic === filter;
  const levels = filter.split('/');
  // `home/#` matches `home` too [MQTT-4.7.1-2]: the slash before the wildcard is no part of the prefix.
  const prefix = filter.slice(0, Math.max(0, wildcard - 1));
  return (topic) => {
    if (!topic.startsWith(prefix)) return false;
    // [MQTT-4.7.2-1]
    if (wildcard === 0 && topic.startsWith('$')) return false;
    const names = topic.split('/');
    for (const [index, level] of levels.entries()) {
      if (level === '#') return true;
      const name = names[index];
      if (name === undefined || (level !== '+' && level !== name)) return false;
    }
    return levels.length === names.length;
  };
}

function textProblem(text: string): string | undefined {
  if (text === '') return 'must not be empty'; // [MQTT-4.7.3-1]
  if (text.includes('\0')) return 'must not contain NUL'; // [MQTT-4.7.3-2]
  if (/\p{Surrogate}/u.test(text)) return 'must be well-formed Unicode'; // [MQTT-1.5.3-1]
  if (text.length * 3 > maxTopicBytes && new TextEncoder().encode(text).length > maxTopicBytes) {
    return `must not be longer than ${maxTopicBytes} bytes`;
  }
  return undefined;
}

interface Entry<T> {
  readonly order: number;
  readonly value: T;
}

/** Values by topic filter. The time of a match depends on the topic's levels, not on the number of filters. */
export class FilterTrie<T> {
  readonly #tree = new Qlobber<Entry<T>>({
    separator: '/',
    wildcard_one: '+',
    wildcard_some: '#',
    match_empty_levels: true,
    max_words: maxTopicBytes + 1,
  });

  /** [MQTT-4.7.2-1] wants filters that begin with a wildcard kept from topics that begin with `$`. */
  readonly #system = new Qlobber<Entry<T>>({
    separator: '/',
    wildcard_one: '+',
    wildcard_some: '#',
    match_empty_levels: true,
    max_words: maxTopicBytes + 1,
  });

  readonly #entries = new Map<T, Entry<T>>();

  /** Throws on a filter that `filterProblem` objects to: filters are checked where they are read. */
  add(filter: string, value: T): void {
    const problem = filterProblem(filter);
    if (problem !== undefined) throw new Error(`${problem}: ${filter.slice(0, 200)}`);
    let entry = this.#entries.get(value);
    if (!entry) {
      entry = { order: this.#entries.size, value };
      this.#entries.set(value, entry);
    }
    (filter.startsWith('$') ? this.#system : this.#tree).add(filter, entry);
  }

  /** The values whose filters match `topic`: each once, in the order they were first added. */
  match(topic: string): T[] {
    const found = (topic.startsWith('$') ? this.#system : this.#tree).match(topic);
    if (found.length < 2) return found.map(({ value }) => value);
    return [...new Set(found)].sort((a, b) => a.order - b.order).map(({ value }) => value);
  }
}
