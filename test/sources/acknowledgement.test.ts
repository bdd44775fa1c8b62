import { describe, expect, test } from 'vitest';
import { message, rawBroker, startSource, type Peer } from './setup.ts';

const FILTERS = ['home/+'];

describe.each([{ protocol: 5 as const }, { protocol: 4 as const }])('over MQTT $protocol', ({ protocol }) => {
  async function connected(isHolding: boolean) {
    const broker = await rawBroker();
    const running = startSource({ port: broker.port, protocol }, FILTERS);
    running.inlet.isHolding = isHolding;
    const peer: Peer = await broker.peer(0);
    await peer.got('subscribe');
    return { broker, peer, ...running };
  }

  test.each([
    { qos: 1 as const, ack: 'puback' },
    { qos: 2 as const, ack: 'pubrec' },
  ])('a QoS $qos message is acknowledged when it is taken, and not before', async ({ qos, ack }) => {
    const { peer, inlet, source } = await connected(true);
    peer.send(message('press', { qos, messageId: 7 }));
    const [take] = await inlet.taken(1);
    // It leaves on the same connection, behind whatever has left by now.
    source.publish({ topic: 'mqtt2exist/x', payload: 'x' });
    await peer.got('publish');
    expect(peer.acknowledgements).toEqual([]);
    take?.done();
    await peer.got(qos === 1 ? 'puback' : 'pubrec');
    expect(peer.acknowledgements).toEqual([`${ack} 7`]);
  });

  test('a QoS 2 exchange ends with PUBCOMP, one that this process did not begin as well', async () => {
    const { peer, inlet } = await connected(false);
    peer.send(message('press', { qos: 2, messageId: 7 }));
    await peer.got('pubrec');
    peer.send({ cmd: 'pubrel', messageId: 7 }, { cmd: 'pubrel', messageId: 99 });
    await peer.got('pubcomp', 2);
    expect(peer.acknowledgements).toEqual(['pubrec 7', 'pubcomp 7', 'pubcomp 99']);
    expect(inlet.payloads).toEqual(['press']);
  });

  test('the packet id of a QoS 2 exchange is released with the PUBREL', async () => {
    const { peer, inlet } = await connected(false);
    peer.send(message('press', { qos: 2, messageId: 7 }), { cmd: 'pubrel', messageId: 7 });
    await peer.got('pubcomp');
    expect(inlet.releases).toEqual([`${inlet.takes[0]?.publish.clientId} 7`]);
  });

  test('acknowledgements leave in the order of the messages', async () => {
    const { peer, inlet } = await connected(true);
    peer.send(
      message('a', { messageId: 3 }),
      message('b', { messageId: 1, qos: 2 }),
      message('c', { qos: 0 }),
      message('d', { messageId: 2 }),
    );
    for (let next = 1; next <= 4; next += 1) (await inlet.taken(next))[next - 1]?.done();
    await peer.got('puback', 2);
    expect(peer.acknowledgements).toEqual(['puback 3', 'pubrec 1', 'puback 2']);
    expect(inlet.payloads).toEqual(['a', 'b', 'c', 'd']);
  });

  test('a message that cannot be stored is not acknowledged; its connection is given up for another', async () => {
    const { broker, peer, inlet, source } = await connected(true);
    peer.send(message('press', { messageId: 7 }));
    const [take] = await inlet.taken(1);
    take?.done(new Error('the disk is full'));
    const next = await broker.peer(1);
    expect(peer.acknowledgements).toEqual([]);
    expect(source.status().lastError).toContain('the disk is full');
    inlet.isHolding = false;
    next.send(message('press', { messageId: 7, dup: true }));
    await next.got('puback');
    expect(inlet.takes[1]?.publish).toMatchObject({ dup: true, packetId: 7 });
  });

  test('what is done after its connection was lost acknowledges nothing on the next one', async () => {
    const { broker, peer, inlet, ...running } = await connected(true);
    peer.send(message('press', { messageId: 7 }));
    const [take] = await inlet.taken(1);
    peer.socket.destroy();
    const next = await broker.peer(1);
    await running.reaches('connected');
    take?.done();
    await next.inStep();
    expect(next.acknowledgements).toEqual(['pubcomp 65000']);
  });

  test('messages of QoS 0 do not wait for each other', async () => {
    const { peer, inlet } = await connected(true);
    peer.send(...Array.from({ length: 150 }, (_, n) => message(`${n}`, { qos: 0 })));
    await inlet.taken(150);
  });

  test('no more than 201 messages of QoS 0 wait to be stored', async () => {
    const { peer, inlet, source } = await connected(true);
    peer.send(...Array.from({ length: 300 }, (_, n) => message(`${n}`, { qos: 0 })));
    await inlet.taken(201);
    source.publish({ topic: 'mqtt2exist/x', payload: 'x' });
    await peer.got('publish');
    expect(inlet.takes.length).toBe(201);
    inlet.isHolding = false;
    for (const { done } of inlet.takes.slice()) done();
    await inlet.taken(300);
  });

  test('a message that comes with the CONNACK of a resumed session is taken', async () => {
    const broker = await rawBroker({ early: () => [message('early', { messageId: 5 })] });
    const { inlet } = startSource({ port: broker.port, protocol }, FILTERS);
    await inlet.taken(1);
    await (await broker.peer(0)).got('puback');
    expect(inlet.takes[0]?.publish.clientId).toMatch(/^source:test:s\d+$/);
  });
});

test('a packet id is released when a ping that left after its acknowledgement is answered', async () => {
  const broker = await rawBroker();
  const { inlet } = startSource({ port: broker.port, keepAliveS: 1 }, FILTERS);
  const peer = await broker.peer(0);
  await peer.got('subscribe');
  peer.send(message('one', { messageId: 7 }), message('two', { messageId: 8 }));
  await peer.got('puback', 2);
  await peer.got('pingreq');
  while (inlet.releases.length < 2) await new Promise((resolve) => inlet.once('released', resolve));
  expect(inlet.releases.map((release) => release.split(' ')[1])).toEqual(['7', '8']);
});

test('a packet id that is in use again is not released by the ping before', async () => {
  const broker = await rawBroker({ answersPings: false });
  const { inlet } = startSource({ port: broker.port, keepAliveS: 1 }, FILTERS);
  const peer = await broker.peer(0);
  await peer.got('subscribe');
  peer.send(message('one', { messageId: 7 }), message('two', { messageId: 8 }));
  await peer.got('puback', 2);
  await peer.got('pingreq');
  peer.send(message('three', { messageId: 7 }), { cmd: 'pingresp' });
  await peer.got('puback', 3);
  await peer.inStep();
  expect(inlet.releases.map((release) => release.split(' ')[1])).toEqual(['8', '65000']);
});
