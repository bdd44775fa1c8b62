import { execFile } from 'node:child_process';
import type { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { hostname, networkInterfaces, tmpdir } from 'node:os';
import path from 'node:path';
import { connect as connectTls } from 'node:tls';
import { connectAsync, type IClientOptions, type MqttClient } from 'mqtt';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { parse } from 'yaml';
import { hashPassword } from '../../src/accounts/password-hash.ts';
import { authorityFilesOf, readCertificate } from '../../src/certificates/authority.ts';
import { namesOf } from '../../src/certificates/pem.ts';
import { NO_OPENSSL } from '../support/certificates.ts';
import { COMMAND, Daemon, writeConfig, type DaemonOptions } from '../support/daemon.ts';
import { temporaryFolder } from '../support/folder.ts';
import { NO_MOSQUITTO } from '../support/mosquitto.ts';
import { skipped } from '../support/skip.ts';

type Ran = Readonly<{ code: number; out: string; err: string }>;

function run(program: string, args: readonly string[], env = process.env): Promise<Ran> {
  return new Promise((resolve) => {
    const child = execFile(program, args, { env }, (_, out, err) => {
      resolve({ code: child.exitCode ?? -1, out, err });
    });
  });
}

/** A configuration in a folder, and the command for it. */
function configured(folder = temporaryFolder(), more: Partial<DaemonOptions> = {}) {
  const yaml = `attributes:\n  presses: { label: presses, type: integer }
mappings:\n  - { topic: home/button, attribute: presses, count: { each: any } }\n`;
  const options: DaemonOptions = { folder, existUrl: 'http://127.0.0.1:1', yaml, ...more };
  const config = writeConfig(options);
  const files = authorityFilesOf(config);
  const certificate = (args: readonly string[] = [], env?: NodeJS.ProcessEnv): Promise<Ran> =>
    run(process.execPath, [COMMAND, 'certificate', '-c', config, ...args], env);
  return { folder, options, config, files, certificate };
}

const unindented = (text: string): string => text.replaceAll(/^ +/gm, '');

/** The files of a folder: names, contents, and when each was written. */
function filesOf(folder: string) {
  const files = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isFile());
  return files.map(({ name }) => {
    const { mtimeMs, mode } = statSync(path.join(folder, name));
    return { name, mtimeMs, mode, content: readFileSync(path.join(folder, name), 'utf8') };
  });
}

describe.skipIf(NO_OPENSSL)(`a certificate${skipped(NO_OPENSSL)}`, () => {
  /** Made by the command, written into the configuration as it says, and served by a daemon: one for all tests. */
  let house: Awaited<ReturnType<typeof made>>;
  beforeAll(async () => {
    house = await made();
  });
  afterAll(async () => {
    await house.daemon.kill();
    rmSync(house.folder, { recursive: true, force: true });
  });

  async function made() {
    const folder = mkdtempSync(path.join(tmpdir(), 'mqtt2exist-'));
    const making = await configured(folder).certificate();
    const [, block = ''] = /\n\n(broker:\n[^]*?)\n\n---/.exec(making.out) ?? [];
    const { broker } = parse(block) as { broker: { listen: string[]; tls: object } };
    // What it prints for mosquitto_pub has these to be replaced.
    const user = `NAME: { password_hash: "${await hashPassword('PASSWORD')}", publish: [home/#] }`;
    const set = configured(folder, {
      listen: ['mqtts://127.0.0.1:0', 'wss://127.0.0.1:0'],
      broker: `, users: { ${user} }, tls: ${JSON.stringify(broker.tls)}`,
    });
    const daemon = await Daemon.start(set.options);
    const ports = Object.fromEntries(
      daemon.brokerUrl.split(' ').map((url) => [new URL(url).protocol, new URL(url).port]),
    );
    return { ...set, making, broker, daemon, portOf: (scheme: string) => Number(ports[`${scheme}:`]) };
  }

  async function client(scheme: 'mqtts' | 'wss', options: IClientOptions = {}): Promise<MqttClient> {
    const connected = await connectAsync(`${scheme}://localhost:${house.portOf(scheme)}`, {
      protocolVersion: 4,
      reconnectPeriod: 0,
      username: 'NAME',
      password: 'PASSWORD',
      ca: readFileSync(house.files.ca),
      ...options,
    });
    onTestFinished(() => connected.endAsync(true));
    return connected;
  }

  const accepted = async (): Promise<number> => (await house.daemon.status()).readings.accepted;

  async function shown(scheme: 'mqtts' | 'wss'): Promise<X509Certificate> {
    const ca = readFileSync(house.files.ca);
    const socket = connectTls({ port: house.portOf(scheme), host: 'localhost', ca });
    await once(socket, 'secureConnect');
    const certificate = socket.getPeerX509Certificate();
    socket.destroy();
    if (!certificate) throw new Error('none was shown');
    return certificate;
  }

  test('is for the names and addresses of this machine, beside the configuration, its keys for nobody else', () => {
    const { making, files, folder, broker } = house;
    expect(making).toMatchObject({ code: 0, err: '' });
    for (const file of Object.values(files)) expect(making.out).toContain(file);
    expect(path.dirname(files.key)).toBe(folder);
    for (const key of [files.caKey, files.key]) expect(statSync(key).mode & 0o777).toBe(0o600);
    const addresses = Object.values(networkInterfaces()).flatMap((all) => all ?? []);
    const global = addresses.filter(({ scopeid = 0 }) => scopeid === 0).map(({ address }) => address);
    const [short = ''] = hostname().split('.');
    const names = namesOf(readCertificate(files.cert));
    expect(names).toEqual(expect.arrayContaining([hostname(), `${short}.local`, 'localhost', ...global]));
    expect(making.out).toContain(`for ${names.join(', ')}\n`);
    expect(broker.listen).toEqual(['mqtts://0.0.0.0:8883']);
    expect(unindented(making.out)).toContain(readFileSync(files.ca, 'utf8'));
  });

  test.each(['mqtts', 'wss'] as const)(
    'lets mqtt.js in over %s, which looks at all of it',
    async (scheme) => {
      const before = await accepted();
      await (await client(scheme)).publishAsync('home/button', 'press', { qos: 1 });
      expect(await accepted()).toBe(before + 1);
      await expect(client(scheme, { ca: undefined })).rejects.toThrow(/self.signed|unable to verify/);
      // As if it had been called by another name; the library hands it on to websockets only where it is told to.
      const [servername, rejectUnauthorized] = ['elsewhere.example', true];
      const elsewhere = { servername, wsOptions: { servername, rejectUnauthorized } };
      await expect(client(scheme, elsewhere)).rejects.toThrow(/altnames/);
    },
  );

  test.skipIf(NO_MOSQUITTO)(
    `lets mosquitto_pub in with the words that were printed for it${skipped(NO_MOSQUITTO)}`,
    async () => {
      const [program = '', ...words] = /^mosquitto_pub .*$/m.exec(house.making.out)?.[0].split(' ') ?? [];
      // The name in the network is not known to every machine that tests.
      const where = ['-h', 'localhost', '-p', String(house.portOf('mqtts')), '-t', 'home/button'];
      const before = await accepted();
      expect(await run(program, [...words, ...where])).toEqual({ code: 0, out: '', err: '' });
      expect(await accepted()).toBe(before + 1);
    },
  );

  test('is renewed under the running daemon: the next client sees it, and those that are there stay', async () => {
    const { files, certificate, daemon } = house;
    const kept = (): string[] => [files.ca, files.caKey, files.key].map((file) => readFileSync(file, 'utf8'));
    const [filesBefore, before, there] = [kept(), await shown('mqtts'), await client('wss')];
    const renewing = await certificate(['--name', 'broker.example', '192.0.2.77']);
    expect(renewing).toMatchObject({ code: 0, err: '' });
    expect(renewing.out).toMatch(/^kept {5}.*ca\.crt/m);
    expect(renewing.out).toMatch(/^renewed {2}.*server\.crt/m);
    expect(renewing.out).toContain(
      'names these files already; a running daemon shows the certificate within',
    );
    expect(renewing.out).not.toContain('To be written');
    const line = await daemon.line(({ msg }) => msg === 'another certificate is shown from now on');
    expect(line['level']).toBe('info');
    expect(String(line['names']).split(' ')).toEqual(
      expect.arrayContaining([hostname(), 'broker.example', '192.0.2.77']),
    );
    expect(kept()).toEqual(filesBefore);
    const after = [await shown('mqtts'), await shown('wss')];
    const { serialNumber } = readCertificate(files.cert);
    expect(after.map((one) => one.serialNumber)).toEqual([serialNumber, serialNumber]);
    expect(serialNumber).not.toBe(before.serialNumber);
    expect(after[0]?.publicKey.equals(before.publicKey)).toBe(true);
    const { broker } = await daemon.status();
    expect(broker?.certificate?.names).toContain('broker.example');
    await there.publishAsync('home/button', 'press', { qos: 1 });
    await client('mqtts', { servername: 'broker.example' });
    // What was named once stays.
    expect(await certificate(['renew', '--name', 'other.example'])).toMatchObject({ code: 0, err: '' });
    expect(namesOf(readCertificate(files.cert))).toEqual(
      expect.arrayContaining(['other.example', 'broker.example', '192.0.2.77']),
    );
  });

  test('is made for the listeners of a configuration that has other problems, such as no account yet', async () => {
    const listen = ['mqtt://127.0.0.1:1884', 'mqtts://192.0.2.9:9883'];
    const { files, certificate, options } = configured(undefined, { listen });
    const { code, out, err } = await certificate();
    expect({ code, err }).toEqual({ code: 0, err: expect.stringContaining('`mqtt2exist check` shows') });
    expect(out).toContain('-p 9883');
    expect(out).not.toContain('8883');
    expect(namesOf(readCertificate(files.cert))).toContain('192.0.2.9');
    // The other problem stays, whatever is written for the certificate.
    writeConfig({ ...options, broker: `, tls: { cert: "${files.cert}", key: "${files.key}" }` });
    expect((await certificate()).out).toContain('names these files already');
  });

  test('is shown once more without anything being touched', async () => {
    const { certificate, files, folder } = house;
    const before = filesOf(folder);
    const { code, out, err } = await certificate(['show']);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toContain(`is       ${files.ca}`);
    expect(unindented(out)).toContain(readFileSync(files.ca, 'utf8'));
    expect(out).not.toContain('PRIVATE KEY');
    expect(filesOf(folder)).toEqual(before);
  });
});

describe('nothing is made', () => {
  const BROKEN = path.join(mkdtempSync(path.join(tmpdir(), 'mqtt2exist-')), 'mqtt2exist.yaml');
  writeFileSync(BROKEN, 'broker: { listen: "mqttx://0.0.0.0" }\n');
  afterAll(() => {
    rmSync(path.dirname(BROKEN), { recursive: true });
  });

  test.each<[string, string[], NodeJS.ProcessEnv | undefined, number, RegExp]>([
    ['by renew, where there is no authority', ['renew'], undefined, 78, /`mqtt2exist certificate` makes one/],
    ['by show, where there is none to show', ['show'], undefined, 78, /`mqtt2exist certificate` makes one/],
    [
      'for what is no name',
      ['--name', 'pi', 'a b'],
      undefined,
      64,
      /a b is neither a host name nor an address/,
    ],
    [
      'without openssl',
      [],
      { PATH: '/nowhere' },
      69,
      /openssl is not there; install it: sudo apt install openssl/,
    ],
    [
      'where it cannot be told where the broker listens',
      ['-c', BROKEN],
      undefined,
      78,
      /broker\.listen: .*mqttx[^]*nothing is done before it can be told where the broker listens/,
    ],
    ['beside no configuration', ['-c', '/nowhere/no.yaml'], undefined, 78, /there is no configuration/],
  ])('%s', async (_, args, env, code, words) => {
    const { certificate, folder } = configured();
    const before = filesOf(folder);
    expect(await certificate(args, env)).toEqual({ code, out: '', err: expect.stringMatching(words) });
    expect(filesOf(folder)).toEqual(before);
  });
});
