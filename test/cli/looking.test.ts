/** `topics` and `watch`, asked of a running daemon. */
import { execFile, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { connectAsync } from 'mqtt';
import { request } from 'undici';
import { expect, onTestFinished, test } from 'vitest';
import { Sandbox } from '../../src/sandbox/sandbox.ts';
import { COMMAND, Daemon, writeConfig } from '../support/daemon.ts';
import { temporaryFolder } from '../support/folder.ts';

const YAML = `attributes:
  opens: { label: Opens, type: integer }
  water: { label: Water, type: decimal }
mappings:
  - { topic: home/door, attribute: opens, count: { when: open } }
  - { topic: home/water, attribute: water, add: {} }
`;

async function setup() {
  const sandbox = new Sandbox({ timezone: 'UTC', callsPerHour: 100_000 });
  const { url: existUrl } = await sandbox.start();
  const options = { folder: temporaryFolder(), existUrl, yaml: YAML };
  const daemon = await Daemon.start(options);
  const client = await connectAsync(daemon.brokerUrl, { clientId: 'door-sensor', protocolVersion: 4 });
  onTestFinished(async () => {
    await client.endAsync(true);
    await daemon.kill();
    await sandbox.stop();
  });
  const config = writeConfig({ ...options, web: new URL(daemon.webUrl).host });
  return { client, daemon, config };
}

test('topics shows what comes, what takes it, and why something is not taken', async () => {
  const { client, config, daemon } = await setup();
  await client.publishAsync('home/door', 'open', { qos: 1 });
  await client.publishAsync('home/water', 'a lot', { qos: 1 });
  await client.publishAsync('home/attic', '\u001b[31mred', { qos: 1 });
  const { stdout } = await promisify(execFile)(process.execPath, [COMMAND, 'topics', '-c', config]);
  expect(stdout).toMatch(
    /home\/door\n {2}last {6}open\n {2}seen .* from door-sensor\n {2}mapping {3}opens \(count\): accepted/,
  );
  expect(stdout).toMatch(
    /home\/water\n {2}last {6}a lot\n.*\n {2}mapping {3}water \(add\): refused: .*number/,
  );
  expect(stdout).toMatch(/home\/attic\n.*red\n.*\n {2}mapping {3}none/);
  expect(stdout).toContain('- { topic: "home/attic", attribute: NAME, count: { each: any } }');
  expect(stdout).not.toContain('\u001b');
  const json = await promisify(execFile)(process.execPath, [
    COMMAND,
    'topics',
    'home/door',
    '--json',
    '-c',
    config,
  ]);
  expect(JSON.parse(json.stdout)).toMatchObject([{ topic: 'home/door', messages: 1, fate: 'accepted' }]);
  const wrong = await request(`${daemon.webUrl}/api/topics?filter=a%23`);
  expect(wrong.statusCode).toBe(400);
  await wrong.body.dump();
});

test('watch follows readings with what became of each, and ends when it is interrupted', async () => {
  const { client, config } = await setup();
  const child = spawn(process.execPath, [COMMAND, 'watch', 'home/#', '-c', config]);
  onTestFinished(() => void child.kill('SIGKILL'));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  // It says nothing before the first message: publish until it has begun.
  const following = new AbortController();
  const publishing = (async () => {
    for (let n = 0; !following.signal.aborted; n += 1) {
      await client.publishAsync('home/door', n % 2 === 0 ? 'open' : 'closed', { qos: 1 });
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  })();
  const first = await lines.next();
  following.abort();
  await publishing;
  expect(first.value).toMatch(
    /^\d\d:\d\d:\d\d {2}home\/door {2}(open {2}→ opens \+1 \(|closed {2}→ ).*\(door-sensor\)$/,
  );
  await client.publishAsync('home/water', 'a lot', { qos: 1 });
  for (;;) {
    const { value } = (await lines.next()) as { value: string };
    if (!value.includes('home/water')) continue;
    expect(value).toMatch(/home\/water {2}a lot {2}→ refused: /);
    break;
  }
  const ended = new Promise((resolve) => child.on('exit', resolve));
  child.kill('SIGINT');
  expect(await ended).toBe(0);
});
