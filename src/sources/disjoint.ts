/**
 * Which filters to subscribe so that the mappings see every message once.
 *
 * Where two subscriptions match one topic, a broker may send the message once or once for each of them
 * [MQTT-3.3.5-1]: Mosquitto does the first, EMQX the second, and nothing in the message tells. So filters that
 * overlap are subscribed as one that covers both (`home/+/door` and `home/fridge/+` as `home/+/+`); what then
 * comes and no mapping wants is passed over.
 */

/** As few filters as cover all of `filters` without any two of them matching one topic; in a stable order. */
export function disjointFilters(filters: Iterable<string>): string[] {
  const disjoint = new Set<string>();
  for (const filter of filters) {
    let merged = filter;
    for (;;) {
      const other = [...disjoint].find((candidate) => overlap(candidate, merged));
      if (other === undefined) break;
      disjoint.delete(other);
      merged = union(other, merged);
    }
    disjoint.add(merged);
  }
  return [...disjoint].sort();
}

/** Whether some topic matches both. */
function overlap(one: string, other: string): boolean {
  // [MQTT-4.7.2-1]
  if (isSystem(one) !== isSystem(other)) return false;
  const a = one.split('/');
  const b = other.split('/');
  for (let level = 0; ; level += 1) {
    const x = a[level];
    const y = b[level];
    // `home/#` matches `home` too.
    if (x === '#' || y === '#') return true;
    if (x === undefined || y === undefined) return x === y;
    if (x !== y && x !== '+' && y !== '+') return false;
  }
}

function isSystem(filter: string): boolean {
  return filter.startsWith('$');
}

/** The narrowest filter that covers two that overlap. */
function union(one: string, other: string): string {
  const a = one.split('/');
  const b = other.split('/');
  const levels: string[] = [];
  for (let level = 0; level < Math.max(a.length, b.length); level += 1) {
    const x = a[level];
    const y = b[level];
    if (x === undefined || y === undefined || x === '#' || y === '#') return [...levels, '#'].join('/');
    levels.push(x === y ? x : '+');
  }
  return levels.join('/');
}
