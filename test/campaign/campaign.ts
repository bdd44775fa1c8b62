/**
 * The built daemon killed at random instants, between devices that keep publishing and an Exist that fails in every
 * way it can. In the end the books are compared: what the devices did = what stands in Exist + what is held.
 */
import { createServer } from 'node:net';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Sandbox } from '../../src/sandbox/sandbox.ts';
import { Random } from '../simulation/random.ts';
import { Daemon, eventually, killStarting } from '../support/daemon.ts';
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
mappings:
  - { topic: campaign/qos1, attribute: qos1, count: { each: any } }
  - { topic: campaign/qos2, attribute: qos2, count: { each: any } }
  - { topic: campaign/ids, attribute: ids, value: event, id: inst & "/" & $string(seq), count: { each: pressed } }
  - { topic: campaign/qos0, attribute: qos0, count: { each: any } }
`;

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
  const start = (): Promise<Daemon> => Daemon.start({ folder, existUrl, yaml: YAML, listen: brokerUrl });
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
      // Some are killed before they are ready: during the start, the checks, a checkpoint.
      const isEarly = random.chance(0.2);
      if (isEarly) {
        await killStarting({ folder, existUrl, yaml: YAML, listen: brokerUrl }, random.whole(20, 600));
      } else {
        daemon = await start();
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
      lines: await settle(daemon, sandbox, devices),
    };
  } finally {
    await daemon?.kill();
    for (const device of devices) device.stop();
    await sandbox.stop();
    rmSync(folder, { recursive: true, force: true });
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

export function isBalanced({ did, stands, held, mayLose }: AccountLine): boolean {
  if (held > 0) return stands <= did;
  return mayLose ? stands <= did : stands === did;
}

function totalOf(state: ReturnType<Sandbox['state']>, attribute: string): number {
  const label = attribute.startsWith('qos') ? `QoS ${attribute.slice(3)}` : 'Ids';
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
