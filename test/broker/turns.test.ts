import { expect, test } from 'vitest';
import { Turns, type Speaker, type TurnsParts } from '../../src/broker/turns.ts';
import { connectMqtt, publishPacket, RawClient, setup, turns as eventTurns } from './setup.ts';

const limits = {
  pendingReadings: 1_000,
  pendingPerConnection: 100,
  messagesPerSecond: 100,
  floodTimeoutMs: 60_000,
};

/** A connection with so many packets waiting in its socket; what is read is pending until `store`. */
class Chatter implements Speaker {
  pending = 0;
  read = 0;
  isCut = false;

  constructor(
    private readonly house: House,
    public waiting: number,
  ) {}

  readonly resume = (): void => {
    const most = Math.min(this.waiting, this.house.turns.allowance(this));
    if (most === 0) return;
    this.house.turns.spend(this, most, most);
    this.waiting -= most;
    this.read += most;
    this.pending += most;
    this.house.reading.add(this);
  };

  readonly cut = (): void => {
    this.isCut = true;
    this.house.turns.leave(this);
  };

  /** As aedes does: when a batch is done, it reads again. */
  store(): void {
    if (this.pending === 0) return;
    this.pending = 0;
    this.house.turns.idle(this);
    this.resume();
  }
}

class House {
  now = 0;
  workMs = 0;
  readonly slowed: string[] = [];
  readonly speakers: Chatter[] = [];
  /** In order, since the last commit. */
  readonly reading = new Set<Chatter>();
  readonly turns: Turns;
  private timers: { at: number; task: () => void }[] = [];

  constructor(given: Partial<TurnsParts['limits']> = {}) {
    this.turns = new Turns({
      limits: { ...limits, ...given },
      pending: () => this.speakers.reduce((sum, { pending }) => sum + pending, 0),
      now: () => this.now,
      workMs: () => this.workMs,
      after: (delayMs, task) => {
        const timer = { at: this.now + delayMs, task };
        this.timers.push(timer);
        return () => void (this.timers = this.timers.filter((other) => other !== timer));
      },
      onSlowed: (clientId) => this.slowed.push(clientId),
      onFlood: (speaker) => speaker.cut(),
    });
  }

  join(clientId: string, waiting = 0, rememberedAs = clientId): Chatter {
    const speaker = new Chatter(this, waiting);
    this.speakers.push(speaker);
    this.turns.join(speaker, clientId, rememberedAs);
    return speaker;
  }

  /** Time passes and nothing is read. */
  pass(ms: number): void {
    this.now += ms;
    for (const timer of this.timers.filter(({ at }) => at <= this.now)) {
      this.timers.splice(this.timers.indexOf(timer), 1);
      timer.task();
    }
  }

  /** One commit: what is pending is stored. Rounds begin and end with the turns of the event loop. */
  async commit(): Promise<void> {
    await eventTurns(6);
    const stored = [...this.reading];
    this.reading.clear();
    for (const speaker of stored) speaker.store();
    await eventTurns(6);
  }
}

test('a client that says little is read from at once, however many others wait for their turn', async () => {
  const house = new House();
  const flooders = Array.from({ length: 30 }, (_, index) => house.join(`flood-${index}`, 10_000));
  const quiet = house.join('sensor');
  for (const flooder of flooders) flooder.resume();
  for (let commit = 0; commit < 20; commit += 1) {
    await house.commit();
    house.pass(1);
    quiet.waiting = commit % 5 === 0 ? 1 : 0;
    quiet.resume();
    expect(quiet.waiting).toBe(0);
  }
});

test('no commit holds more than a handful of packets of busy clients while a quiet one is there', async () => {
  const house = new House();
  const flooders = Array.from({ length: 30 }, (_, index) => house.join(`flood-${index}`, 1_000));
  house.join('sensor');
  for (const flooder of flooders) flooder.resume();
  // Their credit.
  for (let commit = 0; commit < 5; commit += 1) await house.commit();
  let most = 0;
  for (let round = 0; round < 50; round += 1) {
    const before = flooders.reduce((sum, { read }) => sum + read, 0);
    await house.commit();
    house.pass(1);
    most = Math.max(most, flooders.reduce((sum, { read }) => sum + read, 0) - before);
  }
  expect(most).toBeGreaterThan(0);
  expect(most).toBeLessThanOrEqual(64);
});

test('where each packet is much work, a round holds fewer of them, and more again when it is little', async () => {
  const house = new House();
  const flooder = house.join('flood', 10_000);
  house.join('sensor');
  const roundOf = async (workOfPacketMs: number): Promise<number> => {
    const before = flooder.read;
    await eventTurns(6);
    const packets = flooder.read - before;
    // What a round makes is done when it is stored and forwarded.
    house.workMs += packets * workOfPacketMs;
    await house.commit();
    house.pass(1_000 / 20);
    return packets;
  };
  flooder.resume();
  await house.commit();
  for (let round = 0; round < 10; round += 1) await roundOf(10);
  expect(await roundOf(10)).toBe(1);
  for (let round = 0; round < 10; round += 1) await roundOf(0);
  expect(await roundOf(0)).toBeGreaterThan(30);
});

test('busy clients come in turn: all of them get on, and equally', async () => {
  const house = new House();
  const flooders = Array.from({ length: 30 }, (_, index) => house.join(`flood-${index}`, 10_000));
  house.join('sensor');
  for (const flooder of flooders) flooder.resume();
  // Their credit.
  for (let round = 0; round < 100; round += 1) await house.commit();
  const before = flooders.map(({ read }) => read);
  for (let round = 0; round < 100; round += 1) {
    await house.commit();
    house.pass(1);
  }
  const counts = flooders.map(({ read }, index) => read - (before[index] ?? 0));
  expect(Math.min(...counts)).toBeGreaterThan(100);
  expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(8);
});

test('where everybody is busy nobody waits for a turn', async () => {
  const house = new House({ messagesPerSecond: 10_000 });
  const flooders = Array.from({ length: 5 }, (_, index) => house.join(`flood-${index}`, 1_000));
  for (const flooder of flooders) flooder.resume();
  for (let commit = 0; commit < 15; commit += 1) await house.commit();
  expect(flooders.map(({ waiting }) => waiting)).toEqual([0, 0, 0, 0, 0]);
});

test('a client that was busy is quiet again after a while', async () => {
  const house = new House();
  const gateway = house.join('gateway', 60);
  const flooder = house.join('flood', 1_000);
  house.join('sensor');
  for (const speaker of [gateway, flooder]) speaker.resume();
  for (let commit = 0; commit < 10; commit += 1) {
    await house.commit();
    house.pass(1);
  }
  expect(gateway.waiting).toBe(0);
  house.pass(2_000);
  gateway.waiting = 20;
  gateway.resume();
  expect(gateway.waiting).toBe(0);
});

test('a client above its rate is read from at that rate, and told of once', () => {
  const house = new House();
  const flooder = house.join('flood', 1_000_000);
  const tick = (): void => {
    flooder.store();
    house.pass(1);
  };
  flooder.resume();
  for (let time = 0; time < 5_000; time += 1) tick();
  const before = flooder.read;
  for (let time = 0; time < 10_000; time += 1) tick();
  // Ten seconds.
  expect(flooder.read - before).toBeGreaterThan(900);
  expect(flooder.read - before).toBeLessThan(1_100);
  expect(house.slowed).toEqual(['flood']);
  expect(flooder.isCut).toBe(false);
});

test('a client that stays above its rate is disconnected, one that paused is not', async () => {
  const house = new House();
  const flooder = house.join('flood', 1_000_000);
  const pausing = house.join('pausing', 5_000);
  for (const speaker of [flooder, pausing]) speaker.resume();
  for (let time = 0; time < 100_000 && !flooder.isCut; time += 10) {
    await house.commit();
    house.pass(10);
    if (time !== 50_000) continue;
    pausing.waiting = 5_000;
    pausing.resume();
  }
  expect(flooder.isCut).toBe(true);
  expect(house.now).toBeGreaterThanOrEqual(limits.floodTimeoutMs);
  expect(pausing.isCut).toBe(false);
});

test('coming back does not renew the credit', () => {
  const house = new House();
  const first = house.join('storm', 5_000);
  first.resume();
  for (let time = 0; time < 200 && first.waiting > 0; time += 1) first.store();
  const readAtOnce = first.read;
  first.cut();
  const second = house.join('storm', 5_000);
  second.resume();
  for (let time = 0; time < 200; time += 1) second.store();
  expect(readAtOnce).toBe(2_000);
  expect(second.read).toBe(0);
  expect(house.slowed).toEqual(['storm']);
});

test('who has just come is read from at once as far as a reading or two, and waits its turn with more', () => {
  const house = new House();
  house.join('sensor');
  const newcomer = house.join('gateway', 50);
  newcomer.resume();
  expect(newcomer.read).toBe(4);
});

test('who comes beside another one under the same name begins with what is left to that one', () => {
  const house = new House();
  const come = (name: string): Chatter => {
    const chatter = house.join('', 5_000, name);
    chatter.resume();
    for (let time = 0; time < 200 && chatter.pending > 0; time += 1) chatter.store();
    return chatter;
  };
  const first = come('as mad');
  expect(first.read).toBe(2_000);
  const second = come('as mad');
  expect(second.read).toBe(0);
  first.cut();
  second.cut();
  expect(come('as mad').read).toBe(0);
  expect(come('as door').read).toBeGreaterThan(0);
});

test('those who come under one name share what newcomers may say at once', () => {
  const house = new House();
  house.join('sensor');
  const come = (name: string): number => {
    const newcomer = house.join('', 50, name);
    newcomer.resume();
    return newcomer.read;
  };
  const mad = Array.from({ length: 100 }, () => come('as mad'));
  expect(mad.reduce((sum, read) => sum + read, 0)).toBe(50);
  expect(come('as door')).toBe(4);
  house.now += 1_000;
  expect(come('as mad')).toBe(4);
});

test('when half of what may wait is waiting, each client gets one more publish in, and no more', () => {
  const house = new House({ pendingReadings: 200 });
  const first = house.join('a', 1_000);
  house.now += 10_000;
  first.resume();
  expect(first.pending).toBe(50);
  first.store();
  first.waiting = 0;
  expect(first.pending).toBe(100);
  const third = house.join('c', 1_000);
  third.resume();
  third.resume();
  expect(third.pending).toBe(1);
});

test('hundreds of flooders do not close the door to a sensor', async () => {
  const { broker, inlet, port } = await setup({ limits: { pendingReadings: 300 } });
  inlet.isHolding = true;
  const packets = Array.from({ length: 50 }, (_, index) =>
    publishPacket('a', 'x', { qos: 1, messageId: index + 1 }),
  );
  for (let index = 0; index < 40; index += 1) {
    const flooder = await RawClient.connected(port, `flood-${index}`);
    flooder.send(...packets);
  }
  await eventTurns(50);
  expect(broker.pending).toBeLessThan(300);
  const sensor = await RawClient.connected(port, 'sensor');
  sensor.send(publishPacket('door', 'open', { qos: 1, messageId: 1 }));
  inlet.letGo();
  await sensor.next('puback');
  expect(broker.counters.refusedPublishes.overload).toBe(0);
});

test('a flooding client that keeps on is cut off, and its readings up to there are acknowledged', async () => {
  const { broker, port, logged } = await setup({ limits: { messagesPerSecond: 10, floodTimeoutMs: 100 } });
  const flooder = await RawClient.connected(port, 'flood');
  for (let messageId = 1; messageId <= 2_000; messageId += 1) {
    flooder.send(publishPacket('a', 'x', { qos: 1, messageId }));
  }
  await flooder.closed;
  expect(broker.counters.flooded).toBe(1);
  expect(broker.counters.slowed).toBe(1);
  expect(logged.filter(({ level }) => level === 'warn')).toHaveLength(2);
  const acknowledged = flooder.received.filter(({ cmd }) => cmd === 'puback');
  expect(acknowledged.length).toBeGreaterThan(150);
  expect(acknowledged.length).toBeLessThan(250);
  const honest = await connectMqtt(port);
  await honest.publishAsync('a', 'x', { qos: 1 });
});

test('all that a client said before it left is read, though it is read in turns', async () => {
  const { inlet, port } = await setup();
  await RawClient.connected(port, 'sensor');
  const hasty = await RawClient.connected(port, 'hasty');
  const packets = Array.from({ length: 1_000 }, (_, index) => publishPacket('a', String(index)));
  hasty.send(...packets);
  hasty.socket.end();
  await inlet.taken(1_000);
  expect(inlet.payloads).toEqual(packets.map((_, index) => String(index)));
  await hasty.closed;
});
