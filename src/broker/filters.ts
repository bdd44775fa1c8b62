/**
 * Who subscribed to what: finds the subscribers of a topic (MQTT 3.1.1, section 4.7).
 */
import type { QoS } from './inlet.ts';

interface Branch {
  readonly below: Map<string, Branch>;
  readonly clients: Map<string, QoS>;
}

const branch = (): Branch => ({ below: new Map(), clients: new Map() });

/** The time of a match does not depend on how many subscriptions there are. */
export class SubscriptionTree {
  private readonly root = branch();

  add(filter: string, clientId: string, qos: QoS): void {
    let at = this.root;
    for (const level of filter.split('/')) {
      let next = at.below.get(level);
      if (!next) {
        next = branch();
        at.below.set(level, next);
      }
      at = next;
    }
    at.clients.set(clientId, qos);
  }

  remove(filter: string, clientId: string): void {
    const path: [Branch, string][] = [];
    let at = this.root;
    for (const level of filter.split('/')) {
      const next = at.below.get(level);
      if (!next) return;
      path.push([at, level]);
      at = next;
    }
    at.clients.delete(clientId);
    for (const [parent, level] of path.reverse()) {
      if (at.clients.size > 0 || at.below.size > 0) return;
      parent.below.delete(level);
      at = parent;
    }
  }

  /** Clients with a matching filter, each with the highest QoS it asked for. */
  match(topic: string): Map<string, QoS> {
    const found = new Map<string, QoS>();
    // Most homes have no such subscription, and every publish comes by here.
    if (this.root.below.size > 0) collect(this.root, topic.split('/'), 0, topic.startsWith('$'), found);
    return found;
  }
}

function collect(
  at: Branch,
  names: readonly string[],
  depth: number,
  isSystem: boolean,
  found: Map<string, QoS>,
): void {
  // [MQTT-4.7.2-1]
  const hidesWildcards = isSystem && depth === 0;
  const rest = hidesWildcards ? undefined : at.below.get('#');
  if (rest) addAll(rest, found);
  const name = names[depth];
  if (name === undefined) {
    addAll(at, found);
    return;
  }
  const same = at.below.get(name);
  if (same) collect(same, names, depth + 1, isSystem, found);
  const any = hidesWildcards ? undefined : at.below.get('+');
  if (any) collect(any, names, depth + 1, isSystem, found);
}

function addAll({ clients }: Branch, found: Map<string, QoS>): void {
  for (const [clientId, qos] of clients) {
    if ((found.get(clientId) ?? 0) <= qos) found.set(clientId, qos);
  }
}
