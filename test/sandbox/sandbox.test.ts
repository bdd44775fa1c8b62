import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { Sandbox } from '../../src/sandbox/sandbox.ts';
import { TODAY, setup, setupWithFridge, valueOf } from './setup.ts';

const directories: string[] = [];

afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true });
});

function newFile(): string {
  const directory = mkdtempSync(join(tmpdir(), 'sandbox-'));
  directories.push(directory);
  return join(directory, 'data', 'sandbox.json');
}

const item = { name: 'fridge_opens', date: TODAY, value: 1 };

test('values, ownership and journal outlive the sandbox', async () => {
  const file = newFile();
  const first = await setupWithFridge({ file });
  await first.client.increment([item]);
  const { attributes, journal } = first.sandbox.state();
  await first.sandbox.stop();
  const second = await setup({ file });
  expect(second.sandbox.state()).toMatchObject({ attributes, journal });
  expect(await second.client.increment([item])).toMatchObject({ body: { success: [{ current: 2 }] } });
});

test('what was answered is in the file before the answer', async () => {
  const file = newFile();
  const { client } = await setupWithFridge({ file });
  for (let count = 1; count <= 3; count += 1) {
    await client.increment([item]);
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({
      attributes: [{ name: 'fridge_opens', values: [[TODAY, count]] }],
    });
  }
  expect(readdirSync(join(file, '..'))).toEqual(['sandbox.json']);
  expect(statSync(file).mode & 0o077).toBe(0);
});

test('a read writes no file', async () => {
  const file = newFile();
  const { client } = await setup({ file });
  await client.profile();
  expect(existsSync(file)).toBe(false);
});

test.each(['{', '{}', '{"version":2}', '[]'])('a file that holds %s is no file of ours', async (text) => {
  const file = newFile();
  const sandbox = new Sandbox({ file: join(file, '..', '..', 'sandbox.json') });
  writeFileSync(join(file, '..', '..', 'sandbox.json'), text);
  await expect(sandbox.start()).rejects.toMatchObject({
    code: 'SANDBOX_FILE',
    message: expect.stringContaining('sandbox.json') as string,
  });
});

test('a file that cannot be written is a 500, not a crash', async () => {
  const file = newFile();
  const lines: string[] = [];
  const { client } = await setup({ file, log: (line) => lines.push(line) });
  writeFileSync(join(file, '..'), 'a file where the directory belongs');
  expect(await client.acquire([{ template: 'water', manual: false }])).toMatchObject({
    kind: 'unknown',
    status: 500,
  });
  expect(lines).toEqual([expect.stringMatching(/^internal error: /)]);
});

test('a port that is taken rejects the start', async () => {
  const { url } = await setup();
  const second = new Sandbox({ port: Number(new URL(url).port) });
  await expect(second.start()).rejects.toMatchObject({ code: 'EADDRINUSE' });
  await second.stop();
});

test('stop is safe before start and twice, and frees the port', async () => {
  const sandbox = new Sandbox();
  await sandbox.stop();
  const { url } = await sandbox.start();
  expect(await sandbox.start()).toEqual({ url });
  await sandbox.stop();
  await sandbox.stop();
  const again = new Sandbox({ port: Number(new URL(url).port) });
  expect(await again.start()).toEqual({ url });
  await again.stop();
});

test('stop does not wait for callers that never got an answer', async () => {
  const { client, sandbox } = await setup();
  sandbox.faults([{ fault: 'timeout' }]);
  const call = client.profile();
  await expect.poll(() => sandbox.state().calls.length).toBe(1);
  await sandbox.stop();
  expect(await call).toMatchObject({ kind: 'unknown' });
});

test('an unknown zone is the programmer’s error', () => {
  expect(() => new Sandbox({ timezone: 'Mars/Olympus_Mons' })).toThrow(RangeError);
});

test('another hand edits a value, whoever owns the attribute', async () => {
  const { send, sandbox, client } = await setupWithFridge();
  await client.increment([item]);
  expect((await send('POST', '/sandbox/edit', { ...item, value: 7 })).status).toBe(200);
  expect(valueOf(sandbox, 'fridge_opens', TODAY)).toBe(7);
  expect(sandbox.state().journal).toHaveLength(1);
  for (const bad of [{ ...item, name: 'x' }, { ...item, date: 'x' }, { ...item, value: 1.5 }, {}, 1]) {
    expect((await send('POST', '/sandbox/edit', bad)).status).toBe(400);
  }
});

test('attributes are released and deleted from outside', async () => {
  const { send, client } = await setupWithFridge();
  expect((await send('POST', '/sandbox/release', { name: 'fridge_opens' })).status).toBe(200);
  expect(await client.increment([item])).toMatchObject({
    body: { failed: [{ error_code: 'unauthorised' }] },
  });
  expect((await send('POST', '/sandbox/delete-attribute', { name: 'fridge_opens' })).status).toBe(200);
  expect(await client.increment([item])).toMatchObject({ body: { failed: [{ error_code: 'not_found' }] } });
  expect((await send('POST', '/sandbox/delete-attribute', { name: 'fridge_opens' })).status).toBe(400);
  expect((await send('POST', '/sandbox/release', { name: 'fridge_opens' })).status).toBe(400);
  expect((await send('GET', '/sandbox/elsewhere')).status).toBe(404);
});

test('the state is there for programs, without a token', async () => {
  const { send, sandbox, client } = await setupWithFridge();
  await client.increment([item]);
  const { json } = await send('GET', '/sandbox/state', undefined, { authorization: '' });
  expect(json).toEqual(JSON.parse(JSON.stringify(sandbox.state())));
  expect(json).toMatchObject({
    today: TODAY,
    attributes: [{ name: 'fridge_opens', owner: 'developer', values: { [TODAY]: 1 } }],
    journal: [{ name: 'fridge_opens', date: TODAY, value: 1, current: 1 }],
  });
});

test('the journal keeps the last thousand increments', async () => {
  const { client, sandbox } = await setupWithFridge();
  for (let call = 0; call < 30; call += 1) await client.increment(Array.from({ length: 35 }, () => item));
  const { journal } = sandbox.state();
  expect(journal).toHaveLength(1_000);
  expect(journal.at(-1)).toMatchObject({ current: 1_050 });
});

test('a browser sees today’s values and the last calls, and nothing of them is markup', async () => {
  const { send, client } = await setup();
  expect((await send('GET', '/')).text).toContain('No attributes yet');
  await client.create([{ label: '<b>Fridge</b> opens', group: 'food', value_type: 0, manual: false }]);
  await client.increment([{ ...item, name: 'b_fridge_b_opens', value: 42 }]);
  const { text, headers } = await send('GET', '/');
  expect(headers['content-type']).toContain('text/html');
  expect(headers['content-security-policy']).toContain("default-src 'none'");
  expect(text).toContain('&lt;b&gt;Fridge&lt;/b&gt; opens');
  expect(text).not.toContain('<b>Fridge');
  expect(text).toContain('<td>42</td>');
  expect(text).toContain('POST /api/2/attributes/increment/');
});

test('every call is one line of the log, with its items and its fault', async () => {
  const lines: string[] = [];
  const { client, sandbox } = await setupWithFridge({ log: (line) => lines.push(line) });
  sandbox.faults([{ match: { path: 'increment' }, fault: 'lose' }]);
  await client.increment([{ ...item, name: 'a\nb' }]);
  expect(lines).toEqual([
    'POST /api/2/attributes/create/ Fridge opens food 0 false → 200',
    `POST /api/2/attributes/increment/ a b ${TODAY} 1 → connection reset (fault: lose)`,
  ]);
});
