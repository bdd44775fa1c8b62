import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { connectAsync } from 'mqtt';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Sandbox } from '../../src/sandbox/sandbox.ts';
import { COMMAND, Daemon, eventually, writeConfig } from '../support/daemon.ts';
import { temporaryFolder } from '../support/folder.ts';

const YAML = `attributes:
  opens: { label: opens, type: integer, mode: shared }
mappings:
  - { topic: door, attribute: opens, count: { each: any } }
`;

async function mqtt2exist(...args: string[]): Promise<{ code: number; text: string }> {
  try {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [COMMAND, ...args]);
    return { code: 0, text: stdout + stderr };
  } catch (error) {
    const failed = error as { code: number; stdout: string; stderr: string };
    return { code: failed.code, text: failed.stdout + failed.stderr };
  }
}

/** A daemon with one item in conflict: its call was applied and lost, and somebody edited the day meanwhile. */
async function inConflict() {
  const folder = temporaryFolder();
  const sandbox = new Sandbox({ timezone: 'UTC', callsPerHour: 100_000 });
  const { url: existUrl } = await sandbox.start();
  const options = { folder, existUrl, yaml: YAML };
  const daemon = await Daemon.start(options);
  const client = await connectAsync(daemon.brokerUrl, { protocolVersion: 4 });
  onTestFinished(async () => {
    await client.endAsync(true);
    await daemon.kill();
    await sandbox.stop();
  });
  const day = new Date().toISOString().slice(0, 10);
  const value = (): unknown => sandbox.state().attributes.find(({ name }) => name === 'opens')?.values[day];
  await client.publishAsync('door', 'x', { qos: 1 });
  await eventually(
    () => Promise.resolve(value()),
    (stands) => stands === 1,
  );
  sandbox.faults([{ match: { path: 'increment' }, fault: 'apply-then-lose' }]);
  await client.publishAsync('door', 'x', { qos: 1 });
  await eventually(
    () => Promise.resolve(value()),
    (stands) => stands === 2,
  );
  sandbox.edit('opens', day, 40);
  await eventually(
    () => daemon.status(),
    ({ queue }) => queue.conflict_items === 1,
  );
  // The commands find the daemon by its configuration, which must name the port that was chosen.
  const config = writeConfig({ ...options, web: new URL(daemon.webUrl).host });
  return { daemon, client, config, day, value, folder };
}

describe('an item in conflict', () => {
  test('is listed with its reason, and nothing of it is sent by itself', async () => {
    const { config, day, value } = await inConflict();
    const { code, text } = await mqtt2exist('held', '-c', config);
    expect(code).toBe(0);
    expect(text).toContain(`opens ${day}  conflict`);
    expect(text).toContain('Exist last showed 40');
    expect(value()).toBe(40);
  });

  test('counted by the user is not sent, and later counts go on from what stands there', async () => {
    const { config, day, value, client, daemon } = await inConflict();
    expect(await mqtt2exist('held', 'count', 'opens', day, '-c', config, '--yes')).toMatchObject({ code: 0 });
    await client.publishAsync('door', 'x', { qos: 1 });
    await eventually(
      () => Promise.resolve(value()),
      (stands) => stands === 41,
    );
    expect((await daemon.status()).held).toEqual([]);
  });

  test('retried by the user is sent again', async () => {
    const { config, day, value } = await inConflict();
    expect(await mqtt2exist('held', 'retry', 'opens', day, '-c', config)).toMatchObject({ code: 0 });
    await eventually(
      () => Promise.resolve(value()),
      (stands) => stands === 41,
    );
  });

  test('set by the user makes the total what was said', async () => {
    const { config, day, value } = await inConflict();
    await mqtt2exist('held', 'set', 'opens', day, '2', '-c', config, '--yes');
    await eventually(
      () => Promise.resolve(value()),
      (stands) => stands === 2,
    );
  });

  test('is not dropped without a word of consent, and leaves a trace when it is', async () => {
    const { config, day, value } = await inConflict();
    expect(await mqtt2exist('held', 'drop', 'opens', day, '-c', config)).toMatchObject({ code: 64 });
    expect(await mqtt2exist('held', 'drop', 'opens', day, '-c', config, '--yes')).toMatchObject({ code: 0 });
    expect((await mqtt2exist('held', '-c', config)).text).toBe('nothing is held\n');
    const { text } = await mqtt2exist('explain', 'opens', day, '-c', config);
    expect(text).toContain('settled by the user (drop');
    expect(value()).toBe(40);
  });

  test('cannot be settled by a page of another site', async () => {
    const { daemon, day } = await inConflict();
    const body = JSON.stringify({ attribute: 'opens', day, how: 'drop' });
    const foreign = await fetch(`${daemon.webUrl}/api/held`, { method: 'POST', body });
    expect(foreign.status).toBe(415);
    expect((await daemon.status()).queue.conflict_items).toBe(1);
  });
});

describe('a backup', () => {
  test('is made beside the running daemon, and restored holds what was open instead of sending it twice', async () => {
    const { config, daemon, folder, client } = await inConflict();
    const file = path.join(folder, 'backup.db');
    expect(await mqtt2exist('backup', file, '-c', config)).toMatchObject({ code: 0 });
    expect(await mqtt2exist('restore', file, '-c', config)).toMatchObject({ code: 74 });
    await client.endAsync(true);
    await daemon.stop();
    expect(await mqtt2exist('restore', file, '-c', config, '--dry-run')).toMatchObject({ code: 0 });
    expect(await mqtt2exist('restore', file, '-c', config)).toMatchObject({ code: 0 });
  });
});
