/** The built daemon with a Mosquitto as its only source. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { connectAsync } from 'mqtt';
import { request } from 'undici';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Sandbox } from '../../src/sandbox/sandbox.ts';
import { COMMAND, Daemon, eventually, writeConfig, type DaemonOptions } from '../support/daemon.ts';
import { temporaryFolder } from '../support/folder.ts';
import { Mosquitto, NO_MOSQUITTO } from '../support/mosquitto.ts';

const MAPPINGS = `attributes:
  presses: { label: presses, type: integer }
  opens: { label: opens, type: integer }
mappings:
  - { topic: home/button, attribute: presses, count: { each: any } }
  - { topic: home/+/door, attribute: opens, count: { when: open } }
`;

async function setup() {
  const mosquitto = await Mosquitto.start(temporaryFolder(), ['max_queued_messages 0']);
  const sandbox = new Sandbox({ timezone: 'UTC', callsPerHour: 100_000 });
  const { url: existUrl } = await sandbox.start();
  const url = `mqtt://127.0.0.1:${mosquitto.port}`;
  const client = await connectAsync(url, { reconnectPeriod: 0 });
  client.on('error', () => undefined);
  const daemons: Daemon[] = [];
  onTestFinished(async () => {
    await client.endAsync(true);
    for (const daemon of daemons) await daemon.kill();
    await sandbox.stop();
    await mosquitto.kill();
  });
  const options: DaemonOptions = {
    folder: temporaryFolder(),
    existUrl,
    listen: false,
    yaml: `connections: [{ name: home, url: "${url}" }]\n${MAPPINGS}`,
  };
  const start = async (): Promise<Daemon> => {
    const daemon = await Daemon.start(options);
    daemons.push(daemon);
    return daemon;
  };
  const value = (label: string): number =>
    Object.values(
      sandbox.state().attributes.find((each) => each.label === label)?.values ?? {},
    ).reduce<number>((sum, each) => sum + Number(each), 0);
  return { mosquitto, client, start, value, options, url };
}

describe.skipIf(NO_MOSQUITTO !== undefined)('with Mosquitto as the only broker', () => {
  test(
    'killed again and again in mid-traffic, the daemon counts every press once',
    { timeout: 60_000 },
    async () => {
      const { mosquitto, client, start, value } = await setup();
      let daemon = await start();
      await mosquitto.line(/home\/button \(QoS 2\)/);
      let presses = 0;
      const over = new AbortController();
      const pressing = (async () => {
        // One after the other: Mosquitto drops what a publisher sends beyond its window.
        for (; !over.signal.aborted; presses += 1) {
          await client.publishAsync('home/button', 'press', { qos: presses % 2 ? 1 : 2 });
          // Hundreds while the daemon is away, not tens of thousands.
          await new Promise((resolve) => setTimeout(resolve, 1));
        }
      })();
      for (let round = 0; round < 5; round += 1) {
        // Somewhere in the middle of what waits.
        await eventually(
          () => daemon.status(),
          ({ connections }) => (connections[0]?.messages ?? 0) > 5 + round * 7,
        );
        await daemon.kill();
        daemon = await start();
      }
      over.abort();
      await pressing;
      await eventually(
        () => Promise.resolve(value('presses')),
        (stands) => stands >= presses,
        30_000,
      );
      const { readings } = await daemon.status();
      expect(value('presses')).toBe(presses);
      expect(readings.accepted).toBe(presses);
    },
  );

  test('what is retained sets the state, and what changes then counts', async () => {
    const { client, start, value, mosquitto } = await setup();
    await client.publishAsync('home/fridge/door', 'closed', { qos: 1, retain: true });
    await client.publishAsync('home/button', 'press', { qos: 1, retain: true });
    const daemon = await start();
    await mosquitto.line(/home\/\+\/door \(QoS 2\)/);
    await eventually(
      () => daemon.status(),
      ({ connections }) => connections[0]?.messages === 2,
    );
    await client.publishAsync('home/fridge/door', 'open', { qos: 1, retain: true });
    await eventually(
      () => Promise.resolve(value('opens')),
      (stands) => stands === 1,
    );
    expect(value('presses')).toBe(0);
  });

  test('its connection, its outage and its last will are shown', async () => {
    const { mosquitto, client, start, options, url } = await setup();
    const daemon = await start();
    await eventually(
      () => daemon.status(),
      ({ connections }) => connections[0]?.state === 'connected',
    );
    const told: string[] = [];
    client.on('message', (topic, payload) => {
      if (topic.endsWith('/availability')) told.push(payload.toString());
    });
    await client.subscribeAsync('mqtt2exist/+/availability', { qos: 1 });
    await eventually(
      () => Promise.resolve(told),
      ([first]) => first === 'online',
    );
    const config = writeConfig({ ...options, web: new URL(daemon.webUrl).host });
    const { stdout } = await promisify(execFile)(process.execPath, [COMMAND, 'status', '-c', config]);
    expect(stdout).toContain(`source    home at ${url}: connected since `);
    const metrics = await (await request(`${daemon.webUrl}/metrics`)).body.text();
    expect(metrics).toContain('mqtt2exist_connection_up{name="home"} 1');
    await daemon.kill();
    await eventually(
      () => Promise.resolve(told),
      ({ length }) => length === 2,
    );
    expect(told).toEqual(['online', 'offline']);
    await mosquitto.kill();
    const again = await start();
    await again.line(({ msg }) => String(msg).includes('nothing listens there'));
    const [connection] = (await again.status()).connections;
    expect(connection).toMatchObject({
      name: 'home',
      url,
      state: 'down',
      last_error: 'nothing listens there',
    });
    expect(await again.stop()).toBe(0);
  });

  test('a reload changes what is subscribed, and takes the connection out', async () => {
    const { mosquitto, start, options, url } = await setup();
    const daemon = await start();
    await mosquitto.line(/home\/button \(QoS 2\)/);
    const other = `${MAPPINGS}  - { topic: garden/tap, attribute: opens, count: { when: open } }\n`;
    const web = new URL(daemon.webUrl).host;
    writeConfig({ ...options, web, yaml: `connections: [{ name: home, url: "${url}" }]\n${other}` });
    daemon.signal('SIGHUP');
    await mosquitto.line(/garden\/tap \(QoS 2\)/);
    writeConfig({ ...options, web, listen: 'mqtt://127.0.0.1:0', yaml: other });
    daemon.signal('SIGHUP');
    await mosquitto.line(/Received UNSUBSCRIBE/);
    await eventually(
      () => daemon.status(),
      ({ connections }) => connections.length === 0,
    );
    expect(await daemon.stop()).toBe(0);
  });
});
