/**
 * Opening and closing of listeners.
 */
import { once } from 'node:events';
import type { Server } from 'node:net';

export type Scheme = 'mqtt' | 'mqtts' | 'ws' | 'wss';

export interface ListenAddress {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
}

export interface Listener extends ListenAddress {
  /** Default: mqtt. */
  readonly scheme?: Scheme | undefined;
  /** Of websockets: the only one that is served; absent: any. */
  readonly path?: string | undefined;
}

/** One that is open, with what it is bound to. */
export interface Listening extends ListenAddress {
  readonly scheme: Scheme;
}

const REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program listens there',
  EACCES: 'not permitted; ports below 1024 need a privilege',
  EADDRNOTAVAIL: 'this machine has no such address',
  EAFNOSUPPORT: 'this machine has no such addresses: IPv6 is switched off',
  ENOTFOUND: 'no such host name',
};

/** A listener could not be opened. `code` is the operating system's: EADDRINUSE, EACCES, … */
export class ListenError extends Error {
  override readonly name = 'ListenError';

  constructor(
    readonly code: string,
    readonly host: string,
    readonly port: number,
    cause: unknown,
  ) {
    super(`cannot listen on ${host}:${port} for MQTT: ${REASONS[code] ?? 'the system refuses'} (${code})`, {
      cause,
    });
  }
}

/**
 * Resolves with the address the server is bound to. Rejects with a `ListenError`.
 * @param ipv6Only an IPv6 wildcard address leaves IPv4 to another listener
 */
export async function listen(
  server: Server,
  { host, port }: ListenAddress,
  ipv6Only = false,
): Promise<ListenAddress> {
  try {
    // A port out of range is thrown at once.
    server.listen({ host, port, ipv6Only });
    await once(server, 'listening');
  } catch (error) {
    throw new ListenError(codeOf(error), host, port, error);
  }
  const bound = server.address();
  return bound !== null && typeof bound === 'object'
    ? { host: bound.address, port: bound.port }
    : { host, port };
}

/** Resolves when the listener and all its connections are closed. */
export function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'UNKNOWN';
}
