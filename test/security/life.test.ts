/**
 * A daemon leads a life with a secret of every kind in it; then everything that is left of that life is searched.
 *
 * It is made hard to keep them: everything is logged that can be, and Exist and another broker repeat to the daemon
 * what it told them. The places where a secret belongs are expected as well, so that the search is seen to find some.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { createPrivateKey } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { connectAsync, type MqttClient } from 'mqtt';
import { request } from 'undici';
import { expect, onTestFinished, test } from 'vitest';
import { authorityFilesOf } from '../../src/certificates/authority.ts';
import type { FaultInput } from '../../src/sandbox/faults.ts';
import { Sandbox } from '../../src/sandbox/sandbox.ts';
import { rawBroker } from '../sources/setup.ts';
import { NO_OPENSSL } from '../support/certificates.ts';
import { COMMAND, Daemon, eventually, writeConfig, type DaemonOptions } from '../support/daemon.ts';
import { temporaryFolder } from '../support/folder.ts';
import { Mosquitto, NO_MOSQUITTO } from '../support/mosquitto.ts';
import { Places, type Secrets } from './search.ts';

/** What is looked for of a secret. */
const runOf = (name: string): string => `x7Q${name}Z2w`;
/** With something in it that each notation escapes. */
const passwordOf = (name: string): string => `"\\% ${runOf(name)}&<'é`;
/** In a bearer token there is nothing that JSON escapes (RFC 6750, 2.1). */
const tokenOf = (name: string): string => `~+/${runOf(name)}==`;

const ENV = { EXIST_TOKEN: tokenOf('Environment'), MQTT_PASSWORD: passwordOf('Home') };

const MAPPINGS = `attributes:
  opens: { label: Opens, type: integer }
  litres: { label: Litres, type: decimal }
mappings:
  - { topic: kitchen/fridge/door, attribute: opens, count: { each: any } }
  - { topic: kitchen/fridge/litres, attribute: litres, add: {} }
`;

/** The two commands that show a password, once each. */
const ADD = 'devices add fridge --topic kitchen/fridge/#';
const CHANGE = 'devices password fridge';

const passwordIn = (shown: string): string => /^ {2}([A-Za-z0-9]{21})$/m.exec(shown)?.[1] ?? '';

/** Runs commands, and keeps what they print by their words. */
class Shell {
  constructor(
    private readonly places: Places,
    private readonly config: string,
  ) {}

  begin(words: string, input = ''): ChildProcess {
    const config = words === 'password' ? [] : ['-c', this.config];
    const env = { ...process.env, ...ENV };
    const child = spawn(process.execPath, [COMMAND, ...words.split(' '), ...config], { env, stdio: 'pipe' });
    onTestFinished(() => void child.kill('SIGKILL'));
    for (const stream of ['stdout', 'stderr'] as const) {
      child[stream].on('data', (chunk: Buffer) => this.places.add(`${stream} of ${words}`, chunk));
    }
    child.stdin.end(input);
    return child;
  }

  /** Resolves with what it printed on stdout. */
  async run(words: string, input?: string): Promise<string> {
    const child = this.begin(words, input);
    await once(child, 'close');
    if (child.exitCode !== 0) throw new Error(`${words}: ${this.places.text(`stderr of ${words}`)}`);
    return this.places.text(`stdout of ${words}`);
  }
}

/** An Exist that keeps its account in `file`, and has let an OAuth client in. */
async function startExist(places: Places, file: string) {
  const log = (line: string): void => places.add('what Exist prints', line);
  const sandbox = new Sandbox({ timezone: 'UTC', callsPerHour: 100_000, file, log });
  const { url } = await sandbox.start();
  onTestFinished(() => sandbox.stop());
  const client = { client_id: 'bridge', redirect_uri: 'http://127.0.0.1/' };
  const asked = { ...client, response_type: 'code', scope: 'food_write', decision: 'allow' };
  const allowed = await request(`${url}/oauth2/authorize?${new URLSearchParams(asked).toString()}`);
  await allowed.body.dump();
  const code = new URL(String(allowed.headers['location'])).searchParams.get('code') ?? '';
  const proof = { ...client, client_secret: passwordOf('Client'), grant_type: 'authorization_code', code };
  const granted = await request(`${url}/oauth2/access_token`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams(proof).toString(),
  });
  const pair = (await granted.body.json()) as { access_token: string; refresh_token: string };
  return { sandbox, url, pair };
}

/** One broker that lets us in, one that repeats the password as it refuses us, and none at a third address. */
async function startBrokers(): Promise<string> {
  const rude = await rawBroker({
    connack: () => ({ reasonCode: 0x87, properties: { reasonString: `not with ${passwordOf('Rude')}` } }),
  });
  const { port } = NO_MOSQUITTO === undefined ? await startMosquitto() : await rawBroker();
  return `connections:
  - { name: home, url: "mqtt://127.0.0.1:${port}", username: bridge, password: "\${MQTT_PASSWORD}" }
  - { name: rude, url: "mqtt://127.0.0.1:${rude.port}", username: bridge, password: ${JSON.stringify(passwordOf('Rude'))} }
  - { name: gone, url: "mqtt://127.0.0.1:1", username: bridge, password_file: ./gone.password }
`;
}

async function startMosquitto(): Promise<Mosquitto> {
  const folder = temporaryFolder();
  const file = path.join(folder, 'passwords');
  writeFileSync(file, '');
  spawnSync('mosquitto_passwd', ['-b', file, 'bridge', ENV.MQTT_PASSWORD]);
  const mosquitto = await Mosquitto.start(folder, [`password_file ${file}`]);
  onTestFinished(() => mosquitto.kill());
  return mosquitto;
}

async function connect(url: string, username: string, password: string): Promise<MqttClient> {
  // Whom the certificate is for is not at issue here.
  const options = { protocolVersion: 4, reconnectPeriod: 0, rejectUnauthorized: false } as const;
  const client = await connectAsync(url, { ...options, username, password });
  client.on('error', () => undefined);
  onTestFinished(() => client.endAsync(true));
  return client;
}

/** A line of it that has private parts in it, and the number that is the secret itself. */
function keyIn(file: string): { readonly line: string; readonly number: Buffer } {
  const pem = readFileSync(file, 'utf8');
  const [, , line = ''] = pem.split('\n');
  const { d = '' } = createPrivateKey(pem).export({ format: 'jwk' });
  return { line, number: Buffer.from(d, 'base64url') };
}

/** Every route there is in the source: one that is added later is served here too. */
const ROUTES = [...readFileSync('src/web/web.ts', 'utf8').matchAll(/case '(\/[^']*)'/g)]
  .map(([, route = '']) => route)
  .filter((route) => route !== '/api/watch');

async function fetchAll(url: string, places: Places): Promise<void> {
  for (const route of [...ROUTES, '/none', '/api/topics?filter=a%23']) {
    const { body, headers } = await request(`${url}${route}`);
    places.add(`served at ${route}`, `${JSON.stringify(headers)}\n${await body.text()}`);
  }
  await settle(url, places, { attribute: 'opens', how: 'guess' });
}

async function settle(url: string, places: Places, decision: object): Promise<void> {
  const headers = { 'content-type': 'application/json', 'x-mqtt2exist': '1' };
  const body = JSON.stringify(decision);
  const answer = await request(`${url}/api/held`, { method: 'POST', headers, body });
  places.add('served at /api/held', await answer.body.text());
}

/** All that comes for as long as the daemon lives. */
async function follow(url: string, places: Places): Promise<void> {
  const { body } = await request(`${url}/api/watch`);
  body.on('data', (chunk: Buffer) => places.add('served at /api/watch', chunk));
  body.on('error', () => undefined);
}

/** The files and servers of a household with a daemon, and where each of its secrets belongs. */
async function furnish(places: Places) {
  const folder = temporaryFolder();
  const exist = await startExist(places, path.join(folder, 'sandbox.json'));
  const options: DaemonOptions = {
    folder,
    existUrl: exist.url,
    token: 'token: "${EXIST_TOKEN}"',
    args: ['--log-level', 'debug'],
    yaml: MAPPINGS,
  };
  writeFileSync(path.join(folder, 'token'), `${tokenOf('File')}\n`);
  writeFileSync(path.join(folder, 'gone.password'), `${passwordOf('Gone')}\n`);
  const shell = new Shell(places, writeConfig(options));
  const hasTls = NO_OPENSSL === undefined;
  const [connections, hash, added] = await Promise.all([
    startBrokers(),
    shell.run('password', `${passwordOf('Oven')}\n`),
    shell.run(ADD),
    hasTls ? shell.run('certificate') : undefined,
  ]);
  const files = authorityFilesOf(path.join(folder, 'mqtt2exist.yaml'));
  const tls = hasTls ? `, tls: { cert: ${files.cert}, key: ${files.key} }` : '';
  const oven = `{ password_hash: "${hash.trim()}", publish: "#", subscribe: "#" }`;
  const whole: DaemonOptions = {
    ...options,
    listen: ['mqtt://127.0.0.1:0', ...(hasTls ? ['mqtts://127.0.0.1:0'] : [])],
    broker: `${tls}, users: { oven: ${oven} }`,
    yaml: `${connections}${MAPPINGS}`,
  };
  return {
    folder,
    exist,
    shell,
    options: whole,
    fridge: passwordIn(added),
    keys: hasTls ? files : undefined,
  };
}

type Household = Awaited<ReturnType<typeof furnish>>;

/** From the first start to the end, with everything that can be asked of a daemon while it runs. */
async function live({ folder, exist, shell, options, fridge: password }: Household, places: Places) {
  const daemon = await Daemon.start(options, ENV);
  onTestFinished(() => daemon.kill());
  const says = (words: string) => daemon.line((entry) => JSON.stringify(entry).includes(words));
  const web = new URL(daemon.webUrl).host;
  const [plain = '', secure = plain] = daemon.brokerUrl.split(' ');

  // Their answers are held back: they come while life goes on.
  const strangers = Promise.allSettled([
    connect(plain, 'oven', passwordOf('Wrong')),
    connect(plain, 'nobody', passwordOf('Stranger')),
  ]);
  const fridge = await connect(plain, 'fridge', password);
  const oven = await connect(secure, 'oven', passwordOf('Oven'));
  oven.on('message', (topic, payload) => places.add('published to others', `${topic} ${payload.toString()}`));
  await oven.subscribeAsync('#', { qos: 1 });
  await follow(daemon.webUrl, places);
  const open = () => fridge.publishAsync('kitchen/fridge/door', 'open', { qos: 1 });
  await fridge.publishAsync('kitchen/fridge/litres', 'many', { qos: 1 });
  await open();
  await says('Exist took');

  let reloads = 0;
  const reload = async (token: string): Promise<void> => {
    // The commands find the daemon by its configuration, which must name the port that was chosen.
    writeConfig({ ...options, web, token });
    daemon.signal('SIGHUP');
    reloads += 1;
    await eventually(
      () => Promise.resolve(daemon.lines.filter((line) => /read again|stays as it was/.test(line))),
      ({ length }) => length === reloads,
    );
  };
  const fail = (fault: FaultInput['fault'], path = 'increment') =>
    exist.sandbox.faults([{ match: { path }, fault }]);

  fail({ kind: 'status', status: 401, body: JSON.stringify({ detail: `${ENV.EXIST_TOKEN} is no token` }) });
  await open();
  await says('does not let us in');
  await reload('token: "${EXIST_TOKEN} and more"');
  await fetchAll(daemon.webUrl, places);
  const refused = { name: 'opens', error_code: 'invalid', error: `not with ${tokenOf('File')}` };
  fail({ kind: 'status', status: 202, body: JSON.stringify({ success: [], failed: [refused] }) });
  await reload('token_file: ./token');
  await says('Exist refused it');
  await Promise.all([fetchAll(daemon.webUrl, places), shell.run('held')]);
  const [held] = (await daemon.status()).held;
  const day = held?.day ?? '';
  fail({ kind: 'status', status: 500, body: `<p>${tokenOf('File')}</p>` });
  await settle(daemon.webUrl, places, { attribute: 'opens', day, how: 'retry' });
  await says('outcome unknown');
  fail('timeout', '/api/');
  await reload('token_file: ./token');

  const watch = shell.begin('watch');
  const [, changed] = await Promise.all([
    shell.run('status'),
    shell.run(CHANGE),
    ...['status --json', 'topics', 'devices list', 'check --json', `explain opens ${day}`].map((words) =>
      shell.run(words),
    ),
    shell.run(`backup ${path.join(folder, 'copy.db')}`),
    strangers,
    says('no whole answer within'),
  ]);
  // It says nothing before the first message: publish until it has begun.
  await eventually(
    async () => {
      await oven.publishAsync('kitchen/oven', 'hot', { qos: 1 });
      return places.text('stdout of watch');
    },
    (text) => text !== '',
  );
  watch.kill('SIGINT');
  await once(watch, 'close');
  await fetchAll(daemon.webUrl, places);
  await daemon.stop();
  await eventually(
    () => Promise.resolve(daemon.lines.at(-1)),
    (line = '') => line.includes('"stopped"'),
  );
  places.add('the log', daemon.lines.join('\n'));
  places.addFiles(folder);
  return { changed: passwordIn(changed), day };
}

test('no secret stands in what a daemon and its commands print, keep and serve', async () => {
  const places = new Places();
  const household = await furnish(places);
  const { changed, day } = await live(household, places);
  const { exist, fridge, keys } = household;
  const [authority, certificate] = keys ? [keyIn(keys.caKey), keyIn(keys.key)] : [];
  const secrets: Secrets = {
    'a token from the environment': runOf('Environment'),
    'a token from a file': runOf('File'),
    'a password from the environment': runOf('Home'),
    'a password from the configuration': runOf('Rude'),
    'a password from a file': runOf('Gone'),
    'a user’s password': runOf('Oven'),
    'a device’s password': fridge,
    'a device’s new password': changed,
    'a wrong password': runOf('Wrong'),
    'a stranger’s password': runOf('Stranger'),
    'the secret of an OAuth client': runOf('Client'),
    'an access token': exist.pair.access_token,
    'a refresh token': exist.pair.refresh_token,
    ...(authority && { 'the authority’s key': authority.number, 'its file': authority.line }),
    ...(certificate && { 'the certificate’s key': certificate.number, 'the file of that': certificate.line }),
  };
  expect(places.whereabouts(secrets)).toEqual(
    [
      'a token from a file: token',
      'a password from a file: gone.password',
      'a password from the configuration: mqtt2exist.yaml',
      // They show it this once.
      `a device’s password: stdout of ${ADD}`,
      `a device’s new password: stdout of ${CHANGE}`,
      // Exist, which has issued them, must know them again.
      'an access token: sandbox.json',
      'a refresh token: sandbox.json',
      ...(keys ? ['its file: mqtt2exist.ca.key', 'the file of that: mqtt2exist.server.key'] : []),
    ].sort(),
  );
  // What repeats them has come to all of these, and they were left out.
  const explained = `stdout of explain opens ${day}`;
  for (const place of ['the log', 'served at /api/status', 'stdout of held', explained, 'copy.db']) {
    expect(places.text(place), place).toContain('[token]');
  }
  expect(places.text('served at /api/status')).toContain('not with [password]');
  expect(places.text('published to others')).toContain('/status {');
});
