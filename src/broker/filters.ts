/**
 * Who subscribed to what: finds the subscribers of a topic (MQTT 3.1.1, section 4.7).
 */
import type { SubscriptionOptions } from './store.ts';

export interface Subscriber {
  readonly clientId: string;
  readonly filter: string;
  readonly options: SubscriptionOptions;
}

interface Branch {
  readonly below: Map<string, Branch>;
  readonly clients: Map<string, Subscriber>;
}

const branch = (): Branch => ({ below: new Map(), clients: new Map() });

/** The time of a match does not depend on how many subscriptions there are. */
export class SubscriptionTree {
  private readonly root = branch();

  add(filter: string, clientId: string, options: SubscriptionOptions): void {
    let at = this.root;
    for (const level of filter.split('/')) {
      let next = at.below.get(level);
      if (!next) {
        next = branch();
        at.below.set(level, next);
      }
      at = next;
    }
    at.clients.set(clientId, { clientId, filter, options });
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

  /** The matching subscriptions; a client may have several. */
  match(topic: string): Subscriber[] {
    // Most homes have no such subscription, and every publish comes by here.
    if (this.root.below.size === 0) return [];
    const found: Subscriber[] = [];
    collect(this.root, topic.split('/'), 0, topic.startsWith('$'), found);
    return found;
  }
}

function collect(
  at: Branch,
  names: readonly string[],
  depth: number,
  isSystem: boolean,
  found: Subscriber[],
): void {
  // [MQTT-4.7.2-1]
  const hidesWildcards = isSystem && depth === 0;
  const rest = hidesWildcards ? undefined : at.below.get('#');
  if (rest) found.push(...rest.clients.values());
  const name = names[depth];
  if (name === undefined) {
    found.push(...at.clients.values());
    return;
  }
  const same = at.below.get(name);
  if (same) collect(same, names, depth + 1, isSystem, found);
  const any = hidesWildcards ? undefined : at.below.get('+');
  if (any) collect(any, names, depth + 1, isSystem, found);
}
