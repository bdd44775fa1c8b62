import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import fc from 'fast-check';
import { generate } from 'mqtt-packet';
import { expect, test } from 'vitest';
import { FramingGuard, guardReads } from '../../src/broker/framing-guard.ts';
import { connectMqtt, publishPacket, RawClient, setup } from './setup.ts';

const limits = { packetSize: 1_000, connectPacketSize: 100 };
const connectBytes = generate({ cmd: 'connect', clientId: 'a', clean: true, keepalive: 60 });
const publishBytes = generate(publishPacket('home/door', 'open', { qos: 1, messageId: 1 }));

function inspectAll(chunks: readonly Uint8Array[]): string | undefined {
  const guard = new FramingGuard(limits);
  for (const chunk of chunks) {
    const verdict = guard.inspect(chunk);
    if (typeof verdict === 'string') return verdict;
  }
  return undefined;
}

/** `bytes` cut at the given places. */
function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const edges = [0, ...places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return edges.slice(1).map((end, index) => bytes.subarray(edges[index], end));
}

test.each([
  ['an honest stream', undefined, [...connectBytes, ...publishBytes, ...publishBytes]],
  ['a packet of just the size', undefined, [...connectBytes, 0x30, 0xe8, 0x07, ...new Uint8Array(1_000)]],
  ['a packet one byte larger', 'packet_too_large', [...connectBytes, 0x30, 0xe9, 0x07]],
  ['a CONNECT larger than a CONNECT may be', 'packet_too_large', [0x10, 101]],
  ['a length of five bytes', 'malformed', [...connectBytes, 0x30, 0xff, 0xff, 0xff, 0xff]],
  ['another packet first', 'not_mqtt', [...publishBytes]],
  ['HTTP', 'not_mqtt', [...Buffer.from('GET / HTTP/1.1\r\n')]],
  ['TLS', 'not_mqtt', [0x16, 0x03, 0x01]],
  ['MQTT 5', 'mqtt_5', [...generate({ cmd: 'connect', clientId: 'a', clean: true, protocolVersion: 5 })]],
  ['MQTT 6', 'protocol_level', [0x10, 12, 0, 4, 0x4d, 0x51, 0x54, 0x54, 6, 2, 0, 60, 0, 0]],
  ['a bridge', undefined, [0x10, 12, 0, 4, 0x4d, 0x51, 0x54, 0x54, 0x84, 2, 0, 60, 0, 0]],
  [
    'MQTT 3.1',
    undefined,
    [...generate({ cmd: 'connect', clientId: 'a', clean: true, protocolId: 'MQIsdp', protocolVersion: 3 })],
  ],
])('%s: %s, however it is cut into chunks', (_, problem, bytes) => {
  fc.assert(
    fc.property(fc.array(fc.nat()), (places) => {
      expect(inspectAll(cut(Uint8Array.from(bytes), places))).toBe(problem);
    }),
    { numRuns: 50 },
  );
});

test('once a chunk was refused, nothing is read any more', async () => {
  const stream = new PassThrough();
  const seen: string[] = [];
  guardReads(
    stream,
    () => 1,
    (chunk) => {
      seen.push(Buffer.from(chunk).toString());
      return seen.length < 2 ? { bytes: chunk.length, complete: 1 } : undefined;
    },
  );
  const read = async (text: string): Promise<unknown> => {
    stream.write(text);
    // Until who read the last one is done with it.
    await Promise.resolve();
    return stream.read();
  };
  expect([await read('a'), await read('b'), await read('c')]).toEqual([Buffer.from('a'), null, null]);
  expect(seen).toEqual(['a', 'b']);
});

test('who reads again in the middle of a chunk gets nothing, and is told when it can', async () => {
  const stream = new PassThrough();
  guardReads(
    stream,
    () => 1,
    () => ({ bytes: 1, complete: 1 }),
  );
  stream.write('ab');
  const first: unknown = stream.read();
  const inTheMiddle: unknown = stream.read();
  await once(stream, 'readable');
  expect([first, inTheMiddle, stream.read()]).toEqual([Buffer.from('a'), null, Buffer.from('b')]);
});

test('a header that announces 256 MB closes the connection at once', async () => {
  const { broker, port } = await setup();
  const client = await RawClient.open(port);
  client.write(0x10, 0xff, 0xff, 0xff, 0x7f);
  await client.closed;
  expect(broker.counters.refusedConnections.packet_too_large).toBe(1);
});

test('a large publish is cut off at its header, an allowed one passes', async () => {
  const { broker, inlet, port } = await setup({ limits: { packetSize: 70_000 } });
  const good = await connectMqtt(port);
  await good.publishAsync('a', 'x'.repeat(69_000), { qos: 1 });
  expect(inlet.takes[0]?.publish.payload.length).toBe(69_000);
  const bad = await RawClient.connected(port, 'bad');
  bad.write(0x30, 0xf1, 0xa2, 0x04);
  await bad.closed;
  expect(broker.counters.refusedConnections.packet_too_large).toBe(1);
});

test('an endless CONNECT cannot fill the memory', async () => {
  const { port } = await setup();
  const client = await RawClient.open(port);
  client.write(0x10, 0xff, 0xff, 0xff, 0x7f);
  const chunk = Buffer.alloc(64 * 1024);
  const feed = (): void => {
    while (!client.socket.destroyed && client.socket.write(chunk));
  };
  client.socket.on('drain', feed);
  feed();
  await client.closed;
  expect(client.socket.bytesWritten).toBeLessThan(16 * 1024 * 1024);
});

test('MQTT 5 is refused in its own words', async () => {
  const { broker, port } = await setup();
  const client = await RawClient.open(port);
  client.send({ cmd: 'connect', clientId: 'a', clean: true, keepalive: 60, protocolVersion: 5 });
  await client.closed;
  expect(Buffer.concat(client.bytes)).toEqual(Buffer.of(0x20, 0x03, 0x00, 0x84, 0x00));
  expect(broker.counters.refusedConnections.mqtt_5).toBe(1);
  await expect(connectMqtt(port, { protocolVersion: 5 })).rejects.toMatchObject({ code: 0x84 });
});

test('a level nobody knows is refused with return code 1', async () => {
  const { port } = await setup();
  const client = await RawClient.open(port);
  client.write(0x10, 12, 0, 4, 0x4d, 0x51, 0x54, 0x54, 9, 2, 0, 60, 0, 0);
  await client.closed;
  expect(Buffer.concat(client.bytes)).toEqual(Buffer.of(0x20, 0x02, 0x00, 0x01));
});

test('a stream in single bytes is served like any other', async () => {
  const { inlet, port } = await setup();
  const client = await RawClient.open(port);
  for (const byte of [...connectBytes, ...publishBytes]) {
    client.write(byte);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await client.next('connack');
  await client.next('puback');
  expect(inlet.payloads).toEqual(['open']);
});
