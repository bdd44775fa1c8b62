/** TLS and websockets: what of them fails before there is a connection, and addresses that need care. */
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { connectAsync } from 'mqtt';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { SourceOptions } from '../../src/sources/ports.ts';
import { NO_IPV6 } from '../broker/doors.ts';
import { setup as openBroker } from '../broker/setup.ts';
import { CERTIFICATE, KEY } from '../exist/self-signed.ts';
import { makeCertificates, NO_OPENSSL } from '../support/certificates.ts';
import { temporaryFolder } from '../support/folder.ts';
import { optionsOf, rawBroker, sourcesOn, startSource, until } from './setup.ts';
import { skipped } from '../support/skip.ts';

const NONE = { ca: undefined, cert: undefined, key: undefined };
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const OTHER_KEY = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
const ENCRYPTED = privateKey
  .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' })
  .toString();

const MISTAKES: readonly [string, Partial<SourceOptions['tls']>, RegExp][] = [
  [
    'the key of another certificate',
    { cert: CERTIFICATE, key: OTHER_KEY },
    /cert and key do not belong together; name/,
  ],
  [
    'an encrypted key',
    { cert: CERTIFICATE, key: ENCRYPTED },
    /a file of tls.*`mqtt2exist check` tells which/,
  ],
  [
    'a key that is none',
    { cert: CERTIFICATE, key: 'nothing' },
    /a file of tls.*`mqtt2exist check` tells which/,
  ],
  [
    'a certificate that is none',
    { cert: 'nothing', key: KEY },
    /a file of tls.*`mqtt2exist check` tells which/,
  ],
  ['an authority that is none', { ca: 'nothing' }, /certificate is not trusted here.*tls: \{ ca: … \}/],
];

/** A listener for TLS that trusts nobody and is trusted by nobody. */
async function stranger(): Promise<number> {
  const { createServer } = await import('node:tls');
  const server = createServer({ cert: CERTIFICATE, key: KEY });
  server.on('tlsClientError', () => undefined);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

describe.each(['mqtts', 'wss'] as const)('%s, and a file that holds', (scheme) => {
  test.each(MISTAKES)(
    '%s: said with what to do, tried again, and no other connection is in trouble',
    async (_, tls, words) => {
      const broker = await rawBroker();
      const { sources, logged } = sourcesOn();
      const broken = optionsOf({ name: 'broken', scheme, port: await stranger(), tls: { ...NONE, ...tls } });
      const well = optionsOf({ name: 'well', port: broker.port });
      sources.start([broken, well], ['home/#']);
      await until(() => logged.filter(({ message }) => message.includes('is still down')).length >= 2);
      await (await broker.peer(0)).got('subscribe');
      await until(() => sources.status()[1]?.state === 'connected');
      expect(sources.status()).toMatchObject([
        { name: 'broken', state: 'down', lastError: expect.stringMatching(words) },
        { name: 'well', state: 'connected', lastError: undefined },
      ]);
      // At SIGHUP the files are read again.
      sources.reconfigure(
        [{ ...broken, scheme: 'mqtt', port: broker.port, clientId: 'other', tls: NONE }, well],
        ['home/#'],
      );
      await until(() => sources.status().every(({ state }) => state === 'connected'));
    },
  );
});

const why = NO_IPV6 ?? NO_OPENSSL;

describe.skipIf(why)(`an IPv6 address${skipped(why)}`, () => {
  test.each(['mqtt', 'mqtts', 'ws', 'wss'] as const)('is reached over %s', async (scheme) => {
    const { identity } = await makeCertificates(temporaryFolder());
    const host = '::1';
    const { ports } = await openBroker({
      listen: [
        { scheme, host, port: 0 },
        { host, port: 0 },
      ],
      tls: identity,
    });
    const [port = 0, plain = 0] = ports;
    const tls = scheme === 'mqtts' || scheme === 'wss' ? { ...NONE, ca: identity.ca } : NONE;
    const { reaches, inlet, source } = startSource({ scheme, host, port, tls }, ['home/#']);
    await reaches('connected');
    expect(source.status().url).toMatch(`${scheme}://[::1]:${port}`);
    const client = await connectAsync(`mqtt://[::1]:${plain}`, { reconnectPeriod: 0, protocolVersion: 4 });
    onTestFinished(() => client.endAsync(true));
    while (inlet.takes.length === 0) await client.publishAsync('home/button', 'press', { qos: 1 });
    expect(inlet.payloads[0]).toBe('press');
  });
});
