/**
 * The built daemon killed at random instants, between devices that keep publishing (to its own broker, and to a
 * Mosquitto it takes readings from) and an Exist that fails in every way it can. In the end the books are compared:
 * what the devices did = what stands in Exist + what is held.
 *
 * Its first starts find the database of the first version, and are killed while they bring it to the present one.
 */
import { createServer } from 'node:net';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, watch } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { connect, migrate } from '../../src/ledger/connection.ts';
import { DATABASE_FILE } from '../../src/ledger/database.ts';
import { MIGRATIONS } from '../../src/ledger/migrations.ts';
import { Sandbox } from '../../src/sandbox/sandbox.ts';
import { Random } from '../simulation/random.ts';
import { Daemon, eventually, killStarting, type DaemonOptions } from '../support/daemon.ts';
import { Mosquitto, NO_MOSQUITTO } from '../support/mosquitto.ts';
import { CarelessDevice, FaithfulDevice, RestartingDevice, type Device } from './devices.ts';

export interface CampaignOptions {
  readonly cycles: number;
  readonly seed: number;
  readonly log?: (line: string) => void;
}

export interface CampaignResult {
  readonly seed: number;
  readonly cycles: number;
  readonly calls: number;
  /** How often it was killed: in its start, in the middle of a checkpoint, in the middle of anything. */
  readonly kills: Readonly<Record<'start' | 'checkpoint' | 'anything', number>>;
  /** What was left out, and why. */
  readonly skipped: string | undefined;
  readonly lines: readonly AccountLine[];
}

/** One attribute's balance. */
export interface AccountLine {
  readonly attribute: string;
  readonly did: number;
  readonly stands: number;
  readonly held: number;
  /** QoS 0 may lose, never double. */
  readonly mayLose: boolean;
}

const YAML = `attributes:
  qos1: { label: QoS 1, type: integer }
  qos2: { label: QoS 2, type: integer }
  ids: { label: Ids, type: integer }
  qos0: { label: QoS 0, type: integer }
  source: { label: Source, type: integer }
mappings:
  - { topic: campaign/qos1, attribute: qos1, count: { each: any } }
  - { topic: campaign/qos2, attribute: qos2, count: { each: any } }
  - { topic: campaign/ids, attribute: ids, value: event, id: inst & "/" & $string(seq), count: { each: pressed } }
  - { topic: campaign/qos0, attribute: qos0, count: { each: any } }
  - { topic: campaign/source, attribute: source, count: { each: any } }
`;

/** Starts that meet the old database, or what the one before has made of it. */
const FIRST_STARTS = 4;
/** Far more presses than fill a WAL. */
const MOST_UNTIL_CHECKPOINT = 400;

/** What goes wrong between us and Exist, and how often. */
const FAULTS = [
  ['lose', 0.06],
  ['apply-then-lose', 0.06],
  ['apply-half-then-lose', 0.03],
  ['apply-then-timeout', 0.01],
  ['apply-twice', 0.02],
  [{ kind: 'apply-late', delayMs: 400 }, 0.03],
  [{ kind: 'status', status: 502, applied: true }, 0.03],
  [{ kind: 'status', status: 302, headers: { location: '/elsewhere' } }, 0.02],
  [{ kind: 'status', status: 429, headers: { 'retry-after': '0' } }, 0.02],
  [{ kind: 'broken-json', applied: true }, 0.02],
  [{ kind: 'cut-body', applied: true }, 0.02],
  [{ kind: 'html' }, 0.02],
  [{ kind: 'missing-item' }, 0.03],
] as const;

export async function campaign({
  cycles,
  seed,
  log = () => undefined,
}: CampaignOptions): Promise<CampaignResult> {
  const random = new Random(seed);
  const folder = mkdtempSync(path.join(tmpdir(), 'mqtt2exist-campaign-'));
  const sandbox = new Sandbox({ timezone: 'UTC', callsPerHour: 10_000_000 });
  const { url: existUrl } = await sandbox.start();
  const port = await freePort();
  const brokerUrl = `mqtt://127.0.0.1:${port}`;
  const devices: Device[] = [
    new FaithfulDevice(port, 'qos1', 1),
    new FaithfulDevice(port, 'qos2', 2),
    new RestartingDevice(port, 'ids', random),
    new CarelessDevice(port, 'qos0'),
  ];
  const mosquitto = NO_MOSQUITTO === undefined ? await startMosquitto(folder) : undefined;
  if (mosquitto) devices.push(new FaithfulDevice(mosquitto.port, 'source', 2));
  const connections = mosquitto
    ? `connections: [{ name: home, url: "mqtt://127.0.0.1:${mosquitto.port}" }]\n`
    : '';
  const options: DaemonOptions = { folder, existUrl, yaml: connections + YAML, listen: brokerUrl };
  const start = (): Promise<Daemon> => Daemon.start(options);
  const kills = { start: 0, checkpoint: 0, anything: 0 };
  layOldDatabase(folder);
  sandbox.faults(
    FAULTS.map(([fault, probability], index) => ({
      match: { path: 'increment' },
      times: -1,
      probability,
      seed: seed + index,
      fault,
    })),
  );
  let daemon: Daemon | undefined;
  try {
    for (let cycle = 1; cycle <= cycles; cycle += 1) {
      const isEarly = cycle <= FIRST_STARTS || random.chance(0.2);
      if (isEarly) {
        // During the start, the migration, the checks, before or after it is ready.
        await killStarting(options, random.whole(20, 600));
        kills.start += 1;
      } else if (kills.anything > 0 && random.chance(0.15)) {
        daemon = await start();
        await killAtCheckpoint(daemon, folder, devices);
        kills.checkpoint += 1;
      } else {
        daemon = await start();
        // What is published to Mosquitto before it knows the bridge is nobody's.
        await mosquitto?.line(/campaign\/source \(QoS 2\)/);
        kills.anything += 1;
        for (let burst = random.whole(1, 4); burst > 0; burst -= 1) {
          for (const device of devices) for (let n = random.whole(0, 5); n > 0; n -= 1) device.happen();
          await pause(random.whole(0, 150));
        }
        await daemon.kill();
      }
      if (cycle % 25 === 0)
        log(`${cycle} of ${cycles} cycles, ${devices.map(({ did }) => did).join(' + ')} presses`);
    }
    sandbox.clearFaults();
    daemon = await start();
    return {
      seed,
      cycles,
      calls: sandbox.state().calls.length,
      kills,
      skipped: NO_MOSQUITTO,
      lines: await settle(daemon, sandbox, devices),
    };
  } finally {
    await daemon?.kill();
    for (const device of devices) device.stop();
    await mosquitto?.kill();
    await sandbox.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What the first version of the program left behind. */
function layOldDatabase(folder: string): void {
  const data = path.join(folder, 'data');
  mkdirSync(data);
  const db = connect(path.join(data, DATABASE_FILE));
  migrate(db, MIGRATIONS.slice(0, 1));
  db.close();
}

function startMosquitto(folder: string): Promise<Mosquitto> {
  const own = path.join(folder, 'mosquitto');
  mkdirSync(own);
  return Mosquitto.start(own, ['max_queued_messages 0']);
}

/** SQLite writes to the main file only when it moves the WAL there: the first write of that kills it. */
async function killAtCheckpoint(daemon: Daemon, folder: string, devices: readonly Device[]): Promise<void> {
  let killed: Promise<void> | undefined;
  const watcher = watch(path.join(folder, 'data', DATABASE_FILE), () => {
    killed ??= daemon.kill();
  });
  try {
    for (let n = 0; n < MOST_UNTIL_CHECKPOINT && !killed; n += 1) {
      devices[n % devices.length]?.happen();
      await pause(5);
    }
    await (killed ?? daemon.kill());
  } finally {
    watcher.close();
  }
}

/** Waits until nothing is open any more, then reads the books. */
async function settle(daemon: Daemon, sandbox: Sandbox, devices: readonly Device[]): Promise<AccountLine[]> {
  const asked = async () => ({
    status: await daemon.status(),
    did: devices.map((device) => device.did),
    unacknowledged: devices.map((device) => device.unacknowledged),
  });
  await eventually(asked, ({ unacknowledged }) => unacknowledged.every((count) => count === 0), 30_000);
  const balance = async (): Promise<AccountLine[]> => {
    const { held } = await daemon.status();
    const state = sandbox.state();
    return devices.map((device) => ({
      attribute: device.attribute,
      did: device.did,
      stands: totalOf(state, device.attribute),
      held: held.filter(({ attribute }) => attribute === device.attribute).length,
      mayLose: device instanceof CarelessDevice,
    }));
  };
  try {
    return await eventually(balance, (lines) => lines.every(isBalanced), 40_000);
  } catch {
    return balance();
  }
}

const LABELS: Readonly<Record<string, string>> = {
  qos0: 'QoS 0',
  qos1: 'QoS 1',
  qos2: 'QoS 2',
  ids: 'Ids',
  source: 'Source',
};

export function isBalanced({ did, stands, held, mayLose }: AccountLine): boolean {
  if (held > 0) return stands <= did;
  return mayLose ? stands <= did : stands === did;
}

function totalOf(state: ReturnType<Sandbox['state']>, attribute: string): number {
  const label = LABELS[attribute];
  const found = state.attributes.find((each) => each.label === label);
  return Object.values(found?.values ?? {}).reduce<number>((sum, value) => sum + Number(value), 0);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address ? address.port : 0;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
