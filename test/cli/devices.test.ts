import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { connectAsync, type IClientOptions, type MqttClient } from 'mqtt';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { DevicesStatus } from '../../src/core/device-status.ts';
import { Sandbox } from '../../src/sandbox/sandbox.ts';
import { COMMAND, Daemon, writeConfig, type DaemonOptions } from '../support/daemon.ts';
import { temporaryFolder } from '../support/folder.ts';

const YAML = `attributes:
  opens: { label: opens, type: integer, mode: shared }
mappings:
  - { topic: kitchen/fridge/door, attribute: opens, count: { when: open } }
  - { topic: kitchen/fridge/litres, attribute: opens, add: {} }
`;

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function mqtt2exist(args: readonly string[], input = ''): Promise<Ran> {
  const child = spawn(process.execPath, [COMMAND, ...args], { stdio: 'pipe' });
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
  child.stdin.end(input);
  await once(child, 'close');
  const text = (chunks: Buffer[]): string => Buffer.concat(chunks).toString();
  return { code: child.exitCode ?? -1, out: text(out), err: text(err) };
}

/** A configuration; nothing runs. */
function configured(more: Partial<DaemonOptions> = {}) {
  const folder = temporaryFolder();
  const options: DaemonOptions = { folder, existUrl: 'http://127.0.0.1:1', yaml: YAML, ...more };
  const config = writeConfig(options);
  const file = path.join(folder, 'mqtt2exist.devices.json');
  const devices = (...args: readonly string[]): Promise<Ran> =>
    mqtt2exist(['devices', ...args, '-c', config]);
  return { options, config, file, devices };
}

async function passwordOf(ran: Promise<Ran>): Promise<string> {
  const { code, out, err } = await ran;
  if (code !== 0) throw new Error(err);
  return (JSON.parse(out) as { password: string }).password;
}

/** A daemon that runs, with commands that find it. */
async function running(more: Partial<DaemonOptions> = {}) {
  const sandbox = new Sandbox({ timezone: 'UTC', callsPerHour: 100_000 });
  const { url: existUrl } = await sandbox.start();
  const set = configured({ existUrl, ...more });
  const daemon = await Daemon.start(set.options);
  // The commands find the daemon by its configuration, which must name the port that was chosen.
  writeConfig({ ...set.options, web: new URL(daemon.webUrl).host });
  onTestFinished(async () => {
    await daemon.kill();
    await sandbox.stop();
  });
  const connect = async (options: IClientOptions): Promise<MqttClient> => {
    const url = daemon.brokerUrl.replace('0.0.0.0', '127.0.0.1');
    const client = await connectAsync(url, { protocolVersion: 4, reconnectPeriod: 0, ...options });
    client.on('error', () => undefined);
    onTestFinished(() => client.endAsync(true));
    return client;
  };
  const listed = async (): Promise<DevicesStatus['devices']> =>
    JSON.parse((await set.devices('list', '--json')).out) as DevicesStatus['devices'];
  return { ...set, daemon, connect, listed };
}

const gone = (client: MqttClient): Promise<void> =>
  new Promise((resolve) => {
    client.once('close', () => resolve());
  });

describe('a listener that is open to the network', () => {
  test('without an account: the daemon does not start and says what to do, as check does', async () => {
    const { config } = configured({ listen: 'mqtt://0.0.0.0:0' });
    for (const command of ['check', 'run']) {
      const { code, err } = await mqtt2exist([command, '-c', config]);
      expect(code).toBe(78);
      expect(err).toContain('broker.listen[0]: is open to the network, and nobody has an account');
      expect(err).toContain('mqtt2exist devices add NAME');
    }
  });

  test('with one: it starts, and only who has it comes in', async () => {
    const { devices, options } = configured({ listen: 'mqtt://0.0.0.0:0' });
    const password = await passwordOf(devices('add', 'fridge', '--json'));
    const daemon = await Daemon.start(options);
    onTestFinished(() => daemon.kill());
    const url = daemon.brokerUrl.replace('0.0.0.0', '127.0.0.1');
    const stranger = connectAsync(url, { protocolVersion: 4, reconnectPeriod: 0 });
    await expect(stranger).rejects.toThrow('Not authorized');
    const client = await connectAsync(url, { protocolVersion: 4, username: 'fridge', password });
    await client.endAsync(true);
  });
});

describe('devices add', () => {
  test('prints the password once, with settings ready to paste, and keeps only its hash', async () => {
    const { devices, file } = configured();
    const { code, out, err } = await devices('add', 'fridge', '--topic', 'kitchen/fridge/#', 'x/y');
    expect(code).toBe(0);
    const [password = ''] = /^ {2}([A-Za-z0-9]{21})$/m.exec(out)?.slice(1) ?? [];
    expect(password).not.toBe('');
    for (const kind of ['ESPHome', 'Tasmota', 'espMqttClient', 'MicroPython', 'Shelly', 'Zigbee2MQTT']) {
      expect(out).toContain(kind);
    }
    expect(out).toContain(`-u fridge -P ${password}`);
    expect(err).toContain('the broker listens on this machine alone');
    const stored = readFileSync(file, 'utf8');
    expect(stored).not.toContain(password);
    expect(JSON.parse(stored)).toMatchObject({
      devices: [
        { name: 'fridge', publish: ['kitchen/fridge/#', 'x/y'], subscribe: ['kitchen/fridge/#', 'x/y'] },
      ],
    });
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  test('grants nothing but the name’s own topics where none are named, and only publishing where told', async () => {
    const { devices, file } = configured();
    await devices('add', 'fridge', '--publish-only', '--client-id', 'esp-1');
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({
      devices: [{ publish: ['fridge/#'], subscribe: [], client_id: 'esp-1' }],
    });
  });

  test.each([
    [['a/b'], 'a name is 1 to 64 letters'],
    [['__proto__'], 'a name is 1 to 64 letters'],
    [['x', '--topic', 'a/#/b'], 'a/#/b: # must stand alone'],
    [['x', '--for', 'toaster'], 'no settings are known for toaster'],
    [['x', '--client-id', ''], 'the client identifier is empty'],
  ])('%j is refused with a reason, and nothing is written', async (args, reason) => {
    const { devices, file } = configured();
    expect(await devices('add', ...args)).toMatchObject({ code: 64, err: expect.stringContaining(reason) });
    expect(existsSync(file)).toBe(false);
  });

  test('refuses a name, or client identifier, that somebody has already', async () => {
    const hash = `$6$ewP/VtSgLQz3ARWs$${'A'.repeat(86)}==`;
    const users = `, users: { oven: { password_hash: "${hash}", client_id: esp-2 } }`;
    const { devices } = configured({ broker: users });
    await devices('add', 'fridge', '--client-id', 'esp-1');
    expect((await devices('add', 'fridge')).err).toContain('there is a device fridge already');
    expect((await devices('add', 'oven')).err).toContain('the configuration has a user oven already');
    expect((await devices('add', 'x', '--client-id', 'esp-1')).err).toContain('belongs to fridge already');
    expect((await devices('add', 'x', '--client-id', 'esp-2')).err).toContain('belongs to the user oven');
  });

  test('without a configuration has nothing to stand beside', async () => {
    const missing = path.join(temporaryFolder(), 'no.yaml');
    const ran = await mqtt2exist(['devices', 'add', 'fridge', '-c', missing]);
    expect(ran).toMatchObject({ code: 78, err: expect.stringContaining('there is no configuration') });
  });
});

describe('a running daemon', () => {
  test('takes a new device, lets it publish what it may, and tells what was seen of it', async () => {
    const { devices, connect, listed, daemon, config } = await running();
    const anonymous = await connect({});
    const left = gone(anonymous);
    const ran = devices('add', 'fridge', '--topic', 'kitchen/fridge/#', '--json');
    const password = await passwordOf(ran);
    expect((await ran).err).toContain('the running daemon has taken it');
    // From the first account on nobody comes in without one.
    await left;
    await expect(connect({})).rejects.toThrow('Not authorized');

    const fridge = await connect({ username: 'fridge', password });
    await fridge.publishAsync('kitchen/fridge/door', 'open', { qos: 1 });
    await fridge.publishAsync('kitchen/fridge/litres', 'many', { qos: 1 });
    await fridge.publishAsync('elsewhere', 'x', { qos: 1 });
    expect((await daemon.status()).readings).toMatchObject({ accepted: 1, refused: 1 });
    expect(await listed()).toEqual([
      expect.objectContaining({
        name: 'fridge',
        source: 'device',
        connections: 1,
        address: '127.0.0.1',
        messages: 3,
        refused_readings: 1,
        denied: 1,
        last_seen: expect.stringMatching(/^2\d{3}-.*Z$/),
      }),
    ]);
    expect((await devices('list')).out).toMatch(/^fridge +now +127\.0\.0\.1 +3 +1 +1 +kitchen\/fridge\/#$/m);
    const { out } = await mqtt2exist(['topics', 'elsewhere', '-c', config]);
    expect(out).toMatch(
      /elsewhere\n {2}last {6}x\n.* from fridge\n {2}mapping {3}none: denied: account fridge may not publish here\n/,
    );
    expect(out).not.toContain('To count one');

    // What it has written down at its end is told when it cannot be asked.
    await daemon.stop();
    const { code, out: table, err } = await devices('list');
    expect(code).toBe(0);
    expect(table).toMatch(/^fridge +2\d{3}-\d\d-\d\d [\d:]{8}Z +127\.0\.0\.1 +3 +1 +1 +kitchen\/fridge\/#$/m);
    expect(err).toMatch(/^as of 2\d{3}-\d\d-\d\d [\d:]{8}Z: nothing answers at /);
    expect(await listed()).toMatchObject([{ name: 'fridge', connections: 0, messages: 3, denied: 1 }]);
  });

  test('lets go of a device that is removed, and of one whose password was changed', async () => {
    const { devices, connect } = await running();
    const [first, second] = [
      await passwordOf(devices('add', 'fridge', '--json')),
      await passwordOf(devices('add', 'oven', '--json')),
    ];
    const fridge = await connect({ username: 'fridge', password: first });
    const oven = await connect({ username: 'oven', password: second });
    const fridgeGone = gone(fridge);
    const changed = await passwordOf(devices('password', 'fridge', '--json'));
    await fridgeGone;
    await expect(connect({ username: 'fridge', password: first })).rejects.toThrow(
      'Bad username or password',
    );
    await connect({ username: 'fridge', password: changed });
    const ovenGone = gone(oven);
    expect(await devices('remove', 'oven')).toMatchObject({ code: 0, out: 'oven is removed\n' });
    await ovenGone;
    expect(await devices('remove', 'oven')).toMatchObject({ code: 64 });
  });

  test('takes other users with SIGHUP, and theirs is the hash that `mqtt2exist password` prints', async () => {
    const { connect, daemon, options } = await running();
    const { out: hash } = await mqtt2exist(['password'], 'geheim\n');
    const users = `, users: { oven: { password_hash: "${hash.trim()}", publish: ["oven/%c"] } }`;
    writeConfig({ ...options, broker: users });
    daemon.signal('SIGHUP');
    await daemon.line(({ msg }) => String(msg).endsWith('read again'));
    await expect(connect({})).rejects.toThrow('Not authorized');
    await connect({ username: 'oven', password: 'geheim' });
  });
});

describe('password', () => {
  test('prints a hash of what stdin says, and nothing else', async () => {
    const { code, out } = await mqtt2exist(['password'], 'my secret\r\nmore\n');
    expect(code).toBe(0);
    expect(out).toMatch(/^\$scrypt\$ln=14,r=8,p=1\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+\n$/);
  });

  test('wants one', async () => {
    expect(await mqtt2exist(['password'], '\n')).toMatchObject({ code: 64, out: '' });
  });
});

test('without a daemon the devices are listed all the same', async () => {
  const { devices } = configured();
  await devices('add', 'fridge');
  const { code, out, err } = await devices('list');
  expect(code).toBe(0);
  expect(out).toMatch(/^fridge +\? /m);
  expect(err).toContain('nothing is known of when they were seen: nothing answers');
});
