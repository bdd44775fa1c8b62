/**
 * The embedded broker: where it listens, with which certificate, and for whom.
 */
import * as z from 'zod';
import { filePath, section, text, wrong } from './kinds.ts';
import { limits } from './limits.ts';
import { DEFAULT_URL, listener, LISTENER_HINT, type Listener } from './listeners.ts';
import { users } from './users.ts';

const tls = section({
  cert: filePath()
    .optional()
    .describe(
      'The broker’s certificate; PEM. Those between it and its authority follow in the same file. `mqtt2exist certificate` makes one.',
    ),
  key: filePath().optional().describe('The key of `cert`; PEM, without a passphrase.'),
  ca: filePath()
    .optional()
    .describe(
      'The certificate of the authority that signed `cert`; PEM. It is checked that it did. Clients are not asked for certificates of their own: accounts say who they are.',
    ),
});

const listen = z
  .union(
    [listener.transform((one) => [one]), z.array(listener).min(1, `is empty; ${LISTENER_HINT}`).max(16)],
    wrong('is not a listener or a list of them', LISTENER_HINT),
  )
  .prefault([DEFAULT_URL])
  .describe(
    'Where devices connect: one URL or a list of them. `mqtt` is plain TCP, `mqtts` TLS 1.2 or 1.3, `ws` and `wss` are websockets (sub-protocol `mqtt`) without and with TLS; TLS wants a certificate: see `tls`. Without a port it is 1883, 8883, 80 or 443; port 0 takes any free one. Websockets are served at any path, or only at the one that is written. `mqtt://0.0.0.0:1883` is open to the network over IPv4, `mqtt://[::]:1883` over IPv6 and IPv4, and wants accounts: see `users`.',
  )
  .meta({ title: 'listener URL, or a list of them' });

const origin = text(300)
  .regex(
    /^(?:\*|https?:\/\/(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?)$/,
    'is not the origin of a page; write scheme, host and port: http://homeassistant.local:8123',
  )
  .transform((given) => given.toLowerCase());

export const broker = z
  .union(
    [
      z.literal(false),
      section({
        listen,
        tls: tls
          .prefault({})
          .describe(
            'The certificate of the listeners with TLS. The files are looked at every second: one that is renewed is shown to whoever connects from then on, without a restart. Thirty days before it expires, log and status say so.',
          ),
        origins: z
          .array(origin, wrong('is not a list of origins', 'write [http://homeassistant.local:8123]'))
          .max(100)
          .default([])
          .describe(
            'Web pages whose scripts may connect over websockets, by their origin: scheme, host, port; `*` is any page. By default no page may; programs that are no browsers are not asked.',
          )
          .meta({ title: 'list of origins' }),
        mdns: z
          .boolean(wrong('is neither true nor false', 'write true or false'))
          .default(true)
          .describe(
            'Announces `mqtt` listeners as `_mqtt._tcp` and `mqtts` listeners as `_secure-mqtt._tcp` in the local network, where Avahi’s `avahi-publish` (package `avahi-utils`) is there. Listeners on loopback addresses are not announced.',
          ),
        limits: limits.prefault({}).describe('Bounds of what clients can take. The defaults fit a home.'),
        users,
      }),
    ],
    wrong('is neither keys nor false', 'write keys below it, or false for no broker'),
  )
  .prefault({})
  .describe('The embedded MQTT broker. `broker: false` for none.');

/** Where devices connect, and with which certificate. */
export interface Doors {
  readonly listen: readonly Listener[];
  readonly tls: z.output<typeof tls>;
}

const doors = z.union([
  z.literal(false).transform((): Doors => ({ listen: [], tls: {} })),
  z.object({ listen, tls: tls.prefault({}).catch({}) }),
]);
const withDoors = z.object({ broker: doors.prefault({}) });

/** What the file says of them, whatever else is wrong in it; `undefined` where it cannot be told. */
export function doorsIn(root: unknown): Doors | undefined {
  return withDoors.safeParse(root).data?.broker;
}
