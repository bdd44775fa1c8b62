/**
 * Existing brokers to take readings from: `connections`.
 */
import * as z from 'zod';
import type { Finding } from './problem.ts';
import { duration, filePath, section, text, wrong } from './kinds.ts';
import { isLoopback } from './listen.ts';

export interface BrokerAddress {
  readonly scheme: 'mqtt' | 'mqtts' | 'ws' | 'wss';
  readonly host: string;
  readonly port: number;
  /** Of a websocket. */
  readonly path: string;
}

export interface ConfiguredConnection extends BrokerAddress {
  readonly name: string;
  readonly username: string | undefined;
  readonly password: string | undefined;
  /** `undefined`: the bridge makes one. */
  readonly clientId: string | undefined;
  /** `undefined`: 5, and 4 where the broker does not speak it. */
  readonly protocol: 4 | 5 | undefined;
  /** PEM. */
  readonly tls: {
    readonly ca: string | undefined;
    readonly cert: string | undefined;
    readonly key: string | undefined;
  };
  readonly qos: 1 | 2;
  readonly keepAliveS: number;
}

const URL_HINT = 'write mqtt://homeassistant.local:1883, or mqtts, ws or wss';
const DEFAULT_PORTS = { mqtt: 1883, mqtts: 8883, ws: 80, wss: 443 } as const;
const brokerUrl =
  /^(?:([A-Za-z][A-Za-z0-9+.-]*):\/\/)?(\[[0-9A-Fa-f:.]+\]|[\p{L}\p{N}._-]+)(?::(\d{1,5}))?(\/[^\s?#]*)?$/u;

/** What the text of a URL says, or what is wrong with it. */
function readUrl(given: string): BrokerAddress | string {
  if (given.includes('@'))
    return 'must not carry a password; write username and password as keys of their own';
  const [, name = 'mqtt', host, digits, path] = brokerUrl.exec(given.trim()) ?? [];
  const scheme = name.toLowerCase();
  if (host === undefined || !URL.canParse(`ws://${host}`)) return `is not the URL of a broker; ${URL_HINT}`;
  if (!isScheme(scheme)) return `${scheme} is not spoken here; ${URL_HINT}`;
  const port = digits === undefined ? DEFAULT_PORTS[scheme] : Number(digits);
  if (port < 1 || port > 65_535) return 'has no port from 1 to 65535; leave it out, or write 1883';
  if (!scheme.startsWith('ws') && path !== undefined && path !== '/') {
    return 'has a path, which only websockets have; write ws://, or leave the path out';
  }
  return { scheme, host: host.replace(/^\[|\]$/g, ''), port, path: path ?? '/mqtt' };
}

function isScheme(name: string): name is keyof typeof DEFAULT_PORTS {
  return Object.hasOwn(DEFAULT_PORTS, name);
}

const url = z
  .string(wrong('is not a URL', URL_HINT))
  .transform((given, context): BrokerAddress => {
    const read = readUrl(given);
    if (typeof read !== 'string') return read;
    context.addIssue({ code: 'custom', message: read });
    return z.NEVER;
  })
  .meta({
    title: 'URL',
    examples: ['mqtt://homeassistant.local', 'mqtts://broker.example.org:8883', 'wss://example.org/mqtt'],
  });

/** [MQTT-1.5.3-2]: no NUL in what is sent as text. */
const credential = (title: string) =>
  z
    .string()
    .min(1, 'is empty; write it, or take the key out')
    .max(10_000, 'is too long; write at most 10000 characters')
    .regex(/^[^\0]*$/, 'has a NUL in it; copy it once more')
    .meta({ title });

const tls = section({
  ca: filePath()
    .optional()
    .describe(
      'The certificate of the authority that signed the broker’s, or the broker’s own where it signed itself; PEM. Default: the authorities that come with Node.',
    ),
  cert: filePath().optional().describe('Our certificate, for a broker that wants one; PEM.'),
  key: filePath().optional().describe('The key of `cert`; PEM.'),
});

const connection = section({
  name: text(100)
    .optional()
    .describe('What it is called in the log and in `status`. Default: the host.')
    .meta({ title: 'text' }),
  url: url.describe(
    'Where the broker is: `mqtt`, `mqtts` (TLS), `ws`, `wss` (websockets), or a host alone. Default ports: 1883, 8883, 80, 443; default path of websockets: `/mqtt`.',
  ),
  username: credential('text').optional().describe('The user, where the broker wants one.'),
  password: credential('secret')
    .optional()
    .describe('Its password. `${MQTT_PASSWORD}` takes it from the environment.'),
  password_file: filePath().optional().describe('A file with the password in it, instead of `password`.'),
  client_id: text(200)
    .optional()
    .describe(
      'The client identifier; the broker keeps our session under it, so nobody else may use it. Default: `mqtt2exist-` and the id of this bridge.',
    ),
  protocol: z
    .literal([4, 5])
    .optional()
    .describe(
      'The version of MQTT: 5, or 4 for MQTT 3.1.1. Default: 5, and 3.1.1 where the broker does not speak it.',
    )
    .meta({ title: '`4` or `5`' }),
  tls: tls
    .prefault({})
    .describe('Files for `mqtts` and `wss`. They are read at the start and again at SIGHUP.'),
  qos: z
    .literal([1, 2])
    .default(2)
    .describe(
      'The highest quality of service to subscribe with. 2 takes each message as it was published; 1 saves half of the packets where publishers use 2.',
    )
    .meta({ title: '`1` or `2`' }),
  keep_alive: duration('5s', '1h')
    .prefault('30s')
    .describe(
      'After so long the broker is asked for a sign of life; without an answer within half that time it is given up.',
    ),
});

export const connections = z
  .array(connection, wrong('is not a list of connections', 'begin each with `- url: mqtt://…`'))
  .max(50, 'is too long; write at most 50 connections')
  .default([])
  .describe(
    'Existing brokers to take readings from. The topics of the mappings are subscribed there, in a session that the broker keeps while the bridge is away.',
  );

/** What is wrong with connections as they stand in the file. */
export function connectionFindings(root: unknown): Finding[] {
  const { connections: given, broker } = recordOf(root);
  const all: unknown[] = Array.isArray(given) ? given : [];
  const findings = all.flatMap((entry, index) => findingsOf(recordOf(entry), ['connections', index], broker));
  if (broker === false && (given === undefined || (Array.isArray(given) && given.length === 0))) {
    const message = 'without the embedded broker and without connections there is nothing to count';
    const hint = 'write connections: [{ url: mqtt://… }], or take `broker: false` out';
    findings.push({ path: ['broker'], message, hint });
  }
  const names = new Map<string, number>();
  for (const [index, entry] of all.entries()) {
    const { name, url: address } = recordOf(entry);
    const read = typeof address === 'string' ? readUrl(address) : undefined;
    const called = typeof name === 'string' ? name.trim() : typeof read === 'object' ? read.host : undefined;
    if (called === undefined) continue;
    const other = names.get(called);
    names.set(called, index);
    if (other === undefined) continue;
    const path = ['connections', index, ...(name === undefined ? [] : ['name'])];
    const message = `connections[${other}] is called ${called} too`;
    findings.push({ path, message, hint: 'write another name' });
  }
  return findings;
}

function findingsOf(entry: Entry, path: readonly (string | number)[], broker: unknown): Finding[] {
  const { url: given, username, password, password_file: passwordFile, tls: files } = entry;
  const findings: Finding[] = [];
  if (password !== undefined && passwordFile !== undefined) {
    const message = 'both password and password_file are given';
    findings.push({ path: [...path, 'password_file'], message, hint: 'keep one of them' });
  } else if ((password !== undefined || passwordFile !== undefined) && username === undefined) {
    const key = password === undefined ? 'password_file' : 'password';
    const message = 'there is a password, and no username';
    findings.push({ path: [...path, key], message, hint: 'write username: …' });
  }
  const { cert, key, ...rest } = recordOf(files);
  const address = typeof given === 'string' ? readUrl(given) : undefined;
  if (typeof address !== 'object') return findings;
  const isSecure = address.scheme === 'mqtts' || address.scheme === 'wss';
  if (!isSecure && [cert, key, rest['ca']].some((file) => file !== undefined)) {
    const message = `${address.scheme} is spoken without TLS`;
    const hint = `write ${address.scheme}s:// as url, or take this out`;
    findings.push({ path: [...path, 'tls'], message, hint });
  }
  if ((cert === undefined) !== (key === undefined)) {
    const missing = cert === undefined ? 'cert' : 'key';
    const message = `there is no ${missing}`;
    findings.push({ path: [...path, 'tls'], message, hint: 'write both cert and key, or none' });
  }
  if (isOurs(address, broker)) {
    const message = 'this is the embedded broker: its messages are taken already';
    findings.push({ path: [...path, 'url'], message, hint: 'take this connection out' });
  }
  return findings;
}

/** Whether somebody who writes this address reaches our own broker, and would count everything twice. */
function isOurs({ host, port }: BrokerAddress, broker: unknown): boolean {
  if (broker === false || !isLoopback(host)) return false;
  const listen = recordOf(broker)['listen'] ?? 'mqtt://127.0.0.1:1883';
  const urls: unknown[] = Array.isArray(listen) ? listen : [listen];
  return urls.some((one) => {
    const read = typeof one === 'string' ? readUrl(one) : undefined;
    return typeof read === 'object' && read.port === port;
  });
}

/** What is wrong with what the files of `tls` hold. */
export type TlsCheck = (tls: ConfiguredConnection['tls']) => readonly {
  readonly at: 'ca' | 'cert' | 'key';
  readonly problem: string;
  readonly hint: string;
}[];

/** The connections with their secrets, from files where they have them; complaints of those go to `complain`. */
export function connectionsOf(
  given: z.output<typeof connections>,
  /** Of a file as the configuration names it. */
  contentOf: (file: string) => { readonly content: string } | { readonly failure: string },
  complain: (finding: Finding) => void,
  check: TlsCheck | undefined,
): ConfiguredConnection[] {
  return given.map((entry, index) => {
    const path = ['connections', index];
    const contentAt = (file: string | undefined, ...keys: readonly string[]): string | undefined => {
      if (file === undefined) return undefined;
      const read = contentOf(file);
      if ('content' in read) return read.content;
      const hint =
        read.failure === 'permission denied'
          ? 'make it readable for the user that runs mqtt2exist'
          : 'name a file that is there (relative to the folder of this file)';
      complain({ path: [...path, ...keys], message: `the file cannot be read: ${read.failure}`, hint });
      return undefined;
    };
    const fromFile = contentAt(entry.password_file, 'password_file')?.replace(/[\r\n]+$/, '');
    if (fromFile !== undefined && !credential('secret').safeParse(fromFile).success) {
      const message = 'what the file says cannot be a password: it is empty, too long or has a NUL in it';
      complain({ path: [...path, 'password_file'], message, hint: 'put nothing but the password into it' });
    }
    const tlsFiles = {
      ca: contentAt(entry.tls.ca, 'tls', 'ca'),
      cert: contentAt(entry.tls.cert, 'tls', 'cert'),
      key: contentAt(entry.tls.key, 'tls', 'key'),
    };
    for (const { at, problem, hint } of check?.(tlsFiles) ?? []) {
      complain({ path: [...path, 'tls', at], message: problem, hint });
    }
    return {
      ...entry.url,
      name: entry.name ?? entry.url.host,
      username: entry.username,
      password: entry.password ?? fromFile,
      clientId: entry.client_id,
      protocol: entry.protocol,
      tls: tlsFiles,
      qos: entry.qos,
      keepAliveS: Math.ceil(entry.keep_alive / 1_000),
    };
  });
}

type Entry = Readonly<Record<string, unknown>>;

function recordOf(candidate: unknown): Entry {
  return typeof candidate === 'object' && candidate !== null && !Array.isArray(candidate)
    ? (candidate as Entry) // An object that is no list is read by its keys, whatever it is.
    : {};
}
