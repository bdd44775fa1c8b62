import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { connectAsync } from 'mqtt';
import { request } from 'undici';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { Sandbox } from '../../src/sandbox/sandbox.ts';
import { COMMAND, Daemon, eventually, writeConfig } from '../support/daemon.ts';

/** One for each test: they share a daemon, and what one settles is nothing to the others. */
const ATTRIBUTES = ['listed', 'counted', 'retried', 'replaced', 'dropped', 'kept'] as const;
/** Deleted at Exist by the tests that use them. */
const DELETED = ['vanished', 'fixed'] as const;
const ALL = [...ATTRIBUTES, ...DELETED];
type Name = (typeof ALL)[number];

const YAML = `attributes:
${ALL.map((name) => `  ${name}: { label: ${name}, type: integer, mode: shared }`).join('\n')}
mappings:
${ALL.map((name) => `  - { topic: door/${name}, attribute: ${name}, count: { each: any } }`).join('\n')}
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

/** A daemon with items in conflict: their call was applied and lost, and somebody edited the day meanwhile. */
async function inConflict() {
  const folder = mkdtempSync(path.join(tmpdir(), 'mqtt2exist-'));
  const sandbox = new Sandbox({ timezone: 'UTC', callsPerHour: 100_000 });
  const { url: existUrl } = await sandbox.start();
  // It lingers until all are there, so that they go in one call.
  const options = { folder, existUrl, yaml: YAML, flush: 'every: 100ms, linger: 300ms' };
  const daemon = await Daemon.start(options);
  const client = await connectAsync(daemon.brokerUrl, { protocolVersion: 4 });
  const day = new Date().toISOString().slice(0, 10);
  const valueOf = (name: Name): unknown =>
    sandbox.state().attributes.find((attribute) => attribute.name === name)?.values[day];
  const press = async (...names: readonly Name[]): Promise<void> => {
    await Promise.all(names.map((name) => client.publishAsync(`door/${name}`, 'x', { qos: 1 })));
  };
  const stands = (value: number, ...names: readonly Name[]): Promise<unknown> =>
    eventually(
      () => Promise.resolve(names.map(valueOf)),
      (values) => values.every((each) => each === value),
    );
  // The commands find the daemon by its configuration, which must name the port that was chosen.
  const config = writeConfig({ ...options, web: new URL(daemon.webUrl).host });
  await press(...ATTRIBUTES);
  await stands(1, ...ATTRIBUTES);
  const { text: listedBefore } = await mqtt2exist('held', '-c', config);
  sandbox.faults([{ match: { path: 'increment' }, fault: 'apply-then-lose' }]);
  await press(...ATTRIBUTES);
  await stands(2, ...ATTRIBUTES);
  for (const name of ATTRIBUTES) sandbox.edit(name, day, 40);
  await eventually(
    () => daemon.status(),
    ({ queue }) => queue.conflict_items === ATTRIBUTES.length,
  );
  const held = async (name: Name): Promise<unknown> =>
    (await daemon.status()).held.find(({ attribute }) => attribute === name);
  const stop = async (): Promise<void> => {
    await client.endAsync(true);
    await daemon.kill();
    await sandbox.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  /** Its attribute is deleted at Exist, and then something is counted into it. */
  const vanish = async (name: (typeof DELETED)[number]): Promise<void> => {
    await press(name);
    await stands(1, name);
    sandbox.deleteAttribute(name);
    await press(name, name);
    await eventually(
      () => daemon.status(),
      ({ held_attributes: attributes }) =>
        attributes.some(({ attribute, days }) => attribute === name && days[0]?.amount === 2),
    );
  };
  return {
    options,
    sandbox,
    daemon,
    vanish,
    client,
    config,
    day,
    folder,
    listedBefore,
    valueOf,
    press,
    stands,
    held,
    stop,
  };
}

let all: Awaited<ReturnType<typeof inConflict>>;

beforeAll(async () => {
  all = await inConflict();
});

afterAll(() => all.stop());

describe('an item in conflict', () => {
  test('is listed with its reason, and nothing of it is sent by itself', async () => {
    const { config, day, valueOf, listedBefore } = all;
    expect(listedBefore).toBe('nothing is held\n');
    const { code, text } = await mqtt2exist('held', '-c', config);
    expect(code).toBe(0);
    expect(text).toContain(`listed ${day}  conflict`);
    expect(text).toContain('Exist last showed 40');
    expect(valueOf('listed')).toBe(40);
  });

  test('counted by the user is not sent, and later counts go on from what stands there', async () => {
    const { config, day, press, stands, held } = all;
    const ran = await mqtt2exist('held', 'count', 'counted', day, '-c', config, '--yes');
    expect(ran).toMatchObject({ code: 0 });
    await press('counted');
    await stands(41, 'counted');
    expect(await held('counted')).toBeUndefined();
  });

  test('retried by the user is sent again', async () => {
    const { config, day, stands } = all;
    expect(await mqtt2exist('held', 'retry', 'retried', day, '-c', config)).toMatchObject({ code: 0 });
    await stands(41, 'retried');
  });

  test('set by the user makes the total what was said', async () => {
    const { config, day, stands } = all;
    for (const [total, words] of [
      ['12,5', 'whole numbers'],
      ['many', 'many'],
    ] as const) {
      const refused = await mqtt2exist('held', 'set', 'replaced', day, total, '-c', config, '--yes');
      expect(refused).toMatchObject({ code: 64 });
      expect(refused.text).toContain(words);
    }
    await mqtt2exist('held', 'set', 'replaced', day, '2', '-c', config, '--yes');
    await stands(2, 'replaced');
  });

  test('is not dropped without a word of consent, and leaves a trace when it is', async () => {
    const { config, day, valueOf, held } = all;
    const drop = ['held', 'drop', 'dropped', day, '-c', config];
    expect(await mqtt2exist(...drop)).toMatchObject({ code: 64 });
    expect(await held('dropped')).toBeDefined();
    expect(await mqtt2exist(...drop, '--yes')).toMatchObject({ code: 0 });
    expect((await mqtt2exist('held', '-c', config)).text).not.toContain('dropped');
    const { text } = await mqtt2exist('explain', 'dropped', day, '-c', config);
    expect(text).toContain('settled by the user (drop');
    expect(valueOf('dropped')).toBe(40);
  });

  test('is listed over HTTP as the status and the command list it', async () => {
    const { daemon, config } = all;
    const listed = await request(`${daemon.webUrl}/api/held`);
    const { held, held_attributes } = await daemon.status();
    expect(await listed.body.json()).toEqual({ held, held_attributes });
    expect(JSON.parse((await mqtt2exist('held', '--json', '-c', config)).text)).toEqual({
      held,
      held_attributes,
    });
    expect(held.length).toBeGreaterThan(0);
  });

  test('cannot be settled by a page of another site', async () => {
    const { daemon, day, held } = all;
    const body = JSON.stringify({ attribute: 'kept', day, how: 'drop' });
    const foreign = await request(`${daemon.webUrl}/api/held`, {
      method: 'POST',
      body,
      headers: { 'content-type': 'text/plain;charset=UTF-8' },
    });
    expect(foreign.statusCode).toBe(415);
    expect(await held('kept')).toBeDefined();
  });
});

describe('a day of an attribute that is held as a whole', () => {
  const settle = async (body: Record<string, unknown>): Promise<number> => {
    const { statusCode } = await request(`${all.daemon.webUrl}/api/held`, {
      method: 'POST',
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json', 'x-mqtt2exist': '1' },
    });
    return statusCode;
  };
  const daysOf = async (name: Name): Promise<unknown> =>
    (await all.daemon.status()).held_attributes.find(({ attribute }) => attribute === name)?.days;

  test('is listed with what waits, dropped with a trace, and tried again only with its attribute', async () => {
    const { config, day, daemon, vanish, press, stands } = all;
    await vanish('vanished');
    const { text: listed } = await mqtt2exist('held', '-c', config);
    expect(listed).toContain('vanished  held as a whole');
    expect(listed).toContain(`${day}  amount 2, Exist last showed 1`);

    const retried = await mqtt2exist('held', 'retry', 'vanished', day, '-c', config);
    expect(retried).toMatchObject({ code: 64 });
    expect(retried.text).toContain('mqtt2exist held retry vanished');
    expect(await mqtt2exist('held', 'drop', 'vanished', day, '-c', config, '--yes')).toMatchObject({
      code: 0,
    });
    await daemon.line(({ msg }) =>
      /vanished .* settled by the user \(drop; was held with its attribute: .*: 2 is forgotten/.test(
        String(msg),
      ),
    );
    expect(await daysOf('vanished')).toEqual([]);

    await press('vanished');
    expect(await settle({ attribute: 'vanished', day: null, how: 'retry' })).toBe(200);
    await stands(1, 'vanished');
  });

  test('set to a total is listed with it, and written when the attribute works again', async () => {
    const { day, vanish, stands } = all;
    await vanish('fixed');
    expect(await settle({ attribute: 'fixed', day, how: 'set', total: 'many' })).toBe(400);
    expect(await settle({ attribute: 'fixed', day, how: 'set', total: '7' })).toBe(200);
    expect(await daysOf('fixed')).toMatchObject([{ day, set_to: 7 }]);
    expect(await settle({ attribute: 'fixed', day: null, how: 'retry' })).toBe(200);
    await stands(7, 'fixed');
  });
});

describe('a backup', () => {
  test('is made beside the running daemon, and restored holds what was open instead of sending it twice', async () => {
    const { config, daemon, folder, client } = all;
    const file = path.join(folder, 'backup.db');
    expect(await mqtt2exist('backup', file, '-c', config)).toMatchObject({ code: 0 });
    expect(await mqtt2exist('restore', file, '-c', config)).toMatchObject({ code: 74 });
    await client.endAsync(true);
    await daemon.stop();
    expect(await mqtt2exist('restore', file, '-c', config, '--dry-run')).toMatchObject({ code: 0 });
    expect(await mqtt2exist('restore', file, '-c', config)).toMatchObject({ code: 0 });
  });

  test('restored is shown beside what stands at Exist by then', async () => {
    const { options, sandbox, day } = all;
    sandbox.edit('listed', day, 43);
    const daemon = await Daemon.start(options);
    onTestFinished(() => daemon.kill());
    const { held } = await eventually(
      () => daemon.status(),
      (status) => status.held.some(({ seen }) => seen === 43),
    );
    const listed = held.find(({ attribute }) => attribute === 'listed');
    expect(listed).toMatchObject({ day, state: 'conflict', amount: 1, seen: 43 });
    expect(Date.parse(listed?.seen_at ?? '')).toBeGreaterThan(Date.parse(listed?.since ?? ''));
  });
});
