import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { connectAsync } from 'mqtt';
import { generate } from 'mqtt-packet';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Listener } from '../../src/broker/listen.ts';
import { makeCertificates, NO_OPENSSL } from '../support/certificates.ts';
import { temporaryFolder } from '../support/folder.ts';
import { NO_MOSQUITTO } from '../support/mosquitto.ts';
import {
  certificatesForAll,
  connectPacket,
  gone,
  lastWords,
  NO_IPV6,
  openDoors,
  packetOf,
  SCHEMES,
} from './doors.ts';
import { Mailbox } from './setup.ts';
import { skipped } from '../support/skip.ts';

/** Runs another program; resolves with what it says once it has ended. */
async function run(command: string, args: readonly string[]): Promise<{ code: number; text: string }> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  }
  await once(child, 'close');
  return { code: child.exitCode ?? -1, text };
}

describe.skipIf(NO_OPENSSL)(`listeners of every kind${skipped(NO_OPENSSL)}`, () => {
  const certificates = certificatesForAll();

  describe.each(SCHEMES)('%s', (scheme) => {
    it('acknowledges what is stored, and forwards it', async () => {
      const { client, inlet } = await openDoors(certificates());
      const subscriber = await client(scheme);
      const mailbox = new Mailbox(subscriber);
      await subscriber.subscribeAsync('door', { qos: 1 });
      const publisher = await client(scheme);
      inlet.isHolding = true;
      let isAcknowledged = false;
      const published = publisher
        .publishAsync('door', 'open', { qos: 1 })
        .then(() => (isAcknowledged = true));
      await inlet.taken(1);
      expect(isAcknowledged).toBe(false);
      inlet.letGo();
      await published;
      await mailbox.until(1);
      expect(mailbox.payloads).toEqual(['open']);
    });

    it('takes a large message whole, and no larger one', async () => {
      const { client, inlet, broker } = await openDoors(certificates(), { limits: { packetSize: 200_000 } });
      const publisher = await client(scheme);
      await publisher.publishAsync('large', 'x'.repeat(190_000), { qos: 1 });
      expect(inlet.payloads.map(({ length }) => length)).toEqual([190_000]);
      const closed = gone(publisher);
      publisher.publish('large', 'x'.repeat(250_000), { qos: 1 });
      await closed;
      expect(broker.counters.refusedConnections.packet_too_large).toBe(1);
    });

    it('tells a client of MQTT 5 in its own words that it speaks 3.1.1', async () => {
      const { stream } = await openDoors(certificates());
      const caller = await stream(scheme);
      caller.write(
        generate({
          cmd: 'connect',
          clientId: 'five',
          clean: true,
          keepalive: 60,
          protocolId: 'MQTT',
          protocolVersion: 5,
        }),
      );
      expect((await lastWords(caller)).toString('hex')).toBe('2003008400');
    });

    it('tells why a CONNECT is refused before it closes', async () => {
      const { stream } = await openDoors(certificates(), { limits: { clientIdLength: 30 } });
      const caller = await stream(scheme);
      const packet = packetOf(caller);
      caller.write(connectPacket('x'.repeat(31)));
      expect(await packet).toMatchObject({ cmd: 'connack', returnCode: 2 });
    });

    it('closes what is not MQTT, and what begins too large a CONNECT', async () => {
      const { stream, broker } = await openDoors(certificates());
      const noise = await stream(scheme);
      noise.write('GET / HTTP/1.1\r\n\r\n');
      await lastWords(noise);
      const large = await stream(scheme);
      large.write(Uint8Array.of(0x10, 0xff, 0xff, 0x7f));
      await lastWords(large);
      expect(broker.counters.refusedConnections).toMatchObject({ not_mqtt: 1, packet_too_large: 1 });
    });

    it('gives up those who say nothing, wherever they stopped, and serves others meanwhile', async () => {
      const { portOf, client, broker, inlet } = await openDoors(certificates(), {
        limits: { connectTimeoutMs: 150 },
      });
      const silent = Array.from({ length: 20 }, () => connectTcp(portOf(scheme), '127.0.0.1'));
      const gone = silent.map((socket) => once(socket, 'close'));
      for (const socket of silent) socket.on('error', () => undefined);
      // Some have begun with what comes first here: a TLS record, a request, a CONNECT.
      const opening = scheme === 'mqtt' ? [0x10, 20] : scheme === 'ws' ? [0x47, 0x45] : [0x16, 3, 1, 2, 0, 1];
      for (const socket of silent.slice(0, 10)) socket.write(Uint8Array.from(opening));
      const honest = await client(scheme);
      await honest.publishAsync('door', 'open', { qos: 1 });
      expect(inlet.payloads).toEqual(['open']);
      await Promise.all(gone);
      expect(broker.counters.refusedConnections.connect_timeout).toBe(20);
      await honest.publishAsync('door', 'closed', { qos: 1 });
    });

    it('counts those who have not come through yet', async () => {
      const { portOf, broker } = await openDoors(certificates(), { limits: { connectionsPerAddress: 2 } });
      const sockets = Array.from({ length: 3 }, () => connectTcp(portOf(scheme), '127.0.0.1'));
      onTestFinished(() => sockets.forEach((socket) => socket.destroy()));
      await Promise.race(sockets.map((socket) => once(socket, 'close')));
      expect(broker.counters.refusedConnections.too_many_from_address).toBe(1);
    });

    it('lets in one after the other who opens more and more, and forgets those who hang up', async () => {
      const limits = { connectionsPerAddress: 2, connectionsPerSecond: 10 };
      const { portOf, client, broker, inlet } = await openDoors(certificates(), { limits });
      for (let visit = 0; visit < 40; visit += 1) {
        const visitor = connectTcp(portOf(scheme), '127.0.0.1');
        await once(visitor, 'connect');
        visitor.resume().end();
        await once(visitor, 'close');
      }
      const honest = await client(scheme);
      await honest.publishAsync('door', 'open', { qos: 1 });
      expect(inlet.payloads).toEqual(['open']);
      expect(broker.counters.refusedConnections.too_fast).toBe(0);
    });

    it('reads no faster than readings are stored', async () => {
      const { client, inlet } = await openDoors(certificates(), { limits: { pendingPerConnection: 10 } });
      const publisher = await client(scheme);
      inlet.isHolding = true;
      const acknowledged = Array.from({ length: 200 }, (_, index) =>
        publisher.publishAsync('count', `${index} ${'x'.repeat(1_000)}`, { qos: 1 }),
      );
      await inlet.taken(1);
      for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      expect(inlet.takes.length).toBeLessThan(100);
      inlet.letGo();
      await Promise.all(acknowledged);
      expect(inlet.payloads.map((payload) => Number.parseInt(payload))).toEqual(
        Array.from({ length: 200 }, (_, index) => index),
      );
    });

    it('leaves nothing open when the broker stops', async () => {
      const { stream, client, broker } = await openDoors(certificates());
      const caller = await stream(scheme);
      const subscriber = await client(scheme);
      const closed = [lastWords(caller), gone(subscriber)];
      await broker.stop();
      await Promise.all(closed);
    });
  });

  describe('with TLS', () => {
    it.skipIf(NO_MOSQUITTO)(
      `serves mosquitto_pub and mosquitto_sub, which look at the host name${skipped(NO_MOSQUITTO)}`,
      async () => {
        const everywhere = [{ scheme: 'mqtts', host: '0.0.0.0', port: 0 }] as const;
        const { portOf, inlet } = await openDoors(certificates(), {}, everywhere);
        const { files } = certificates();
        const where = ['--cafile', files.ca, '-h', 'localhost', '-p', String(portOf('mqtts')), '-V', '311'];
        const subscribed = run('mosquitto_sub', [
          ...where,
          '-q',
          '1',
          '-t',
          'door',
          '-C',
          '1',
          '-v',
          '-i',
          'sub',
          '-c',
        ]);
        // It tells nobody when it has subscribed: what is retained reaches it in any case.
        const published = await run('mosquitto_pub', [...where, '-q', '1', '-t', 'door', '-m', 'open', '-r']);
        expect(published).toEqual({ code: 0, text: '' });
        expect(inlet.payloads).toEqual(['open']);
        expect(await subscribed).toEqual({ code: 0, text: 'door open\n' });
        // By an address that is not in the certificate, though it is this machine's and listened on.
        const byAddress = [...where, '-h', '127.0.0.2', '-t', 'door', '-m', 'x'];
        const wrongName = await run('mosquitto_pub', byAddress);
        expect(wrongName.code).not.toBe(0);
        expect(inlet.payloads).toEqual(['open']);
        expect(await run('mosquitto_pub', [...byAddress, '--insecure'])).toEqual({ code: 0, text: '' });
        expect(inlet.payloads).toEqual(['open', 'x']);
      },
    );

    it('is not trusted by who trusts another authority, and says in the log why', async () => {
      const other = await makeCertificates(temporaryFolder());
      const { client, portOf, broker, logged } = await openDoors(certificates());
      for (const scheme of ['mqtts', 'wss'] as const) {
        await expect(client(scheme, { ca: other.identity.ca })).rejects.toThrow(/certificate/);
      }
      // Node's clients say nothing when they turn away; those of OpenSSL and mbed TLS do.
      const where = ['s_client', '-connect', `localhost:${portOf('mqtts')}`, '-CAfile', other.files.ca];
      const stranger = await run('openssl', [...where, '-verify_return_error']);
      expect(stranger.code).not.toBe(0);
      expect(broker.counters.refusedConnections.tls).toBe(1);
      expect(JSON.stringify(logged)).toMatch(/does not trust our certificate/);
    });

    it('takes no harm from those who speak without it', async () => {
      const { portOf, broker, logged } = await openDoors(certificates());
      for (const scheme of ['mqtts', 'wss'] as const) {
        for (const words of [
          connectPacket('plain'),
          Buffer.from('GET /mqtt HTTP/1.1\r\n\r\n'),
          Buffer.alloc(100_000),
        ]) {
          const socket = connectTcp(portOf(scheme), '127.0.0.1');
          socket.on('error', () => undefined);
          socket.write(words);
          await lastWords(socket);
        }
      }
      expect(broker.counters.refusedConnections.tls).toBe(6);
      expect(JSON.stringify(logged)).toMatch(/it speaks HTTP without TLS/);
      // Once an hour of each address, and of what is wrong there.
      expect(logged.filter(({ level }) => level !== 'debug')).toMatchObject([{ level: 'warn' }]);
    });

    it('speaks no version before 1.2', async () => {
      const { portOf } = await openDoors(certificates());
      const { ca } = certificates().identity;
      const versions = async (
        minVersion: 'TLSv1' | 'TLSv1.2',
        maxVersion: 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3',
      ) => {
        // Node's own default is not to speak the old ones either.
        const ciphers = 'DEFAULT@SECLEVEL=0';
        const socket = connectTls({
          port: portOf('mqtts'),
          host: 'localhost',
          ca,
          minVersion,
          maxVersion,
          ciphers,
        });
        onTestFinished(() => void socket.destroy());
        await once(socket, 'secureConnect');
        return socket.getProtocol();
      };
      await expect(versions('TLSv1', 'TLSv1.1')).rejects.toThrow();
      expect(await versions('TLSv1.2', 'TLSv1.2')).toBe('TLSv1.2');
      expect(await versions('TLSv1.2', 'TLSv1.3')).toBe('TLSv1.3');
    });

    it('shows another certificate to those who come after it was renewed, and keeps those who are there', async () => {
      const folder = temporaryFolder();
      const { identity, authority, files } = await makeCertificates(folder);
      const { broker, client, portOf, inlet } = await openDoors({ identity });
      const serials = async (): Promise<string[]> => {
        const seen: string[] = [];
        for (const scheme of ['mqtts', 'wss'] as const) {
          const socket = connectTls({ port: portOf(scheme), host: 'localhost', ca: identity.ca });
          await once(socket, 'secureConnect');
          seen.push(socket.getPeerCertificate().serialNumber);
          socket.destroy();
        }
        return seen;
      };
      const before = await serials();
      const there = await Promise.all([client('mqtts'), client('wss')]);
      const renewed = await makeCertificates(folder);
      broker.secure(renewed.identity);
      const after = await serials();
      expect(new Set([...before, ...after]).size).toBe(2);
      for (const one of there) await one.publishAsync('door', 'open', { qos: 1 });
      expect(inlet.payloads).toEqual(['open', 'open']);
      expect(authority.exists).toBe(true);
      expect(renewed.files).toEqual(files);
    });
  });

  describe('of IPv6', () => {
    const reach = async (port: number, host: string): Promise<void> => {
      const client = await connectAsync(`mqtt://${host}:${port}`, { reconnectPeriod: 0, protocolVersion: 4 });
      onTestFinished(() => client.endAsync(true));
      await client.publishAsync('door', host, { qos: 1 });
    };

    it.skipIf(NO_IPV6)(`serve ::1, with TLS and websockets too${skipped(NO_IPV6)}`, async () => {
      const listen: Listener[] = SCHEMES.map((scheme) => ({ scheme, host: '::1', port: 0 }));
      const { stream, inlet } = await openDoors(certificates(), {}, listen);
      for (const scheme of SCHEMES) {
        const caller = await stream(scheme, '::1');
        const message = generate({
          cmd: 'publish',
          topic: 'door',
          payload: scheme,
          qos: 0,
          dup: false,
          retain: false,
        });
        caller.write(Buffer.concat([connectPacket(scheme), message]));
      }
      await inlet.taken(4);
      expect(inlet.payloads.toSorted()).toEqual([...SCHEMES].toSorted());
    });

    it.skipIf(NO_IPV6)(`serve IPv4 too on [::]${skipped(NO_IPV6)}`, async () => {
      const { portOf, inlet } = await openDoors(certificates(), {}, [{ host: '::', port: 0 }]);
      for (const host of ['127.0.0.1', '[::1]']) await reach(portOf('mqtt'), host);
      expect(inlet.payloads).toEqual(['127.0.0.1', '[::1]']);
    });

    it.skipIf(NO_IPV6)(`leave it to 0.0.0.0 where that is there${skipped(NO_IPV6)}`, async () => {
      const probe = await openDoors(certificates(), {}, [{ host: '0.0.0.0', port: 0 }]);
      const port = probe.portOf('mqtt');
      await probe.broker.stop();
      const { inlet } = await openDoors(certificates(), {}, [
        { host: '0.0.0.0', port },
        { host: '::', port },
      ]);
      for (const host of ['127.0.0.1', '[::1]']) await reach(port, host);
      expect(inlet.payloads).toEqual(['127.0.0.1', '[::1]']);
    });
  });
});
