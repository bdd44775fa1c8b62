/**
 * Where the embedded broker listens: the URLs of its listeners.
 */
import * as z from 'zod';
import { wrong } from './kinds.ts';
import { isLoopback, type ListenAddress } from './listen.ts';
import type { Finding } from './problem.ts';

export interface Listener extends ListenAddress {
  readonly scheme: Scheme;
  /** Of websockets: the only one that is served; `undefined`: any. */
  readonly path: string | undefined;
}

export type Scheme = keyof typeof DEFAULT_PORTS;

const DEFAULT_PORTS = { mqtt: 1883, mqtts: 8883, ws: 80, wss: 443 } as const;
export const DEFAULT_URL = 'mqtt://127.0.0.1:1883';
export const LISTENER_HINT = `write ${DEFAULT_URL}`;
const PORT_HINT = 'write a port up to 65535, or 0 for any free one';

const brokerUrl =
  /^([A-Za-z][A-Za-z0-9+.-]*):\/\/(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?(\/[^\s?#]*)?$/;

/** What the text of a URL says, or what is wrong with it. */
export function readListener(url: string): Listener | string {
  const [, name = '', host, digits, path = '/'] = brokerUrl.exec(url.trim()) ?? [];
  if (host === undefined) return `is not a listener; ${LISTENER_HINT}`;
  const scheme = name.toLowerCase();
  if (!isScheme(scheme)) return `${scheme} is not spoken here; write mqtt, mqtts, ws or wss`;
  const port = digits === undefined ? DEFAULT_PORTS[scheme] : Number(digits);
  if (port > 65_535) return `has no port; ${PORT_HINT}`;
  if (path !== '/' && !isWebsocket(scheme)) {
    return 'has a path, which only websockets have; write ws:// or wss://, or leave the path out';
  }
  return { scheme, host: host.replace(/^\[|\]$/g, ''), port, path: path === '/' ? undefined : path };
}

function isScheme(name: string): name is Scheme {
  return Object.hasOwn(DEFAULT_PORTS, name);
}

function isWebsocket(scheme: Scheme): boolean {
  return scheme === 'ws' || scheme === 'wss';
}

export function isSecure({ scheme }: Pick<Listener, 'scheme'>): boolean {
  return scheme === 'mqtts' || scheme === 'wss';
}

/** Whether `url` is a listener that others than this machine can reach. */
export function isOpen(url: unknown): boolean {
  const read = typeof url === 'string' ? readListener(url) : '';
  return typeof read === 'object' && !isLoopback(read.host);
}

export const listener = z
  .string(wrong('is not a listener', LISTENER_HINT))
  .transform((url, context): Listener => {
    const read = readListener(url);
    if (typeof read === 'object') return read;
    context.addIssue({ code: 'custom', message: read });
    return z.NEVER;
  })
  .meta({
    title: 'listener URL',
    examples: [DEFAULT_URL, 'mqtt://0.0.0.0:1883', 'mqtts://[::]:8883', 'ws://0.0.0.0:9001/mqtt'],
  });

/** What is wrong with TLS as it stands in the file. */
export function tlsFindings(root: unknown): Finding[] {
  const { broker } = recordOf(root);
  if (broker === false) return [];
  const { listen = DEFAULT_URL, tls: files } = recordOf(broker);
  const urls: unknown[] = Array.isArray(listen) ? listen : [listen];
  const secure = urls.flatMap((url, index) => {
    const read = typeof url === 'string' ? readListener(url) : '';
    return typeof read === 'object' && isSecure(read) ? [index] : [];
  });
  const { cert, key, ca } = recordOf(files);
  const path = ['broker', 'tls'];
  const [first] = secure;
  if (cert === undefined && key === undefined && first !== undefined) {
    const at = Array.isArray(listen) ? ['broker', 'listen', first] : ['broker', 'listen'];
    const message = 'is a listener with TLS, and there is no certificate';
    const hint = '`mqtt2exist certificate` makes one, and prints what to write below broker.tls';
    return [{ path: at, message, hint }];
  }
  if ((cert === undefined) !== (key === undefined)) {
    const missing = cert === undefined ? 'cert' : 'key';
    return [{ path, message: `there is no ${missing}`, hint: 'write both cert and key' }];
  }
  if (first === undefined && [cert, key, ca].some((file) => file !== undefined)) {
    const hint = 'write mqtts://0.0.0.0:8883 as a listener, or take tls out';
    return [{ path, message: 'no listener speaks TLS', hint }];
  }
  return [];
}

function recordOf(candidate: unknown): Readonly<Record<string, unknown>> {
  return typeof candidate === 'object' && candidate !== null && !Array.isArray(candidate)
    ? (candidate as Readonly<Record<string, unknown>>) // An object that is no list is read by its keys.
    : {};
}
