import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { generate } from 'mqtt-packet';
import { describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { NO_OPENSSL } from '../support/certificates.ts';
import { skipped } from '../support/skip.ts';
import { certificatesForAll, connectPacket, openDoors } from './doors.ts';

describe.skipIf(NO_OPENSSL)(`websockets${skipped(NO_OPENSSL)}`, () => {
  const certificates = certificatesForAll();

  const statusOf = (url: string, protocols: string[], options: object = {}): Promise<number> =>
    new Promise((resolve) => {
      const websocket = new WebSocket(url, protocols, options);
      websocket.on('error', () => undefined);
      websocket.once('open', () => {
        resolve(101);
        websocket.terminate();
      });
      websocket.once('unexpected-response', (request, response) => {
        resolve(response.statusCode ?? 0);
        request.destroy();
      });
    });

  it('are for MQTT only', async () => {
    const { portOf, broker } = await openDoors(certificates());
    const url = `ws://127.0.0.1:${portOf('ws')}`;
    expect(await statusOf(url, [])).toBe(400);
    expect(await statusOf(url, ['chat'])).toBe(400);
    expect(await statusOf(url, ['chat', 'mqtt'])).toBe(101);
    expect(await statusOf(url, ['mqttv3.1'])).toBe(101);
    expect(broker.counters.refusedConnections.websocket).toBe(2);
  });

  it('are served at any path, or at the one that is written', async () => {
    const { listening } = await openDoors(certificates(), {}, [
      { scheme: 'ws', host: '127.0.0.1', port: 0 },
      { scheme: 'ws', host: '127.0.0.1', port: 0, path: '/mqtt' },
    ]);
    const [any = '', one = ''] = listening.map(({ port }) => `ws://127.0.0.1:${port}`);
    for (const path of ['', '/', '/mqtt', '/ws?a=b']) expect(await statusOf(any + path, ['mqtt'])).toBe(101);
    for (const path of ['/mqtt', '/mqtt?a=b']) expect(await statusOf(one + path, ['mqtt'])).toBe(101);
    for (const path of ['', '/ws', '/mqtt/']) expect(await statusOf(one + path, ['mqtt'])).toBe(404);
  });

  it('are for programs; pages may connect where their origin is written', async () => {
    const page = 'http://homeassistant.local:8123';
    const none = await openDoors(certificates());
    const some = await openDoors(certificates(), { origins: [page] });
    const all = await openDoors(certificates(), { origins: ['*'] });
    const of = ({ portOf }: typeof none, origin: string): Promise<number> =>
      statusOf(`ws://127.0.0.1:${portOf('ws')}`, ['mqtt'], { origin });
    expect(await of(none, page)).toBe(403);
    expect(await of(some, page)).toBe(101);
    expect(await of(some, 'http://evil.example')).toBe(403);
    expect(await of(some, 'null')).toBe(403);
    expect(await of(all, 'http://evil.example')).toBe(101);
    expect(none.broker.counters.refusedConnections.origin).toBe(1);
  });

  it('are for programs that name the listener itself as their origin, and not for domains pointed at it', async () => {
    const { portOf, broker } = await openDoors(certificates());
    const of = (scheme: 'ws' | 'wss', name: string, origin: string): Promise<number> => {
      const headers = { host: `${name}:${portOf(scheme)}` };
      const { ca } = certificates().identity;
      const url = `${scheme}://127.0.0.1:${portOf(scheme)}`;
      return statusOf(url, ['mqtt'], { headers, ca, origin: `${origin}:${portOf(scheme)}` });
    };
    // paho-mqtt for Python says https whatever it speaks.
    for (const name of ['127.0.0.1', '[fd00::1]', 'localhost', 'raspberrypi', 'Pi.local'])
      expect(await of('ws', name, `https://${name}`)).toBe(101);
    expect(await of('ws', 'evil.example', 'http://evil.example')).toBe(403);
    expect(await of('ws', 'localhost', 'http://evil.example')).toBe(403);
    // A browser would not have taken our certificate for this name.
    expect(await of('wss', 'pi.lan', 'https://pi.lan')).toBe(101);
    expect(broker.counters.refusedConnections.origin).toBe(2);
  });

  it('answer an ordinary request with what is spoken here', async () => {
    const { portOf } = await openDoors(certificates());
    const request = httpRequest({ port: portOf('ws'), host: '127.0.0.1', path: '/', method: 'POST' });
    request.on('error', () => undefined);
    request.end('x'.repeat(1_000));
    const [response] = (await once(request, 'response')) as [{ statusCode: number; resume: () => void }];
    response.resume();
    expect(response.statusCode).toBe(426);
  });

  it('carry packets wherever messages begin and end', async () => {
    const { websocket, inlet } = await openDoors(certificates());
    const opened = await websocket('ws');
    const bytes = Buffer.concat([
      connectPacket('pieces'),
      generate({ cmd: 'publish', topic: 'a', payload: '1', qos: 0, dup: false, retain: false }),
      generate({ cmd: 'publish', topic: 'a', payload: '2', qos: 0, dup: false, retain: false }),
    ]);
    for (const byte of bytes) opened.send(Uint8Array.of(byte));
    await inlet.taken(2);
    const whole = await websocket('ws');
    whole.send(bytes);
    await inlet.taken(4);
    expect(inlet.payloads).toEqual(['1', '2', '1', '2']);
  });

  it('are closed by text', async () => {
    const { websocket, broker } = await openDoors(certificates());
    const opened = await websocket('ws');
    const closed = once(opened, 'close');
    opened.send(connectPacket('text'), { binary: false });
    await closed;
    expect(broker.counters.refusedConnections.not_mqtt).toBe(1);
  });

  it('gather no more of a message from who is not let in than a CONNECT may have', async () => {
    const { websocket, broker } = await openDoors(certificates());
    const opened = await websocket('ws');
    opened.on('error', () => undefined);
    const closed = once(opened, 'close');
    // A message of which the end never comes; its first bytes look like a fine CONNECT.
    opened.send(Buffer.concat([connectPacket('large'), Buffer.alloc(50_000)]), { fin: false });
    opened.send(Buffer.alloc(50_000), { fin: false });
    await closed;
    expect(broker.counters.refusedConnections.packet_too_large).toBe(1);
  });

  it('are cut off where a message is larger than any packet', async () => {
    const { websocket, broker } = await openDoors(certificates(), { limits: { packetSize: 100_000 } });
    const opened = await websocket('ws');
    opened.on('error', () => undefined);
    opened.send(connectPacket('greedy'));
    await once(opened, 'message');
    const closed = once(opened, 'close');
    opened.send(Buffer.alloc(200_000));
    expect(await closed).toEqual([1009, expect.anything()]);
    await broker.stop();
  });
});
