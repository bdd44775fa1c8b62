/**
 * The built daemon on a wall clock that jumps, under a real monotonic clock: whatever the clock does, what was
 * pressed today counts today, once.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { connectAsync, type MqttClient } from 'mqtt';
import { request } from 'undici';
import { afterAll, describe, expect, test } from 'vitest';
import { Sandbox } from '../../src/sandbox/sandbox.ts';
import { COMMAND, Daemon, eventually, type DaemonOptions } from '../support/daemon.ts';
import { FakeClock, NO_FAKETIME } from '../support/faketime.ts';
import { skipped } from '../support/skip.ts';

const DAY_MS = 86_400_000;

/** The scenes play at the same time; what they began ends when all are over. */
const everything = mkdtempSync(path.join(tmpdir(), 'mqtt2exist-'));
const endings: (() => Promise<unknown>)[] = [];
let folders = 0;

afterAll(async () => {
  for (const end of endings.reverse()) await end();
  rmSync(everything, { recursive: true, force: true });
});

function temporaryFolder(): string {
  folders += 1;
  const folder = path.join(everything, `${folders}`);
  mkdirSync(folder);
  return folder;
}

const YAML = `attributes:
  opens: { label: Opens, type: integer }
  minutes: { label: Minutes, type: decimal }
mappings:
  - { topic: door/press, attribute: opens, count: { each: any } }
  - { topic: door/state, attribute: minutes, duration: { while: open } }
`;

type Values = Record<string, number>;
interface Account {
  readonly attributes: readonly {
    readonly name: string;
    readonly values: Readonly<Record<string, unknown>>;
  }[];
}

/** What Exist has of an attribute, days without a value left out. */
function valuesIn({ attributes }: Account, name: string): Values {
  const values = attributes.find((each) => each.name === name)?.values ?? {};
  return Object.fromEntries(Object.entries(values).map(([day, value]) => [day, Number(value)]));
}

function sum(values: Values): number {
  return Object.values(values).reduce((total, value) => total + value, 0);
}

function dayOf(atMs: number, timeZone = 'UTC'): string {
  return new Intl.DateTimeFormat('sv-SE', { timeZone }).format(atMs);
}

async function publisher(daemon: Daemon): Promise<MqttClient> {
  const client = await connectAsync(daemon.brokerUrl, { protocolVersion: 4, reconnectPeriod: 0 });
  client.on('error', () => undefined);
  endings.push(() => client.endAsync(true));
  return client;
}

async function press(client: MqttClient, times: number): Promise<void> {
  for (let n = 0; n < times; n += 1) await client.publishAsync('door/press', `${n}`, { qos: 1 });
}

/** A local Exist within the test, on the machine's own clock. */
async function exist(port = 0): Promise<{ sandbox: Sandbox; url: string }> {
  const sandbox = new Sandbox({ timezone: 'UTC', callsPerHour: 100_000, port });
  const { url } = await sandbox.start();
  endings.push(() => sandbox.stop());
  return { sandbox, url };
}

/** A local Exist that lives by the same clock as the daemon; gives back its URL. */
async function existOn(clock: FakeClock, folder: string): Promise<string> {
  const args = ['sandbox', '--port', '0', '--file', path.join(folder, 'exist.json')];
  const child = spawn(process.execPath, [COMMAND, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...clock.env },
  });
  endings.push(async () => {
    const gone = once(child, 'exit');
    child.kill();
    await gone;
  });
  for await (const line of createInterface({ input: child.stdout })) {
    const url = / listens on (\S+);/.exec(line)?.[1];
    if (url !== undefined) return url;
  }
  throw new Error('the sandbox ended');
}

async function stateOf(url: string): Promise<Account> {
  return (await (await request(`${url}/sandbox/state`)).body.json()) as Account;
}

async function problemsOf(daemon: Daemon): Promise<string> {
  return (await daemon.status()).problems.join('\n');
}

async function startDaemon(options: DaemonOptions, clock: FakeClock): Promise<Daemon> {
  const daemon = await Daemon.start(options, clock.env);
  endings.push(() => daemon.kill());
  return daemon;
}

describe.skipIf(NO_FAKETIME !== undefined)(`with libfaketime${skipped(NO_FAKETIME)}`, () => {
  test.concurrent(
    'booted in 1970 and killed there: what was pressed counts today, once Exist tells the time',
    async () => {
      const folder = temporaryFolder();
      const { sandbox: closed, url } = await exist();
      await closed.stop();
      const options = { folder, existUrl: url, yaml: YAML };
      const clock = FakeClock.at(folder, '1970-01-01T00:01:00Z');
      const first = await startDaemon(options, clock);
      await press(await publisher(first), 3);
      expect(await problemsOf(first)).toMatch(/the system clock shows 1970-01-01T.*; 3 readings wait for it/);
      await first.kill();
      const second = await startDaemon(options, clock);
      await press(await publisher(second), 2);
      const { sandbox } = await exist(Number(new URL(url).port));
      await eventually(
        () => Promise.resolve(valuesIn(sandbox.state(), 'opens')),
        (values) => Object.values(values).some((value) => value === 5),
        30_000,
      );
      expect(Object.values(valuesIn(sandbox.state(), 'opens'))).toEqual([5]);
      expect([dayOf(Date.now()), dayOf(Date.now() - 60_000)]).toContain(
        Object.keys(valuesIn(sandbox.state(), 'opens'))[0],
      );
      expect(await problemsOf(second)).toBe('');
    },
    45_000,
  );

  test.concurrent.each([
    ['forward', DAY_MS],
    ['back', -DAY_MS],
  ])(
    'the clock is set %s by a day while Exist has the right time: no press is dated wrongly',
    async (_, stepMs) => {
      const folder = temporaryFolder();
      const { sandbox, url } = await exist();
      const clock = new FakeClock(folder, 0);
      const daemon = await startDaemon({ folder, existUrl: url, yaml: YAML }, clock);
      const client = await publisher(daemon);
      const began = dayOf(Date.now());
      await press(client, 2);
      clock.moveTo(stepMs);
      await press(client, 3);
      await daemon.line(({ msg }) => msg === 'the time is known again');
      await press(client, 2);
      await eventually(
        () => Promise.resolve(valuesIn(sandbox.state(), 'opens')),
        (values) => sum(values) >= 7,
      );
      expect([began, dayOf(Date.now())]).toEqual(
        expect.arrayContaining(Object.keys(valuesIn(sandbox.state(), 'opens'))),
      );
      expect(sum(valuesIn(sandbox.state(), 'opens'))).toBe(7);
    },
  );

  test.concurrent('a clock that is a day ahead and that nothing vouches for gives way to Exist', async () => {
    const folder = temporaryFolder();
    const { sandbox, url } = await exist();
    const clock = new FakeClock(folder, DAY_MS);
    const daemon = await startDaemon({ folder, existUrl: url, yaml: YAML }, clock);
    await daemon.line(({ msg }) => String(msg).includes("the time is Exist's"));
    const began = dayOf(Date.now());
    await press(await publisher(daemon), 3);
    await eventually(
      () => Promise.resolve(valuesIn(sandbox.state(), 'opens')),
      (values) => sum(values) === 3,
    );
    expect([began, dayOf(Date.now())]).toEqual(
      expect.arrayContaining(Object.keys(valuesIn(sandbox.state(), 'opens'))),
    );
  });

  test.concurrent.each([
    ['a day of 25 hours', '2026-10-25T22:59:51Z', '2026-10-25', '2026-10-26'],
    ['a day of 23 hours', '2027-03-28T21:59:51Z', '2027-03-28', '2027-03-29'],
  ])('midnight in Berlin after %s splits the minutes of an open door', async (_, iso, before, after) => {
    const folder = temporaryFolder();
    const clock = FakeClock.at(folder, iso);
    const url = await existOn(clock, folder);
    const daemon = await startDaemon({ folder, existUrl: url, yaml: YAML, timezone: 'Europe/Berlin' }, clock);
    const client = await publisher(daemon);
    await client.publishAsync('door/state', 'closed', { qos: 1 });
    await client.publishAsync('door/state', 'open', { qos: 1 });
    await press(client, 1);
    // Real seconds: a clock that is moved over midnight would be one that jumps.
    await eventually(
      () => stateOf(url),
      (state) => valuesIn(state, 'minutes')[before] !== undefined,
    );
    await press(client, 1);
    await client.publishAsync('door/state', 'closed', { qos: 1 });
    const state = await eventually(
      () => stateOf(url),
      (each) => valuesIn(each, 'minutes')[after] !== undefined && sum(valuesIn(each, 'opens')) === 2,
    );
    expect(valuesIn(state, 'opens')).toEqual({ [before]: 1, [after]: 1 });
    const { [before]: untilMidnight = 0, [after]: since = 0, ...others } = valuesIn(state, 'minutes');
    expect(others).toEqual({});
    expect(untilMidnight * 60).toBeGreaterThan(0);
    expect(untilMidnight * 60).toBeLessThanOrEqual(9);
    expect(since * 60).toBeGreaterThan(0);
    expect(since * 60).toBeLessThan(20);
  });
});
