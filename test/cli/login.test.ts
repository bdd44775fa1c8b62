/** `mqtt2exist login`: what it asks for, both ways back from the browser, and what goes wrong. */
import { once } from 'node:events';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import path from 'node:path';
import { request } from 'undici';
import { expect, onTestFinished, test } from 'vitest';
import { Sandbox } from '../../src/sandbox/sandbox.ts';
import { writeConfig } from '../support/daemon.ts';
import { temporaryFolder } from '../support/folder.ts';
import { CLIENT, CLIENT_SECRET, LoginCommand, decide, logIn } from '../support/login.ts';
import { freePort } from '../support/port.ts';

const YAML = `attributes:
  opens: { label: Opens, type: integer, group: food }
mappings:
  - { topic: door, attribute: opens, count: { each: any } }
  - { topic: tv, attribute: tv_min, duration: { while: on } }
`;

async function setup(token = CLIENT) {
  const folder = temporaryFolder();
  const sandbox = new Sandbox({ timezone: 'Europe/Berlin' });
  const { url: existUrl } = await sandbox.start();
  onTestFinished(() => sandbox.stop());
  const config = writeConfig({ folder, existUrl, yaml: YAML, token });
  const begin = async (...more: readonly string[]): Promise<LoginCommand> => {
    const command = await LoginCommand.start(config, ...more);
    onTestFinished(() => {
      command.kill();
    });
    return command;
  };
  return { folder, sandbox, config, begin, file: path.join(folder, 'data', 'mqtt2exist.login') };
}

test('asks for what the attributes need, and for nothing else', async () => {
  const { begin } = await setup();
  const { address } = await begin('--listen', '0');
  const query = new URL(address).searchParams;
  expect(query.get('scope')).toBe('custom_read custom_write food_read food_write media_read media_write');
  expect(query.get('redirect_uri')).toBe('http://localhost:8000/');
  expect(query.get('response_type')).toBe('code');
  expect(query.get('state')).toMatch(/^[\w-]{32}$/);
});

test('a pasted address: the pair is in a private file, and it says whose account it is and what comes next', async () => {
  const { config, file } = await setup();
  const ran = await logIn(config);
  expect(ran).toMatchObject({ code: 0, stderr: '' });
  expect(ran.stdout).toContain('logged in as sandbox (Europe/Berlin)');
  expect(ran.stdout).toContain('`mqtt2exist run`');
  expect(statSync(file).mode & 0o777).toBe(0o600);
  const { access_token: access, refresh_token: refresh } = JSON.parse(readFileSync(file, 'utf8')) as {
    access_token: string;
    refresh_token: string;
  };
  for (const secret of [access, refresh, CLIENT_SECRET]) expect(ran.stdout).not.toContain(secret);
});

test('the browser comes back by itself; whoever else comes by is sent away', async () => {
  const { begin, file } = await setup();
  const port = await freePort();
  const command = await begin('--listen', String(port));
  const back = await decide(command.address);
  expect(new URL(back).port).toBe(String(port));
  expect((await request(new URL('/favicon.ico', back))).statusCode).toBe(404);
  const foreign = new URL(back);
  foreign.searchParams.set('state', 'made-up');
  const sentAway = await request(foreign);
  expect(sentAway.statusCode).toBe(400);
  expect(await sentAway.body.text()).toContain('another login');
  expect(existsSync(file)).toBe(false);
  const arrived = await request(back);
  expect(arrived.statusCode).toBe(200);
  expect(await arrived.body.text()).toContain('Logged in');
  expect(await command.end()).toMatchObject({
    code: 0,
    stderr: expect.stringContaining('its state differs'),
  });
  expect(existsSync(file)).toBe(true);
});

test('where the port is taken, the address is pasted', async () => {
  const { begin } = await setup();
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  onTestFinished(() => void other.close());
  const { port } = other.address() as AddressInfo;
  const command = await begin('--listen', String(port));
  command.paste(await decide(command.address));
  expect(await command.end()).toMatchObject({ code: 0, stderr: expect.stringContaining('EADDRINUSE') });
});

test.each<[string, (back: string) => string, number, string]>([
  ['of another login', (back) => back.replace(/state=./, 'state=_'), 64, 'its state differs'],
  ['without a state', (back) => back.replace(/&state=.*/, ''), 64, 'its state differs'],
  ['without a code', () => 'http://localhost:8000/', 64, 'there is no code in it'],
  ['with a made-up code', (back) => back.replace(/code=\w+/, 'code=abc'), 69, 'does not take the code'],
])('an address %s stores nothing', async (_, change, code, words) => {
  const { begin, file } = await setup();
  const command = await begin('--listen', '0');
  command.paste(change(await decide(command.address)));
  expect(await command.end()).toMatchObject({ code, stderr: expect.stringContaining(words) });
  expect(existsSync(file)).toBe(false);
});

test('a code alone will do', async () => {
  const { begin } = await setup();
  const command = await begin('--listen', '0');
  command.paste(new URL(await decide(command.address)).searchParams.get('code') ?? '');
  expect(await command.end()).toMatchObject({ code: 0 });
});

test('a person who says no is told that nothing was changed', async () => {
  const { begin } = await setup();
  const command = await begin('--listen', '0');
  command.paste(await decide(command.address, 'deny'));
  expect(await command.end()).toMatchObject({ code: 69, stderr: expect.stringContaining('access_denied') });
});

test('an Exist that is gone, or loses the answer, is said', async () => {
  const { begin, sandbox } = await setup();
  sandbox.faults([{ match: { path: 'access_token' }, fault: 'apply-then-lose' }]);
  const lost = await begin('--listen', '0');
  lost.paste(await decide(lost.address));
  expect(await lost.end()).toMatchObject({ code: 69, stderr: expect.stringContaining('no tokens came') });
  const gone = await begin('--listen', '0');
  const back = await decide(gone.address);
  await sandbox.stop();
  gone.paste(back);
  expect(await gone.end()).toMatchObject({ code: 69, stderr: expect.stringContaining('cannot connect') });
});

test('where it cannot be stored, nobody is sent anywhere', async () => {
  const { begin, folder } = await setup();
  writeFileSync(path.join(folder, 'data'), 'a file where the folder should be');
  await expect(begin('--listen', '0')).rejects.toThrow('cannot be stored');
});

test('a configuration with a token has nothing to log in as', async () => {
  const { begin } = await setup('token: abcdefghijk');
  await expect(begin('--listen', '0')).rejects.toThrow('has no client to log in as');
});
