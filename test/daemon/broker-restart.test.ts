/**
 * The daemon killed without warning while its broker is in the middle of everything: what it acknowledged to
 * publishers reaches a subscriber that was away, with QoS 2 once, and what was retained is there.
 */
import { connectAsync, type MqttClient } from 'mqtt';
import { expect, onTestFinished, test } from 'vitest';
import { Sandbox } from '../../src/sandbox/sandbox.ts';
import { publishPacket, RawClient } from '../broker/setup.ts';
import { Daemon, eventually, type DaemonOptions } from '../support/daemon.ts';
import { temporaryFolder } from '../support/folder.ts';
import { freePort } from '../support/port.ts';

const YAML = `attributes:
  opens: { label: Opens, type: integer, mode: shared }
mappings:
  - { topic: "news/counted", attribute: opens, count: { each: any } }
`;

/** A daemon that comes back on the port it had. */
class Mortal {
  private back = Promise.resolve();

  private constructor(
    private readonly options: DaemonOptions,
    private daemon: Daemon,
    readonly url: string,
  ) {}

  static async start(): Promise<Mortal> {
    const sandbox = new Sandbox({ timezone: 'UTC', callsPerHour: 100_000 });
    const { url: existUrl } = await sandbox.start();
    const listen = `mqtt://127.0.0.1:${await freePort()}`;
    const options = { folder: temporaryFolder(), existUrl, yaml: YAML, listen };
    const mortal = new Mortal(options, await Daemon.start(options), listen);
    onTestFinished(async () => {
      await mortal.daemon.kill();
      await sandbox.stop();
    });
    return mortal;
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }

  /** One after the other: it answers again before it says here that it is back. */
  dieAndComeBack(): Promise<void> {
    this.back = this.back.then(async () => {
      await this.daemon.kill();
      this.daemon = await Daemon.start(this.options);
    });
    return this.back;
  }

  /** Comes back by itself, as long as the test lasts. */
  async subscriber(clientId: string): Promise<MqttClient> {
    const client = await connectAsync(this.url, {
      clientId,
      clean: false,
      protocolVersion: 4,
      reconnectPeriod: 50,
    });
    client.on('error', () => undefined);
    onTestFinished(() => client.endAsync(true));
    return client;
  }
}

interface Outgoing {
  readonly topic: string;
  readonly payload: string;
  readonly qos: 1 | 2;
  isReceived: boolean;
}

/**
 * A publisher as the protocol wants it: sends again, with DUP, under the same packet ids, what was not acknowledged.
 * (The library of the subscribers leaves the DUP flag out.)
 */
class Publisher {
  private readonly outgoing = new Map<number, Outgoing>();
  private readonly sent = new Set<number>();
  private lastId = 0;
  onAnswer: () => void = () => undefined;

  constructor(private readonly port: number) {}

  add(topic: string, payload: string, qos: 1 | 2): void {
    this.lastId += 1;
    this.outgoing.set(this.lastId, { topic, payload, qos, isReceived: false });
  }

  /** Resolves when all is acknowledged, however often the broker goes. */
  async deliver(): Promise<void> {
    while (this.outgoing.size > 0) {
      const client = await eventually(
        () => RawClient.connected(this.port, 'publisher', false).catch(() => undefined),
        (connected) => connected !== undefined,
      );
      if (client) await this.exchange(client).catch(() => undefined);
    }
  }

  private async exchange(client: RawClient): Promise<void> {
    for (const [messageId, { topic, payload, qos, isReceived }] of this.outgoing) {
      const dup = this.sent.has(messageId);
      this.sent.add(messageId);
      if (isReceived) client.send({ cmd: 'pubrel', messageId });
      else client.send(publishPacket(topic, payload, { qos, messageId, dup }));
    }
    const answers = async (cmd: 'puback' | 'pubcomp'): Promise<void> => {
      for (;;) {
        const { messageId = 0 } = await client.next(cmd);
        this.outgoing.delete(messageId);
        this.onAnswer();
      }
    };
    const releases = async (): Promise<void> => {
      for (;;) {
        const { messageId = 0 } = await client.next('pubrec');
        const message = this.outgoing.get(messageId);
        if (message) message.isReceived = true;
        this.onAnswer();
        client.send({ cmd: 'pubrel', messageId });
      }
    };
    const finished = eventually(
      () => Promise.resolve(this.outgoing.size),
      (left) => left === 0,
    );
    await Promise.race([answers('puback'), answers('pubcomp'), releases(), finished]);
    client.socket.destroy();
  }
}

test('what is acknowledged survives kill -9: queues, packet ids, retained messages', async () => {
  const mortal = await Mortal.start();
  const away = await mortal.subscriber('panel');
  await away.subscribeAsync('news/#', { qos: 2 });
  await away.publishAsync('news/state', 'on', { qos: 1, retain: true });
  await away.endAsync();

  const publisher = new Publisher(mortal.port);
  const numbers = Array.from({ length: 60 }, (_, n) => n);
  for (const n of numbers) {
    publisher.add(n % 3 === 0 ? 'news/counted' : 'news/other', `${n}`, n % 2 === 0 ? 2 : 1);
  }
  const deaths: Promise<void>[] = [];
  let answers = 0;
  publisher.onAnswer = () => {
    answers += 1;
    // In the middle of the first answers, and of what is sent again.
    if (answers === 7 || answers === 45) deaths.push(mortal.dieAndComeBack());
  };
  await publisher.deliver();
  await Promise.all(deaths);
  await mortal.dieAndComeBack();
  publisher.add('news/end', 'end', 2);
  await publisher.deliver();

  const panel = await mortal.subscriber('panel');
  const received: string[] = [];
  await new Promise<void>((resolve) => {
    panel.on('message', (_topic, payload) => {
      received.push(payload.toString());
      if (received.length === 10) deaths.push(mortal.dieAndComeBack());
      if (payload.toString() === 'end') resolve();
    });
  });
  await Promise.all(deaths);
  const times = (n: number): number => received.filter((payload) => payload === `${n}`).length;
  expect(numbers.filter((n) => times(n) === 0)).toEqual([]);
  expect(numbers.filter((n) => n % 2 === 0 && times(n) !== 1)).toEqual([]);

  const late = await mortal.subscriber('late');
  const state = new Promise((resolve) => {
    late.on('message', (_topic, payload) => resolve(payload.toString()));
  });
  await late.subscribeAsync('news/state', { qos: 1 });
  expect(await state).toBe('on');
});
