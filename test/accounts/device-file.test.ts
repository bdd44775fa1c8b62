import { chmodSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { DeviceFile, deviceFileOf, type Device } from '../../src/accounts/device-file.ts';
import { temporaryFolder } from '../support/folder.ts';
import { account } from './setup.ts';

async function device(name: string): Promise<Device> {
  return { ...(await account(name)), addedAt: '2026-11-20T10:00:00Z' };
}

function inFolder() {
  const folder = temporaryFolder();
  const file = new DeviceFile(path.join(folder, 'mqtt2exist.devices.json'));
  const add = (added: Device) => file.change((devices) => [...devices, added], undefined);
  return { folder, file, add };
}

test('the file has the name of the configuration, beside it', () => {
  expect(deviceFileOf('/etc/mqtt2exist/mqtt2exist.yaml')).toBe('/etc/mqtt2exist/mqtt2exist.devices.json');
  expect(deviceFileOf('/etc/home.yml')).toBe('/etc/home.devices.json');
});

test('no file is no devices', () => {
  expect(inFolder().file.read()).toEqual({ devices: [] });
});

test('what is added is read again, all of it', async () => {
  const { file, add } = inFolder();
  const fridge: Device = { ...(await device('fridge')), clientId: 'esp-1', silentAfterMs: 86_400_000 };
  const oven = await device('oven');
  add(fridge);
  add(oven);
  expect(file.read()).toEqual({ devices: [fridge, oven] });
});

test('only its owner can read it, whatever the umask was, and nothing is left beside it', async () => {
  const { folder, file, add } = inFolder();
  add(await device('fridge'));
  chmodSync(file.path, 0o666);
  add(await device('oven'));
  expect(statSync(file.path).mode & 0o777).toBe(0o600);
  expect(readdirSync(folder)).toEqual(['mqtt2exist.devices.json']);
});

test('a change that is refused changes nothing', async () => {
  const { folder, file, add } = inFolder();
  add(await device('fridge'));
  const before = readFileSync(file.path, 'utf8');
  expect(file.change(() => 'there is no oven', undefined)).toBe('there is no oven');
  expect(readFileSync(file.path, 'utf8')).toBe(before);
  expect(readdirSync(folder)).toHaveLength(1);
});

test('of two changes at once one is told to try again', async () => {
  const { file, add } = inFolder();
  const [fridge, oven] = [await device('fridge'), await device('oven')];
  file.change((devices) => {
    expect(() => add(oven)).toThrow('another command is changing it');
    return [...devices, fridge];
  }, undefined);
  expect(file.read()).toEqual({ devices: [fridge] });
});

test('what a killed command left does not stand in the way', async () => {
  const { file, add } = inFolder();
  const beside = `${file.path}.new`;
  writeFileSync(beside, '{"version":');
  const longAgo = new Date(Date.now() - 60_000);
  utimesSync(beside, longAgo, longAgo);
  add(await device('fridge'));
  expect(file.read()).toMatchObject({ devices: [{ name: 'fridge' }] });
});

test('a folder that is not there is a clear error', async () => {
  const file = new DeviceFile('/nowhere/at/all/mqtt2exist.devices.json');
  const fridge = await device('fridge');
  expect(() => file.change(() => [fridge], undefined)).toThrow(
    '/nowhere/at/all/mqtt2exist.devices.json cannot be written: ENOENT',
  );
});

describe('edited by hand into nonsense', () => {
  const good = {
    name: 'fridge',
    password_hash: `$6$ewP/VtSgLQz3ARWs$${'A'.repeat(86)}==`,
    publish: ['fridge/#'],
    subscribe: [],
    added_at: '2026-11-20T10:00:00Z',
  };
  test.each([
    ['', 'it is not JSON'],
    ['{ "version": 1, "devices": [ $6$secret ] }', 'it is not JSON'],
    ['[]', 'it is not of this version|expected object'],
    [JSON.stringify({ version: 2, devices: [] }), 'version'],
    [
      JSON.stringify({ version: 1, devices: [{ ...good, name: 'a/b' }] }),
      'devices.0.name: a name is 1 to 64',
    ],
    [JSON.stringify({ version: 1, devices: [{ ...good, name: '__proto__' }] }), 'devices.0.name: a name'],
    [
      JSON.stringify({ version: 1, devices: [{ ...good, password_hash: 'secret' }] }),
      'is not a password hash',
    ],
    [
      JSON.stringify({ version: 1, devices: [{ ...good, publish: ['a/#/b'] }] }),
      'devices.0.publish.0: # must',
    ],
    [JSON.stringify({ version: 1, devices: [{ ...good, rights: [] }] }), 'rights'],
    [JSON.stringify({ version: 1, devices: [good, good] }), 'fridge stands there twice'],
  ])('%j is a problem with a hint, and no secret is repeated', (text, problem) => {
    const { file } = inFolder();
    writeFileSync(file.path, text);
    const read = file.read();
    if (!('problem' in read)) throw new Error('it was read');
    expect(read.problem).toMatch(
      new RegExp(`^the accounts of devices in ${file.path} cannot be used: .*(${problem})`),
    );
    expect(read.problem).not.toContain('secret');
    expect(read.hint).not.toBe('');
    // And it is not overwritten.
    expect(() => file.change(() => [], undefined)).toThrow('cannot be used');
    expect(readFileSync(file.path, 'utf8')).toBe(text);
  });

  test('so is a folder in its place', () => {
    const file = new DeviceFile(temporaryFolder());
    expect(file.read()).toMatchObject({ problem: expect.stringContaining('EISDIR') });
  });
});
