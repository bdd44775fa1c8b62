/**
 * What an account may publish and subscribe to: topic filters, in which `%u` stands for the account's name and
 * `%c` for the client identifier.
 */
import { filterProblem, filterTest } from './topic.ts';

/** Everything that is not granted is denied. */
export interface Rights {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
}

/** Who is asking. */
export interface Identity {
  readonly user: string;
  readonly clientId: string;
}

/** Rights with the names filled in, for many questions. */
export interface Permissions {
  mayPublish(topic: string): boolean;
  /** Whether one grant holds everything that `filter` would bring. */
  maySubscribe(filter: string): boolean;
}

/** Why `grant` cannot be one, or `undefined` where it can. */
export function grantProblem(grant: string): string | undefined {
  return filterProblem(grant.replace(PLACEHOLDERS, 'x'));
}

export function permissionsOf(rights: Rights, identity: Identity): Permissions {
  const grants = (given: readonly string[]): string[] =>
    given.flatMap((grant) => fillIn(grant, identity) ?? []);
  const publish = grants(rights.publish).map(filterTest);
  const subscribe = grants(rights.subscribe);
  return {
    mayPublish: (topic) => publish.some((grants) => grants(topic)),
    maySubscribe: (filter) => subscribe.some((grant) => covers(grant, filter)),
  };
}

const PLACEHOLDERS = /%[cu]/g;

/**
 * The topic filter that `grant` means for `identity`; `undefined` where a name would make more of it than was
 * granted: client identifiers are chosen by clients.
 */
export function fillIn(grant: string, { user, clientId }: Identity): string | undefined {
  let isSafe = true;
  const filled = grant.replace(PLACEHOLDERS, (placeholder) => {
    const name = placeholder === '%u' ? user : clientId;
    // A wildcard or a further level widens; so does an empty name, which makes `door%c` of `door`.
    if (name === '' || /[+#/\0]/.test(name)) isSafe = false;
    return name;
  });
  // Topics of the broker itself must be granted by name [MQTT-4.7.2-1].
  if (filled.startsWith('$') && !grant.startsWith('$')) isSafe = false;
  return isSafe && filterProblem(filled) === undefined ? filled : undefined;
}

/** Whether every topic that `filter` matches is matched by `grant` too. Both are well-formed filters. */
export function covers(grant: string, filter: string): boolean {
  // All of them: `+/#` matches topics of a single level as well.
  const granted = (grant === '+/#' ? '#' : grant).split('/');
  const wanted = filter.split('/');
  // Wildcards do not reach what begins with `$` [MQTT-4.7.2-1].
  if (filter.startsWith('$') && /^[+#]/.test(grant)) return false;
  for (const [index, level] of granted.entries()) {
    // `home/#` holds `home` as well: at the end of `wanted` this is reached with nothing left.
    if (level === '#') return true;
    const name = wanted[index];
    if (name === undefined || name === '#') return false;
    if (level !== '+' && level !== name) return false;
  }
  return granted.length === wanted.length;
}
