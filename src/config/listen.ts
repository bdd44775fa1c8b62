/**
 * Where the daemon listens: the broker's URLs and the web page's address.
 */
import * as z from 'zod';
import { duration, notYet, section, size, wholeNumber, wrong } from './kinds.ts';
import { users } from './users.ts';

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

const MIB = 1_048_576;

const mqttUrl = /^([a-z][a-z0-9+.-]*):\/\/(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?\/?$/;
const hostAndPort = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})$/;

function addressOf(host: string, port: string): ListenAddress | undefined {
  const number = Number(port);
  return number <= 65_535 ? { host: host.replace(/^\[|\]$/g, ''), port: number } : undefined;
}

/** Whether only programs on this machine can reach `host`. Names are not looked up: but for `localhost` they may change. */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase();
  return (
    name === 'localhost' ||
    /^(?:::ffff:)?127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(name) ||
    /^(?:0{0,4}:){2,7}0{0,3}1$/.test(name)
  );
}

const LISTENER_HINT = 'write mqtt://127.0.0.1:1883';

const listener = z
  .string(wrong('is not a listener', LISTENER_HINT))
  .transform((url, context): ListenAddress => {
    const [, scheme, host, port = '1883'] = mqttUrl.exec(url.trim()) ?? [];
    const address = host === undefined ? undefined : addressOf(host, port);
    const problem =
      scheme === undefined || address === undefined
        ? `is not a listener; ${LISTENER_HINT}`
        : scheme !== 'mqtt'
          ? ['mqtts', 'ws', 'wss'].includes(scheme)
            ? `${scheme} listeners are not supported in this version yet; ${LISTENER_HINT}`
            : `is not a listener; ${LISTENER_HINT}`
          : undefined;
    if (problem === undefined && address !== undefined) return address;
    context.addIssue({ code: 'custom', message: problem ?? '' });
    return z.NEVER;
  })
  .meta({
    title: 'listener URL',
    examples: ['mqtt://127.0.0.1:1883', 'mqtt://[::1]:1883', 'mqtt://0.0.0.0:1883'],
  });

/** Whether `url` is a listener that others than this machine can reach. */
export function isOpen(url: unknown): boolean {
  const [, , host] = (typeof url === 'string' ? mqttUrl.exec(url.trim()) : undefined) ?? [];
  return host !== undefined && !isLoopback(host.replace(/^\[|\]$/g, ''));
}

const WEB_HINT = 'write an address and a port: 127.0.0.1:8088';

const webListener = z
  .string(wrong('is not a listener', WEB_HINT))
  .transform((text, context): ListenAddress => {
    const [, host, port] = hostAndPort.exec(text.trim()) ?? [];
    const address = host === undefined || port === undefined ? undefined : addressOf(host, port);
    if (address && isLoopback(address.host)) return address;
    const message = address
      ? 'is open to the network, and that needs a password, which comes in a later version; write a loopback address: 127.0.0.1:8088'
      : `is not a listener; ${WEB_HINT}`;
    context.addIssue({ code: 'custom', message });
    return z.NEVER;
  })
  .meta({ title: 'address', examples: ['127.0.0.1:8088', '[::1]:8088'] });

const limits = section({
  connections: wholeNumber(1, 100_000)
    .default(1_000)
    .describe('Clients connected at a time, over all listeners.'),
  connections_per_address: wholeNumber(1, 100_000)
    .default(500)
    .describe('Clients connected at a time from one address. Behind a proxy all devices share one.'),
  connect_timeout: duration('100ms', '10m')
    .prefault('10s')
    .describe('From opening a connection to a complete CONNECT, however slowly its bytes come.'),
  packet_size: size(1_024, 256 * MIB)
    .prefault('1MiB')
    .describe('Largest MQTT packet. Zigbee2MQTT describes all its devices in one, of hundreds of kilobytes.'),
  pending_readings: wholeNumber(1, 1_000_000)
    .default(10_000)
    .describe('Messages taken and not yet on disk; above it, connections are no longer read from.'),
  topic_length: size(16, 65_535).prefault('1KiB').describe('Longest topic.'),
  topic_levels: wholeNumber(1, 100).default(32).describe('Most levels of a topic.'),
  client_id_length: size(23, 65_535).prefault(256).describe('Longest client identifier.'),
}).transform((given) => ({
  connections: given.connections,
  connectionsPerAddress: given.connections_per_address,
  connectTimeoutMs: given.connect_timeout,
  packetSize: given.packet_size,
  pendingReadings: given.pending_readings,
  topicLength: given.topic_length,
  topicLevels: given.topic_levels,
  clientIdLength: given.client_id_length,
}));

export const broker = z
  .union(
    [
      z.literal(false),
      section({
        listen: z
          .union(
            [
              listener.transform((one) => [one]),
              z.array(listener).min(1, `is empty; ${LISTENER_HINT}`).max(16),
            ],
            wrong('is not a listener or a list of them', LISTENER_HINT),
          )
          .prefault(['mqtt://127.0.0.1:1883'])
          .describe(
            'Where devices connect: one URL or a list of them. Without a port it is 1883; port 0 takes any free one. In this version only `mqtt`. `mqtt://0.0.0.0:1883` is open to the network (`mqtt://[::]:1883` with IPv6 too), and wants accounts: see `users`.',
          )
          .meta({ title: 'listener URL, or a list of them' }),
        limits: limits.prefault({}).describe('Bounds of what clients can take. The defaults fit a home.'),
        users,
        tls: notYet('TLS', 'use a plain mqtt listener'),
      }),
    ],
    wrong('is neither keys nor false', 'write keys below it, or false for no broker'),
  )
  .prefault({})
  .describe('The embedded MQTT broker. `broker: false` for none.');

export const web = z
  .union(
    [
      z.literal(false),
      section({
        listen: webListener
          .prefault('127.0.0.1:8088')
          .describe(
            'Address and port of the status page. In this version only loopback addresses. Port 0 takes any free port.',
          ),
        password: notYet('a password for the web page', 'listen on a loopback address'),
        password_file: notYet('a password for the web page', 'listen on a loopback address'),
        password_hash: notYet('a password for the web page', 'listen on a loopback address'),
      }),
    ],
    wrong('is neither keys nor false', 'write keys below it, or false for no web page'),
  )
  .prefault({})
  .describe(
    'Status, health (`/healthz`), metrics for Prometheus (`/metrics`) and status as JSON (`/api/status`) over HTTP. `web: false` for none; `mqtt2exist status` needs it.',
  );
