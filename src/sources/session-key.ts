/**
 * Under what a session is written down: the client id and where the broker is, so that what is left of a connection
 * after a restart still tells where to take leave.
 */
import type { SourceOptions } from './ports.ts';

export type Address = Pick<SourceOptions, 'scheme' | 'host' | 'port' | 'path'>;

/** Of a client id, which may have spaces, the address is what follows the last one. */
const KEY = /^(.+) (mqtts?|wss?):\/\/(\[[^\]\s]+\]|[^[\]/:\s]+):(\d{1,5})(\/\S*)?$/u;

/** Without user name and password. */
export function urlOf({ scheme, host, port, path }: Address): string {
  const authority = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  return `${scheme}://${authority}${scheme.startsWith('ws') ? path : ''}`;
}

export function sessionKey(options: Address & Pick<SourceOptions, 'clientId'>): string {
  return `${options.clientId} ${urlOf(options)}`;
}

/** `undefined`: it is none. */
export function readSessionKey(key: string): (Address & Pick<SourceOptions, 'clientId'>) | undefined {
  const [, clientId, scheme, host, port, path = '/mqtt'] = KEY.exec(key) ?? [];
  if (clientId === undefined || host === undefined) return undefined;
  // The expression takes no other word for it.
  const address = { scheme: scheme as Address['scheme'], host: host.replace(/^\[|\]$/g, ''), path };
  return { ...address, clientId, port: Number(port) };
}

/**
 * Which of `keys`, none of them of a connection that there is, was written down for the session that a broker still
 * has under `clientId`: where the URL was changed (`mqtts`, another port, the host's name for its address) it goes on.
 */
export function predecessorAmong(
  keys: readonly string[],
  { clientId, host }: Pick<SourceOptions, 'clientId' | 'host'>,
): string | undefined {
  const ours = keys.flatMap((key) => {
    const read = readSessionKey(key);
    return read?.clientId === clientId ? [{ key, host: read.host.toLowerCase() }] : [];
  });
  const sameHost = ours.filter((one) => one.host === host.toLowerCase());
  const [only, ...others] = sameHost.length > 0 ? sameHost : ours;
  // Of several, any one may be meant.
  return others.length > 0 ? undefined : only?.key;
}
