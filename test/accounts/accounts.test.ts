import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Accounts, type AccountSettings } from '../../src/accounts/accounts.ts';
import type { Attempt } from '../../src/accounts/authenticator.ts';
import { DeviceFile, type Device } from '../../src/accounts/device-file.ts';
import type { ListedAccount } from '../../src/accounts/listed-account.ts';
import { temporaryFolder } from '../support/folder.ts';
import { account, outcome, StillClock } from './setup.ts';

async function device(name: string, addedAt = '2026-11-20T10:00:00Z'): Promise<Device> {
  return { ...(await account(name)), addedAt };
}

function setup(settings: Partial<AccountSettings> = {}, folder = temporaryFolder()) {
  const clock = new StillClock();
  const changes: (readonly (string | undefined)[])[] = [];
  const published: string[] = [];
  const logged: { level: string; message: string; fields: unknown }[] = [];
  const file = new DeviceFile(path.join(folder, 'mqtt2exist.devices.json'));
  const full: AccountSettings = { users: [], isPrivate: true, ...settings };
  const accounts = new Accounts(
    {
      deviceFile: file.path,
      activityFile: path.join(folder, 'seen.json'),
      clock,
      onChanged: (names) => changes.push(names),
      onPublished: (name) => published.push(name),
      log: (level, message, fields) => logged.push({ level, message, fields }),
    },
    full,
  );
  const write = (...devices: readonly Device[]) => file.change(() => devices, undefined);
  const admit = (name: string | undefined, password: string | undefined, more: Partial<Attempt> = {}) =>
    accounts.admit({
      name,
      password: password === undefined ? undefined : Buffer.from(password),
      clientId: 'esp-1',
      address: '192.168.1.5',
      isGone: () => false,
      ...more,
    });
  const start = () => {
    accounts.start();
    onTestFinished(() => accounts.stop());
  };
  return { accounts, clock, changes, published, logged, file, folder, write, admit, start };
}

const password = (name: string): string => `${name}'s password`;

describe('accounts', () => {
  test('are those of the configuration and those of the file', async () => {
    const { write, admit, start } = setup({ users: [await account('oven')] });
    write(await device('fridge'));
    start();
    expect(outcome(await admit('fridge', password('fridge')))).toBe('in as fridge');
    expect(outcome(await admit('oven', password('oven')))).toBe('in as oven');
  });

  test('may say how long they are silent at most, and change that without being disconnected', async () => {
    const { write, start, clock, changes, accounts, published } = setup();
    const fridge = await device('fridge');
    write(fridge);
    start();
    accounts.published('fridge');
    expect(published).toEqual(['fridge']);
    changes.length = 0;
    write({ ...fridge, silentAfterMs: 86_400_000 });
    clock.advance(1_000);
    expect(accounts.listed).toMatchObject([{ name: 'fridge', silentAfterMs: 86_400_000 }]);
    expect(accounts.status().devices).toMatchObject([{ name: 'fridge', silent_after_s: 86_400 }]);
    expect(changes).toEqual([]);
  });

  test('that are added are there within a second, and the anonymous are told to go', async () => {
    const { write, admit, start, clock, changes, accounts } = setup();
    start();
    expect(outcome(await admit(undefined, undefined))).toBe('in as nobody');
    write(await device('fridge'));
    clock.advance(1_000);
    expect(changes).toEqual([[undefined]]);
    expect(outcome(await admit('fridge', password('fridge')))).toBe('in as fridge');
    expect(accounts.status()).toMatchObject({ anonymous: false, devices: [{ name: 'fridge' }] });
  });

  test('that are removed are gone within a second, and their clients are told to go', async () => {
    const { write, start, clock, changes } = setup({ isPrivate: false });
    const [fridge, oven] = [await device('fridge'), await device('oven')];
    write(fridge, oven);
    start();
    write(oven);
    clock.advance(1_000);
    expect(changes).toEqual([['fridge']]);
    clock.advance(10_000);
    expect(changes).toHaveLength(1);
  });

  test('without any, nobody comes in by a listener that is open to the network', async () => {
    const { admit, start, clock, write } = setup({ isPrivate: false });
    write(await device('fridge'));
    start();
    write();
    clock.advance(1_000);
    const admission = admit('fridge', password('fridge'));
    await clock.held(4);
    clock.advance(10_000);
    expect(outcome(await admission)).toBe('credentials');
  });

  test('change with the configuration', async () => {
    const { accounts, changes, start, admit } = setup({ users: [await account('fridge')], isPrivate: false });
    start();
    accounts.reconfigure({ users: [await account('oven')], isPrivate: false });
    expect(changes).toEqual([['fridge']]);
    expect(outcome(await admit('oven', password('oven')))).toBe('in as oven');
  });

  test('stay as they were while the file is nonsense, which is told once, and again when it is mended', async () => {
    const { accounts, write, start, clock, changes, logged, file, admit } = setup();
    const fridge = await device('fridge');
    write(fridge);
    start();
    writeFileSync(file.path, '{');
    clock.advance(1_000);
    clock.advance(1_000);
    expect(logged.filter(({ level }) => level === 'error')).toHaveLength(1);
    expect(accounts.status().problem).toContain('it is not JSON');
    expect(outcome(await admit('fridge', password('fridge')))).toBe('in as fridge');
    rmSync(file.path);
    write(fridge);
    clock.advance(1_000);
    expect(accounts.status().problem).toBeNull();
    expect(changes).toEqual([]);
  });

  test('a file that is nonsense from the start does not let everybody in', async () => {
    const { start, admit, clock, file } = setup();
    writeFileSync(file.path, '{');
    start();
    const admission = admit(undefined, undefined);
    await clock.held(3);
    clock.advance(10_000);
    expect(outcome(await admission)).toBe('credentials');
  });

  test('of the daemon itself opens only what it names, and only while others need one', async () => {
    const { accounts, write, start, clock, admit } = setup();
    start();
    const own = await accounts.openOwn(['demo/#']);
    expect(outcome(await admit(own.username, own.password))).toBe('in as nobody');
    write(await device('fridge'));
    clock.advance(1_000);
    const admission = await admit(own.username, own.password);
    if ('refusal' in admission) throw new Error('refused');
    expect(admission.permissions.mayPublish('demo/door')).toBe(true);
    expect(admission.permissions.mayPublish('fridge/door')).toBe(false);
    expect(accounts.status().devices.map(({ name }) => name)).toEqual(['fridge']);
  });

  test('whoever is turned away is warned of once an hour', async () => {
    const { start, admit, clock, logged } = setup({ users: [await account('fridge')] });
    start();
    for (let count = 1; count <= 3; count += 1) {
      const admission = admit('fridge', 'old');
      await clock.held(2 + count);
      clock.advance(5_000);
      await admission;
    }
    const turnedAway = logged.filter(({ message }) => message === 'a client was not let in');
    expect(turnedAway.map(({ level }) => level)).toEqual(['warn', 'debug', 'debug']);
    expect(turnedAway[0]?.fields).toEqual({
      account: 'fridge',
      address: '192.168.1.5',
      client: 'esp-1',
      reason: 'credentials',
    });
    expect(JSON.stringify(logged)).not.toContain('old');
  });
});

describe('what was seen of an account', () => {
  test('is counted', async () => {
    const { accounts, start, clock } = setup({ users: [await account('fridge')] });
    start();
    expect(accounts.status().devices).toEqual([
      {
        name: 'fridge',
        source: 'configuration',
        connections: 0,
        last_seen: null,
        address: null,
        messages: 0,
        refused_readings: 0,
        denied: 0,
        silent_after_s: null,
      },
    ]);
    accounts.connected('fridge', '192.168.1.5');
    accounts.published('fridge');
    accounts.published('fridge');
    accounts.refusedReading('fridge');
    accounts.denied('fridge', 'publish', 'oven/heat');
    accounts.disconnected('fridge');
    clock.advance(60_000);
    expect(accounts.status().devices[0]).toMatchObject({
      connections: 0,
      last_seen: '2026-11-20T10:00:00.000Z',
      address: '192.168.1.5',
      messages: 2,
      refused_readings: 1,
      denied: 1,
    });
  });

  test('goes on while it is connected, silent or not', async () => {
    const { accounts, start, clock } = setup({ users: [await account('fridge')] });
    start();
    accounts.connected('fridge', '192.168.1.5');
    clock.advance(60_000);
    expect(accounts.status().devices[0]?.last_seen).toBe('2026-11-20T10:01:00.000Z');
  });

  test("outlives a restart, for its owner's eyes only", async () => {
    const users = [await account('fridge')];
    const { accounts, folder } = setup({ users });
    accounts.start();
    accounts.connected('fridge', '192.168.1.5');
    accounts.published('fridge');
    accounts.stop();
    const again = setup({ users }, folder);
    again.start();
    expect(again.accounts.status().devices[0]).toMatchObject({
      connections: 0,
      last_seen: '2026-11-20T10:00:00.000Z',
      messages: 1,
    });
    expect(statSync(path.join(folder, 'seen.json')).mode & 0o777).toBe(0o600);
    expect(readFileSync(path.join(folder, 'seen.json'), 'utf8')).not.toContain('scrypt');
  });

  test('is kept every five minutes, where there is anything new', async () => {
    const { accounts, start, clock, folder } = setup({ users: [await account('fridge')] });
    const file = path.join(folder, 'seen.json');
    start();
    accounts.connected('fridge', '192.168.1.5');
    accounts.disconnected('fridge');
    clock.advance(299_000);
    expect(existsSync(file)).toBe(false);
    clock.advance(1_000);
    expect(readFileSync(file, 'utf8')).toContain('192.168.1.5');
    rmSync(file);
    clock.advance(600_000);
    expect(existsSync(file)).toBe(false);
    accounts.published('fridge');
    clock.advance(300_000);
    expect(readFileSync(file, 'utf8')).toContain('"messages":1');
  });

  test('is forgotten with the account, and another of its name begins anew', async () => {
    const { accounts, write, start, clock } = setup();
    write(await device('fridge'));
    start();
    accounts.connected('fridge', '192.168.1.5');
    accounts.published('fridge');
    write();
    clock.advance(1_000);
    accounts.disconnected('fridge');
    write(await device('fridge', '2026-11-21T10:00:00Z'));
    clock.advance(1_000);
    expect(accounts.status().devices[0]).toMatchObject({ messages: 0, last_seen: null, address: null });
  });

  test('is no reason to stop where it cannot be kept or read', async () => {
    const users = [await account('fridge')];
    const { accounts, folder, logged } = setup({ users });
    writeFileSync(path.join(folder, 'seen.json'), 'nonsense');
    accounts.start();
    accounts.connected('fridge', '192.168.1.5');
    rmSync(folder, { recursive: true });
    accounts.stop();
    expect(logged.at(-1)).toMatchObject({ level: 'debug' });
  });
});

test('the accounts are let go of as often as one likes, and before they began', async () => {
  const users: ListedAccount[] = [await account('fridge')];
  const { accounts } = setup({ users });
  accounts.stop();
  accounts.start();
  accounts.stop();
  accounts.stop();
});
