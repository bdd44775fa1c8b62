/** The built daemon with a Mosquitto as its only source. */
import { execFile, spawn, spawnSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { connect, connectAsync, type IConnackPacket } from 'mqtt';
import { request } from 'undici';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Sandbox } from '../../src/sandbox/sandbox.ts';
import { CERTIFICATE, KEY } from '../exist/self-signed.ts';
import { COMMAND, Daemon, eventually, writeConfig, type DaemonOptions } from '../support/daemon.ts';
import { temporaryFolder } from '../support/folder.ts';
import { Mosquitto, NO_MOSQUITTO } from '../support/mosquitto.ts';
import { skipped } from '../support/skip.ts';

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
  const start = async (changed: Partial<DaemonOptions> = {}): Promise<Daemon> => {
    const daemon = await Daemon.start({ ...options, ...changed });
    daemons.push(daemon);
    return daemon;
  };
  const value = (label: string): number =>
    Object.values(
      sandbox.state().attributes.find((each) => each.label === label)?.values ?? {},
    ).reduce<number>((sum, each) => sum + Number(each), 0);
  return { mosquitto, client, start, value, options, url };
}

describe.skipIf(NO_MOSQUITTO)(`with Mosquitto as the only broker${skipped(NO_MOSQUITTO)}`, () => {
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

  test('topics and watch look at what no mapping names, and nothing of it is a reading', async () => {
    const { client, start, options, mosquitto } = await setup();
    await client.publishAsync('attic/lamp', 'on', { qos: 1, retain: true });
    const daemon = await start();
    await mosquitto.line(/home\/\+\/door \(QoS 2\)/);
    const config = writeConfig({ ...options, web: new URL(daemon.webUrl).host });
    const watching = spawn(process.execPath, [COMMAND, 'watch', '-c', config]);
    onTestFinished(() => void watching.kill('SIGKILL'));
    const lines = createInterface({ input: watching.stdout })[Symbol.asyncIterator]();
    const next = async (): Promise<unknown> => (await lines.next()).value;
    expect(await next()).toMatch(/attic\/lamp {2}on \(retained\) {2}→ unmapped {2}\(connection home\)$/);
    await client.publishAsync('home/button', 'press', { qos: 1 });
    await client.publishAsync('attic/lamp', 'off', { qos: 1 });
    // Once each, though the button comes by the session and by the look.
    const both = [await next(), await next()].map((line) => String(line).slice(10)).toSorted();
    expect(both[0]).toMatch(/^attic\/lamp {2}off {2}→ unmapped/);
    expect(both[1]).toMatch(/^home\/button {2}press {2}→ presses \+1/);
    const closed = mosquitto.line(/Client mqtt2exist-\w+-w1 disconnected/);
    watching.kill('SIGINT');
    await closed;
    const topics = ['topics', 'attic/#', '--look', '1', '-c', config];
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [COMMAND, ...topics]);
    expect(stdout).toMatch(/^attic\/lamp\n.*\n.*, \d while it was looked at, from connection home\n/);
    expect(stdout).not.toContain('home/button');
    expect(stderr).toBe('looking at home for 1 s …\n');
    const { readings, connections } = await daemon.status();
    expect(readings).toMatchObject({ accepted: 1, ignored: 0 });
    expect(connections[0]?.messages).toBe(1);
    // Without the header that pages of other sites cannot send, nothing is looked at.
    const before = mosquitto.lines.length;
    const stream = await request(`${daemon.webUrl}/api/watch`);
    await client.publishAsync('attic/lamp', 'on', { qos: 1 });
    expect(mosquitto.lines.slice(before).some((line) => line.includes('-w1'))).toBe(false);
    stream.body.destroy();
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

  test('a connection that is taken out while the daemon is down keeps no session there', async () => {
    const { mosquitto, client, start, url } = await setup();
    const first = await start();
    await mosquitto.line(/home\/button \(QoS 2\)/);
    const [clientId = ''] = /mqtt2exist-[0-9a-f]+/.exec(await mosquitto.line(/as mqtt2exist-/)) ?? [];
    await first.stop();
    await client.publishAsync('home/button', 'press', { qos: 1 });
    const without = { listen: 'mqtt://127.0.0.1:0', yaml: MAPPINGS };
    const second = await start(without);
    await second.line(({ msg }) => String(msg).includes('keeps no session for us'));
    expect(await second.stop()).toBe(0);
    const again = connect(url, { clientId, clean: false, reconnectPeriod: 0 });
    const connack = await new Promise<IConnackPacket>((resolve) => again.once('connect', resolve));
    await again.endAsync();
    expect(connack.sessionPresent).toBe(false);
    const third = await start(without);
    await third.stop();
    expect(third.lines.join('\n')).not.toContain(url);
  });

  test('another URL of the same broker while the daemon is down loses no press and leaves no filter', async () => {
    const { mosquitto, client, start, value } = await setup();
    const first = await start();
    await mosquitto.line(/home\/\+\/door \(QoS 2\)/);
    await first.stop();
    for (let n = 0; n < 5; n += 1) await client.publishAsync('home/button', 'press', { qos: 2 });
    const websocket = `ws://127.0.0.1:${mosquitto.websocketPort}/`;
    const yaml = `connections: [{ name: home, url: "${websocket}" }]\n${MAPPINGS.replace(/.*door.*\n/, '')}`;
    await start({ yaml });
    await mosquitto.line(/Received UNSUBSCRIBE/);
    await eventually(
      () => Promise.resolve(value('presses')),
      (stands) => stands === 5,
    );
  });
});

/** A Mosquitto that speaks TLS only, and wants to see our certificate. */
async function secured() {
  const folder = temporaryFolder();
  const at = (name: string): string => path.join(folder, name);
  writeFileSync(at('cert.pem'), CERTIFICATE);
  writeFileSync(at('key.pem'), KEY);
  const files = [`certfile ${at('cert.pem')}`, `keyfile ${at('key.pem')}`, `cafile ${at('cert.pem')}`];
  const mosquitto = await Mosquitto.start(folder, [], [...files, 'require_certificate true']);
  const sandbox = new Sandbox({ timezone: 'UTC' });
  const { url: existUrl } = await sandbox.start();
  const url = `mqtts://127.0.0.1:${mosquitto.port}`;
  const tls = 'tls: { ca: ca.pem, cert: ours.pem, key: ours.key }';
  const options: DaemonOptions = {
    folder: temporaryFolder(),
    existUrl,
    listen: false,
    yaml: `connections: [{ name: home, url: "${url}", ${tls} }]\n${MAPPINGS}`,
  };
  const put = (name: 'ca.pem' | 'ours.pem' | 'ours.key', content: string): void => {
    writeFileSync(path.join(options.folder, name), content);
  };
  put('ca.pem', CERTIFICATE);
  put('ours.pem', CERTIFICATE);
  put('ours.key', KEY);
  let daemon: Daemon | undefined;
  onTestFinished(async () => {
    await daemon?.kill();
    await sandbox.stop();
    await mosquitto.kill();
  });
  const start = async (): Promise<Daemon> => (daemon = await Daemon.start(options));
  /** A command, on the configuration that the daemon has. */
  const ran = (command: 'check' | 'run') => {
    const config = path.join(options.folder, 'mqtt2exist.yaml');
    const { status, stderr } = spawnSync(process.execPath, [COMMAND, command, '-c', config]);
    return { code: status, stderr: stderr.toString() };
  };
  return { mosquitto, put, start, ran };
}

describe.skipIf(NO_MOSQUITTO)(`with a Mosquitto that speaks TLS${skipped(NO_MOSQUITTO)}`, () => {
  test('a file of tls that goes bad does not end the daemon, and is told by check, run and SIGHUP', async () => {
    const { mosquitto, put, start, ran } = await secured();
    const daemon = await start();
    const state = (fits: string) =>
      eventually(
        () => daemon.status(),
        ({ connections }) => connections[0]?.state === fits,
      );
    await state('connected');
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    put('ours.key', privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
    daemon.signal('SIGHUP');
    await daemon.line(({ msg }) => String(msg).includes('the configuration stays as it was'));
    const complaint =
      /mqtt2exist\.yaml:7:\d+: connections\[0\]\.tls\.key: it is not the key of cert; name the key/;
    expect(daemon.lines.join('\n')).toMatch(complaint);
    // What was read before still serves.
    await mosquitto.kill();
    await state('down');
    await mosquitto.restart();
    await state('connected');
    for (const command of ['check', 'run'] as const) {
      expect(ran(command)).toMatchObject({ code: 78, stderr: expect.stringMatching(complaint) });
    }
    put('ours.key', KEY);
    expect(ran('check')).toEqual({ code: 0, stderr: '' });
    daemon.signal('SIGHUP');
    await daemon.line(({ msg }) => String(msg).includes('read again'));
    await state('connected');
    expect(await daemon.stop()).toBe(0);
  });
});
