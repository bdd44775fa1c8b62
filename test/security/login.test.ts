/**
 * The tokens of a login lead a life: issued, renewed, lost, refused, repeated by Exist, backed up. They stand in the
 * database, and nowhere else.
 */
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { connectAsync } from 'mqtt';
import { request } from 'undici';
import { expect, onTestFinished, test } from 'vitest';
import { Sandbox } from '../../src/sandbox/sandbox.ts';
import { COMMAND, Daemon, eventually, writeConfig, type DaemonOptions } from '../support/daemon.ts';
import { temporaryFolder } from '../support/folder.ts';
import { CLIENT, CLIENT_SECRET, logIn } from '../support/login.ts';
import { Places } from './search.ts';

const YAML = `attributes:
  opens: { label: Opens, type: integer }
mappings:
  - { topic: door, attribute: opens, count: { each: any } }
`;

test('the tokens of a login are in the database, and in nothing that is printed, served or backed up', async () => {
  const folder = temporaryFolder();
  const accounts = temporaryFolder();
  const file = path.join(accounts, 'sandbox.json');
  const sandbox = new Sandbox({ timezone: 'UTC', callsPerHour: 100_000, file });
  const { url: existUrl } = await sandbox.start();
  onTestFinished(() => sandbox.stop());
  const options: DaemonOptions = {
    folder,
    existUrl,
    yaml: YAML,
    token: CLIENT,
    args: ['--log-level', 'debug'],
  };
  const places = new Places();
  const issued = () => sandbox.issued();
  const secrets: Record<string, string> = { 'the client’s secret': CLIENT_SECRET };
  const note = (): void => {
    for (const { access, refresh } of issued())
      Object.assign(secrets, { [access]: access, [refresh]: refresh });
  };
  const first = await logIn(writeConfig(options));
  places.add('the login', first.stdout + first.stderr);
  note();
  const daemon = await Daemon.start(options);
  onTestFinished(() => daemon.kill());
  const config = writeConfig({ ...options, web: new URL(daemon.webUrl).host });
  const press = async (): Promise<void> => {
    const client = await connectAsync(daemon.brokerUrl, { protocolVersion: 4 });
    await client.publishAsync('door', 'x', { qos: 1 });
    await client.endAsync();
  };
  const serve = async (): Promise<void> => {
    for (const route of ['/api/status', '/metrics', '/healthz', '/']) {
      const { body } = await request(`${daemon.webUrl}${route}`);
      places.add(route, await body.text());
    }
  };
  const says = (words: string) => daemon.line((entry) => JSON.stringify(entry).includes(words));
  const [pair] = issued();
  const repeating = `${pair?.access} with ${pair?.refresh} of ${CLIENT_SECRET}`;
  const fault = { kind: 'status', status: 503, body: repeating } as const;
  sandbox.faults([
    { match: { path: 'access_token' }, fault },
    { match: { path: '/api/' }, fault: 'expire-token' },
  ]);
  await press();
  await says('nobody can tell whether the login');
  await serve();
  await says('was renewed, until');
  note();
  await promisify(execFile)(process.execPath, [
    COMMAND,
    'backup',
    path.join(accounts, 'copy.db'),
    '-c',
    config,
  ]);
  sandbox.faults([
    { match: { path: 'access_token' }, fault: 'apply-then-lose' },
    { match: { path: '/api/' }, fault: 'expire-token' },
  ]);
  await press();
  await says('Exist has ended the login');
  note();
  await serve();
  const second = await logIn(config);
  places.add('the login', second.stdout + second.stderr);
  note();
  await eventually(
    () => daemon.status(),
    ({ health }) => health === 'ok',
  );
  await serve();
  await daemon.stop();
  places.add('the log', daemon.lines.join('\n'));
  places.addFiles(folder);
  places.addFiles(accounts);

  expect(Object.keys(secrets).length).toBeGreaterThanOrEqual(1 + 4 * 2 - 2);
  const found = places.whereabouts(secrets).map((line) => line.replace(/^.*: /, ''));
  // Exist, which has issued them, must know them again.
  expect(new Set(found)).toEqual(new Set(['data/mqtt2exist.db', 'sandbox.json', 'mqtt2exist.yaml']));
  expect(places.text('/api/status')).toContain('[token]');
});
