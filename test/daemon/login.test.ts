/**
 * The built daemon as an OAuth2 client: tokens end, answers to refreshes are lost, and the process is killed in the
 * middle of them. Every press counts once all the same.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { connectAsync } from 'mqtt';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { FaultInput } from '../../src/sandbox/faults.ts';
import { Sandbox } from '../../src/sandbox/sandbox.ts';
import { Daemon, eventually, writeConfig, type DaemonOptions } from '../support/daemon.ts';
import { temporaryFolder } from '../support/folder.ts';
import { CLIENT, logIn } from '../support/login.ts';

const YAML = `attributes:
  opens: { label: Opens, type: integer, group: food }
mappings:
  - { topic: door, attribute: opens, count: { each: any } }
`;

/** A person, a door, and an Exist where the person has logged in before the daemon starts. */
async function setup({ isLoggedIn = true } = {}) {
  const folder = temporaryFolder();
  const sandbox = new Sandbox({ timezone: 'UTC', callsPerHour: 100_000 });
  const { url: existUrl } = await sandbox.start();
  const options: DaemonOptions = { folder, existUrl, yaml: YAML, token: CLIENT };
  const config = writeConfig(options);
  if (isLoggedIn) expect(await logIn(config)).toMatchObject({ code: 0 });
  let daemon: Daemon | undefined;
  const start = async (): Promise<Daemon> => {
    daemon = await Daemon.start(options);
    // The command finds the daemon by its configuration, which must name the port that was chosen.
    writeConfig({ ...options, web: new URL(daemon.webUrl).host });
    return daemon;
  };
  onTestFinished(async () => {
    await daemon?.kill();
    await sandbox.stop();
  });
  const day = new Date().toISOString().slice(0, 10);
  const press = async (times = 1): Promise<void> => {
    const client = await connectAsync(daemon?.brokerUrl ?? '', { protocolVersion: 4 });
    for (let n = 0; n < times; n += 1) await client.publishAsync('door', 'x', { qos: 1 });
    await client.endAsync();
  };
  const total = (): unknown => sandbox.state().attributes.find(({ label }) => label === 'Opens')?.values[day];
  const stands = (value: number): Promise<unknown> =>
    eventually(
      () => Promise.resolve(total()),
      (shown) => shown === value,
    );
  const fail = (fault: FaultInput['fault'], of = 'access_token'): void => {
    sandbox.faults([{ match: { path: of }, fault }]);
  };
  const calls = (of: string): number => sandbox.state().calls.filter((call) => call.path.includes(of)).length;
  /** A call that carries the access token finds that it has ended. */
  const expire = (): void => fail('expire-token', '/api/');
  const says = (words: string) => daemon!.line((entry) => String(entry['msg']).includes(words));
  const state = () =>
    daemon!.status().then(({ exist, problems }) => ({ ...exist, problems: problems.join('\n') }));
  return { folder, sandbox, config, start, press, total, stands, fail, calls, expire, says, state };
}

/** The write-ahead is on disk and the request has left: Exist has it. */
const asked = (all: Awaited<ReturnType<typeof setup>>, times: number): Promise<number> =>
  eventually(
    () => Promise.resolve(all.calls('access_token')),
    (calls) => calls === times,
  );

test('what a login brought is delivered with, and its file is gone', async () => {
  const all = await setup();
  const file = path.join(all.folder, 'data', 'mqtt2exist.login');
  expect(existsSync(file)).toBe(true);
  await all.start();
  expect(existsSync(file)).toBe(false);
  await all.press(3);
  await all.stands(3);
});

test('without a login everything is held and said; one that comes while it runs is taken', async () => {
  const all = await setup({ isLoggedIn: false });
  const daemon = await all.start();
  await all.press(2);
  await all.says('nobody has logged in');
  expect(await all.state()).toMatchObject({
    state: 'held',
    problems: expect.stringContaining('mqtt2exist login'),
  });
  const ran = await logIn(all.config);
  expect(ran).toMatchObject({ code: 0, stderr: '' });
  expect(ran.stdout).toContain('logged in as sandbox (UTC)');
  expect(ran.stdout).toContain('the running daemon has taken it up');
  await all.press();
  await all.stands(3);
  expect(await daemon.status()).toMatchObject({ health: 'ok', exist: { state: 'ok' } });
});

describe('an access token that has ended', () => {
  test('is renewed, once, and what was turned away is delivered once', async () => {
    const all = await setup();
    const daemon = await all.start();
    await all.press();
    await all.stands(1);
    all.expire();
    await all.press(2);
    await all.stands(3);
    expect(all.calls('access_token')).toBe(2);
    expect(await all.state()).toMatchObject({ state: 'ok', problems: '' });
    // Nothing that a person has to look at.
    expect(daemon.lines.filter((line) => line.includes('"level":"error"'))).toEqual([]);
  });

  test('is renewed before that, where its end is told', async () => {
    const all = await setup({ isLoggedIn: false });
    all.sandbox.setTokenLifetime(3);
    expect(await logIn(all.config)).toMatchObject({ code: 0 });
    const daemon = await all.start();
    await asked(all, 3);
    await all.press(2);
    await all.stands(2);
    expect(daemon.lines.filter((line) => line.includes('"level":"error"'))).toEqual([]);
  });

  test('is renewed later where Exist does not answer at first', async () => {
    const all = await setup();
    await all.start();
    await all.press();
    await all.stands(1);
    all.fail({ kind: 'status', status: 503 });
    all.expire();
    await all.press(2);
    await all.stands(3);
    expect(all.calls('access_token')).toBe(3);
  });
});

describe('a refresh whose answer is lost', () => {
  test('and that was not applied is made again with the old token', async () => {
    const all = await setup();
    await all.start();
    all.fail('lose');
    all.expire();
    await all.press(2);
    await all.says('nobody can tell whether the login at Exist was renewed');
    await all.stands(2);
    expect(all.calls('access_token')).toBe(3);
    expect(await all.state()).toMatchObject({ problems: '' });
  });

  test('and that was not needed: the old access token goes on', async () => {
    const all = await setup();
    await all.start();
    await all.press();
    await all.stands(1);
    all.fail('lose');
    // A slip of Exist's: the token is good.
    all.fail({ kind: 'status', status: 401 }, '/api/');
    await all.press(2);
    await all.stands(3);
    expect(all.calls('access_token')).toBe(2);
  });

  test('and that was applied has killed both: all is held and said, and a new login goes on', async () => {
    const all = await setup();
    await all.start();
    await all.press();
    await all.stands(1);
    all.fail('apply-then-lose');
    all.expire();
    await all.press(2);
    await all.says('Exist has ended the login');
    await all.press(3);
    expect(await all.state()).toMatchObject({
      state: 'held',
      problems: expect.stringContaining('log in again'),
    });
    expect(all.total()).toBe(1);
    const refreshes = all.calls('access_token');
    expect((await logIn(all.config)).stdout).toContain('the running daemon has taken it up');
    await all.stands(6);
    // The login's own.
    expect(all.calls('access_token')).toBe(refreshes + 1);
  });
});

describe('kill -9', () => {
  test('between the write-ahead and the request’s arrival: the old tokens are tried, and go on', async () => {
    const all = await setup();
    const daemon = await all.start();
    all.fail('timeout');
    all.expire();
    await all.press(2);
    await asked(all, 2);
    await daemon.kill();
    await all.start();
    await all.says('while the login was being renewed');
    await all.press();
    await all.stands(3);
    expect(all.calls('access_token')).toBe(3);
  });

  test('between Exist’s answer and its storing: held and said until a new login', async () => {
    const all = await setup();
    const daemon = await all.start();
    all.fail('apply-then-timeout');
    all.expire();
    await all.press(2);
    await asked(all, 2);
    await daemon.kill();
    await all.start();
    await all.says('Exist has ended the login');
    await all.press();
    await logIn(all.config);
    await all.stands(3);
  });
});

test('a login that the user has taken back is said, and asked for no more', async () => {
  const all = await setup();
  await all.start();
  await all.press();
  await all.stands(1);
  all.sandbox.revoke();
  await all.press();
  await all.says('Exist has ended the login');
  const calls = all.sandbox.state().calls.length;
  await all.press(4);
  expect(all.sandbox.state().calls).toHaveLength(calls);
  await logIn(all.config);
  await all.stands(6);
});

test('a restart does not take an older login that was left behind for a new one', async () => {
  const all = await setup();
  const daemon = await all.start();
  await all.press();
  await all.stands(1);
  all.expire();
  await all.press();
  await all.stands(2);
  await daemon.stop();
  await all.start();
  await all.press();
  await all.stands(3);
  expect(all.calls('access_token')).toBe(2);
});
