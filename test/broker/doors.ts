/**
 * A broker with a listener of each kind, and streams to each of them that know nothing of MQTT.
 */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect as connectTcp } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import path from 'node:path';
import type { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import { connectAsync, type IClientOptions, type MqttClient } from 'mqtt';
import { generate, parser, type Packet } from 'mqtt-packet';
import { afterAll, beforeAll, onTestFinished } from 'vitest';
import { createWebSocketStream, WebSocket, type ClientOptions } from 'ws';
import { Broker } from '../../src/broker/broker.ts';
import type { Listener, Scheme } from '../../src/broker/listen.ts';
import type { BrokerOptions } from '../../src/broker/options.ts';
import { makeCertificates } from '../support/certificates.ts';
import { TestInlet } from './setup.ts';

export const NO_IPV6: string | undefined = Object.values(networkInterfaces()).some((all) =>
  all?.some(({ address }) => address === '::1'),
)
  ? undefined
  : 'this machine has no IPv6';

export const SCHEMES = ['mqtt', 'mqtts', 'ws', 'wss'] as const;

type Certificates = Awaited<ReturnType<typeof makeCertificates>>;

/** Made once for the tests of a file. */
export function certificatesForAll(): () => Certificates {
  let made: Certificates | undefined;
  let folder = '';
  beforeAll(async () => {
    folder = mkdtempSync(path.join(tmpdir(), 'mqtt2exist-'));
    made = await makeCertificates(folder);
  });
  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  return () => {
    if (!made) throw new Error('not made yet');
    return made;
  };
}

export async function openDoors(
  { identity }: Pick<Certificates, 'identity'>,
  options: Partial<BrokerOptions> = {},
  listen: readonly Listener[] = SCHEMES.map((scheme) => ({ scheme, host: '127.0.0.1', port: 0 })),
) {
  const inlet = new TestInlet();
  const logged: { level: string; message: string; fields: unknown }[] = [];
  const broker = new Broker({
    listen,
    inlet,
    log: (level, message, fields) => logged.push({ level, message, fields }),
    ...options,
  });
  onTestFinished(async () => {
    inlet.letGo();
    await broker.stop();
  });
  broker.secure(identity);
  const listening = await broker.start();
  const portOf = (wanted: Scheme): number => listening.find(({ scheme }) => scheme === wanted)?.port ?? 0;
  const { ca } = identity;

  /** An honest client, which looks at the certificate. */
  async function client(scheme: Scheme, options: IClientOptions = {}): Promise<MqttClient> {
    const connected = await connectAsync(`${scheme}://localhost:${portOf(scheme)}/mqtt`, {
      reconnectPeriod: 0,
      protocolVersion: 4,
      ca,
      ...options,
    });
    connected.on('error', () => undefined);
    onTestFinished(() => connected.endAsync(true));
    return connected;
  }

  /** What carries MQTT, ready to be written to. */
  async function stream(scheme: Scheme, host = '127.0.0.1'): Promise<Duplex> {
    const port = portOf(scheme);
    const opened = await (async (): Promise<Duplex> => {
      if (scheme === 'mqtt') return connectTcp(port, host);
      if (scheme === 'mqtts') return connectTls({ port, host, ca });
      return createWebSocketStream(await websocket(scheme, {}, host));
    })();
    opened.on('error', () => undefined);
    onTestFinished(() => void opened.destroy());
    if (scheme === 'mqtt') await once(opened, 'connect');
    if (scheme === 'mqtts') await once(opened, 'secureConnect');
    return opened;
  }

  async function websocket(
    scheme: 'ws' | 'wss',
    options: ClientOptions = {},
    host = '127.0.0.1',
  ): Promise<WebSocket> {
    const url = `${scheme}://${host.includes(':') ? `[${host}]` : host}:${portOf(scheme)}/mqtt`;
    const opened = new WebSocket(url, ['mqtt'], { ca, ...options });
    onTestFinished(() => {
      opened.on('error', () => undefined);
      opened.terminate();
    });
    await once(opened, 'open');
    return opened;
  }

  return { broker, inlet, logged, listening, portOf, client, stream, websocket };
}

/** What is said until the other side closes. */
export async function lastWords(stream: Duplex): Promise<Buffer> {
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  await new Promise<void>((resolve) => {
    stream.once('close', () => resolve());
    stream.once('end', () => resolve());
  });
  return Buffer.concat(chunks);
}

/** The next packet of a stream. */
export function packetOf(stream: Duplex): Promise<Packet> {
  const parse = parser();
  return new Promise((resolve, reject) => {
    parse.once('packet', resolve);
    stream.on('data', (chunk: Buffer) => parse.parse(chunk));
    stream.once('close', () => reject(new Error('closed without a packet')));
  });
}

export function connectPacket(clientId: string): Buffer {
  return generate({
    cmd: 'connect',
    clientId,
    clean: true,
    keepalive: 60,
    protocolId: 'MQTT',
    protocolVersion: 4,
  });
}

export function gone(client: MqttClient): Promise<void> {
  return new Promise((resolve) => {
    client.once('close', () => resolve());
  });
}
