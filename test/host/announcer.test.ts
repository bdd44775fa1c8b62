import { execFileSync } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { hashPassword } from '../../src/accounts/password-hash.ts';
import type { EpochMs } from '../../src/core/time.ts';
import { Announcer, type Service } from '../../src/host/announcer.ts';
import { TestClock } from '../support/clock.ts';
import { Daemon } from '../support/daemon.ts';
import { temporaryFolder } from '../support/folder.ts';

const NOON = '2026-11-24T12:00:00Z';
const BROKER: Service = { name: 'mqtt2exist on pi', type: '_mqtt._tcp', port: 1883 };
const SECURE: Service = { name: 'mqtt2exist on pi', type: '_secure-mqtt._tcp', port: 8883 };

const ANNOUNCED = 'announced in the local network';
const LOST = 'no longer announced in the local network';
const NOT_STARTED = 'not announced in the local network';

/** What the real command says, with all that it was told; then it lives until it is told to end. */
const ESTABLISHES = `echo "Established under name '$2'" >&2; exec /bin/sleep 600`;
const NO_AVAHI = 'echo "Failed to create client object: Daemon not running" >&2; exit 1';

/**
 * A folder that is the whole PATH, with an `avahi-publish` in it that writes down how it is called and then does what
 * the test says: a line of shell.
 */
function setup(does: string | null = ESTABLISHES) {
  const folder = temporaryFolder();
  const [command, calls] = [path.join(folder, 'avahi-publish'), path.join(folder, 'calls')];
  writeFileSync(calls, '');
  const script = `#!/bin/sh\n(IFS='|'; echo "$$|$LC_ALL|$*" >>${calls})\neval "$DOES"\n`;
  if (does !== null) writeFileSync(command, script, { mode: 0o755 });
  const env: NodeJS.ProcessEnv = { PATH: folder, LC_ALL: 'de_DE.UTF-8', DOES: does ?? '' };
  const clock = new TestClock(NOON);
  const logged: { level: string; message: string; fields: unknown }[] = [];
  const pauses: number[] = [];
  const written = new EventEmitter();
  const announcer = new Announcer({
    env,
    monotonicMs: () => clock.monotonicMs(),
    after: (delayMs, task) => {
      pauses.push(delayMs);
      return clock.at((clock.now() + delayMs) as EpochMs, task);
    },
    log: (level, message, fields) => {
      logged.push({ level, message, fields });
      written.emit('line');
    },
  });
  onTestFinished(() => announcer.stop());
  /** Resolves when this was logged so many times. */
  const said = async (message: string, times = 1): Promise<void> => {
    while (logged.filter((line) => line.message === message).length < times) await once(written, 'line');
  };
  const called = () =>
    readFileSync(calls, 'utf8')
      .split('\n')
      .slice(0, -1)
      .map((line) => {
        const [pid, language, ...args] = line.split('|');
        return { pid: Number(pid), language, args };
      });
  const pass = (ms: number): void => {
    clock.advanceTo(new Date(clock.now() + ms).toISOString());
  };
  return { announcer, env, command, logged, pauses, said, called, pass };
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

describe('an announcement', () => {
  test('is one child for each service, with its type and port, which speaks English', async () => {
    const { announcer, said, called, logged, pauses } = setup();
    announcer.start([BROKER, SECURE]);
    await said(ANNOUNCED, 2);
    const calls = called().toSorted((a, b) => String(a.args).localeCompare(String(b.args)));
    expect(calls.map(({ args }) => args)).toEqual([
      ['-s', 'mqtt2exist on pi', '_mqtt._tcp', '1883'],
      ['-s', 'mqtt2exist on pi', '_secure-mqtt._tcp', '8883'],
    ]);
    expect(calls.map(({ language }) => language)).toEqual(['C', 'C']);
    expect(logged).toHaveLength(2);
    expect(logged).toContainEqual({ level: 'info', message: ANNOUNCED, fields: BROKER });
    expect(pauses).toEqual([]);
  });

  test('tells the name that Avahi picked, and the next one where that is taken as well', async () => {
    const gate = path.join(temporaryFolder(), 'gate');
    execFileSync('mkfifo', [gate]);
    const { announcer, logged, said } = setup(`
      echo "Name collision, picking new name 'pi's #2'." >&2
      echo "Established under name 'pi's #2'" >&2; read nothing <${gate}
      echo "Name collision, picking new name 'pi's #3'." >&2
      echo "Established under name 'pi's #3'" >&2; exec /bin/sleep 600`);
    announcer.start([BROKER]);
    await said(ANNOUNCED);
    writeFileSync(gate, '\n');
    await said(ANNOUNCED, 2);
    expect(logged.map(({ fields }) => fields)).toMatchObject([{ name: "pi's #2" }, { name: "pi's #3" }]);
  });

  test('of a name that this machine announces already gets a number', async () => {
    const { announcer, said, called, pass } = setup(
      `case "$2" in *#3) ${ESTABLISHES};; esac; echo 'Failed to add service: Local name collision' >&2; exit 1`,
    );
    const name = 'x'.repeat(63);
    announcer.start([{ ...BROKER, name }]);
    await said(LOST);
    pass(1_000);
    await said(LOST, 2);
    pass(2_000);
    await said(ANNOUNCED);
    const names = [name, `${'x'.repeat(60)} #2`, `${'x'.repeat(60)} #3`];
    expect(called().map(({ args }) => args[1])).toEqual(names);
  });

  test('begins again after pauses that grow, and tells it in the debug log only', async () => {
    const { announcer, said, called, pauses, pass, logged } = setup(NO_AVAHI);
    announcer.start([BROKER]);
    for (let times = 1; times <= 12; times += 1) {
      await said(LOST, times);
      expect(called()).toHaveLength(times);
      const pauseMs = pauses.at(-1) ?? 0;
      pass(pauseMs - 1);
      expect(logged).toHaveLength(times);
      pass(1);
    }
    expect(pauses).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600].map((s) => s * 1_000));
    expect(new Set(logged.map(({ level }) => level))).toEqual(new Set(['debug']));
    const reason = 'Failed to create client object: Daemon not running';
    expect(logged[0]?.fields).toMatchObject({ type: '_mqtt._tcp', port: 1883, ended: 1, reason });
  });

  test.each([
    [59_999, 4_000],
    [60_000, 1_000],
  ])('that lasted %i ms begins again after %i ms', async (lastedMs, pauseMs) => {
    const { announcer, env, said, called, pauses, pass } = setup(NO_AVAHI);
    announcer.start([BROKER]);
    await said(LOST);
    pass(1_000);
    await said(LOST, 2);
    env['DOES'] = ESTABLISHES;
    pass(2_000);
    await said(ANNOUNCED);
    pass(lastedMs);
    process.kill(called().at(-1)?.pid ?? 0);
    await said(LOST, 3);
    expect(pauses).toEqual([1_000, 2_000, pauseMs]);
  });

  test('is not made where there is no such program: only the debug log says so, once', async () => {
    const { announcer, logged, pauses, said } = setup(null);
    announcer.start([BROKER]);
    await said(NOT_STARTED);
    const fields = { type: '_mqtt._tcp', port: 1883, reason: 'there is no avahi-publish here' };
    expect(logged).toEqual([{ level: 'debug', message: NOT_STARTED, fields }]);
    expect(pauses).toEqual([]);
  });

  test('that the system does not let begin is tried again', async () => {
    const { announcer, env, command, said, pauses, pass } = setup();
    chmodSync(command, 0o644);
    announcer.start([BROKER]);
    await said(NOT_STARTED);
    chmodSync(command, 0o755);
    // Longer than the system takes: it is refused before there is a child.
    env['LONG'] = 'x'.repeat(200_000);
    pass(1_000);
    await said(NOT_STARTED, 2);
    delete env['LONG'];
    pass(2_000);
    await said(ANNOUNCED);
    expect(pauses).toEqual([1_000, 2_000]);
  });
});

describe('stop', () => {
  test('ends the children, which nothing starts again, and may be called at any time', async () => {
    const { announcer, said, called, pauses, pass, logged } = setup();
    await announcer.stop();
    announcer.start([BROKER, SECURE]);
    await said(ANNOUNCED, 2);
    const pids = called().map(({ pid }) => pid);
    expect(pids.map(isAlive)).toEqual([true, true]);
    await Promise.all([announcer.stop(), announcer.stop()]);
    expect(pids.map(isAlive)).toEqual([false, false]);
    await announcer.stop();
    pass(3_600_000);
    expect(pauses).toEqual([]);
    expect(called()).toHaveLength(2);
    expect(logged).toHaveLength(2);
  });

  test('kills one that does not end', async () => {
    const { announcer, said, called } = setup(`trap '' TERM; ${ESTABLISHES}`);
    announcer.start([BROKER]);
    await said(ANNOUNCED);
    await announcer.stop();
    expect(called().map(({ pid }) => isAlive(pid))).toEqual([false]);
  });

  test('calls off a child that was to begin later', async () => {
    const { announcer, said, called, pass } = setup(NO_AVAHI);
    announcer.start([BROKER]);
    await said(LOST);
    await announcer.stop();
    pass(3_600_000);
    expect(called()).toHaveLength(1);
  });

  test('does not wait for a child that has ended already, though its output is not closed', async () => {
    const { announcer, said, called, logged } = setup(
      `/bin/sleep 600 & echo "Established under name '$!'" >&2; exit 1`,
    );
    announcer.start([BROKER]);
    await said(ANNOUNCED);
    const holder = Number((logged[0]?.fields as Service).name);
    onTestFinished(() => void process.kill(holder));
    const [child] = called();
    while (isAlive(child?.pid ?? 0)) await new Promise((resolve) => setImmediate(resolve));
    await announcer.stop();
    expect(isAlive(holder)).toBe(true);
  });

  test('while a child begins, or fails to, leaves none behind', async () => {
    for (const does of [ESTABLISHES, null]) {
      const { announcer, called } = setup(does);
      announcer.start([BROKER]);
      await announcer.stop();
      expect(called().map(({ pid }) => isAlive(pid))).not.toContain(true);
    }
  });
});

describe('a daemon that is killed', () => {
  test('leaves no child behind that goes on announcing it', async () => {
    const folder = temporaryFolder();
    const [calls, life] = [path.join(folder, 'calls'), path.join(folder, 'life')];
    execFileSync('mkfifo', [life]);
    const script = `#!/bin/sh\nexec 9>${life}\necho $$ >>${calls}\n${ESTABLISHES}\n`;
    writeFileSync(path.join(folder, 'avahi-publish'), script, { mode: 0o755 });
    // Read to its end when nobody has it open any more.
    const over = readFile(life);
    const hash = await hashPassword('password');
    const daemon = await Daemon.start(
      {
        folder,
        existUrl: 'http://127.0.0.1:1',
        listen: 'mqtt://0.0.0.0:0',
        broker: `, users: { fridge: { password_hash: "${hash}", publish: [door] } }`,
        yaml: 'mappings: [{ topic: door, attribute: opens, count: { when: open } }]\nattributes: { opens: { type: integer } }',
      },
      { PATH: folder },
    );
    onTestFinished(() => daemon.kill());
    await daemon.line(({ msg }) => msg === ANNOUNCED);
    const child = Number(readFileSync(calls, 'utf8'));
    expect(isAlive(child)).toBe(true);
    onTestFinished(() => {
      if (isAlive(child)) process.kill(child);
    });
    await daemon.kill();
    await over;
  });
});
