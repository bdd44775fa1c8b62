import { generate } from 'mqtt-packet';
import { expect, test } from 'vitest';
import { PacketBound } from '../../src/sources/packet-bound.ts';
import { message, rawBroker, startSource } from './setup.ts';

const publish = (bytes: number) => generate(message('x'.repeat(bytes)));

test.each([1, 3, 1_000_000])('passes packets up to its size, in pieces of %i bytes', (piece) => {
  const bound = new PacketBound(20_000);
  const bytes = Buffer.concat([publish(0), publish(200), generate({ cmd: 'pingresp' }), publish(19_900)]);
  for (let at = 0; at < bytes.length; at += piece) {
    expect(bound.isBroken(bytes.subarray(at, at + piece))).toBe(false);
  }
  expect(bound.isBroken(publish(20_000).subarray(0, 4))).toBe(true);
});

test('an MQTT 3.1.1 session bears sixteen times as much as others, and is given up where more begins', async () => {
  const broker = await rawBroker();
  const { source, inlet, reaches } = startSource({ port: broker.port, protocol: 4 }, ['home/button']);
  const peer = await broker.peer(0);
  await peer.got('subscribe');
  peer.send(message('x'.repeat(2_000_000)));
  await inlet.taken(1);
  await peer.got('puback');
  // The head of a PUBLISH of 17 MiB.
  peer.socket.write(Uint8Array.of(0x30, 0x80, 0x80, 0xc0, 0x08));
  await reaches('down');
  expect(source.status().lastError).toBe(
    'the broker sends a message of more than 16 MiB, which is not taken',
  );
});
