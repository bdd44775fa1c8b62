/** How the daemon dies: every cycle of a campaign is one of these. */
import { watch } from 'node:fs';
import path from 'node:path';
import { DATABASE_FILE } from '../../src/ledger/database.ts';
import type { Daemon } from '../support/daemon.ts';
import type { House } from './house.ts';

export interface Death {
  readonly name: string;
  /** Of the cycles, beside the shares of the others. */
  readonly share: number;
  /** From a start to a kill. */
  run(house: House): Promise<void>;
}

/** Far more presses than fill a WAL. */
const MOST_UNTIL_CHECKPOINT = 400;
/** Most lives are over before the daemon has made ten calls. */
const LONG_LIFE_CHANCE = 0.15;

/** During the start, the migration, the checks, before or after it is ready. */
export const IN_START: Death = {
  name: 'its start',
  share: 0.2,
  run: (house) => house.killStarting(house.random.whole(20, 600)),
};

/** SQLite writes to the main file only when it moves the WAL there: the first write of that kills it. */
const IN_CHECKPOINT: Death = {
  name: 'a checkpoint',
  share: 0.1,
  run: async (house) => {
    const daemon = await begin(house);
    let killed: Promise<void> | undefined;
    const watcher = watch(path.join(house.dataDir, DATABASE_FILE), () => {
      killed ??= daemon.kill();
    });
    try {
      for (let n = 0; n < MOST_UNTIL_CHECKPOINT && !killed; n += 1) {
        house.devices[n % house.devices.length]?.happen();
        if (n % 2 === 0) await pause(3);
      }
      await (killed ?? daemon.kill());
    } finally {
      watcher.close();
    }
  },
};

const IN_ANYTHING: Death = {
  name: 'anything',
  share: 0.7,
  run: async (house) => {
    const daemon = await begin(house);
    await live(daemon, house);
    await daemon.kill();
  },
};

/** A kill falls into the refresh of a token wherever it falls: with a login (oauth.ts) there is one every few seconds. */
export const DEATHS: readonly Death[] = [IN_START, IN_CHECKPOINT, IN_ANYTHING];

/** What is published to Mosquitto before it knows the bridge is nobody's. */
async function begin(house: House): Promise<Daemon> {
  const daemon = await house.start();
  await house.mosquitto?.line(/campaign\/source \(QoS 2\)/);
  return daemon;
}

/** Picks by share. */
export function pickDeath({ random }: House, deaths: readonly Death[] = DEATHS): Death {
  let left = random.next() * deaths.reduce((sum, { share }) => sum + share, 0);
  return deaths.find(({ share }) => (left -= share) < 0) ?? IN_ANYTHING;
}

/**
 * Some bursts of presses. Somebody reads the configuration again every now and then, which ends what a failed call
 * makes the daemon wait for: otherwise it would sit out the whole of most lives in a back-off.
 */
async function live(daemon: Daemon, { random, devices, isBrief }: House): Promise<void> {
  const isLong = !isBrief && random.chance(LONG_LIFE_CHANCE);
  const bursts = isLong ? random.whole(12, 36) : random.whole(1, isBrief ? 3 : 8);
  for (let burst = bursts; burst > 0; burst -= 1) {
    for (const device of devices) {
      if (isRetired(device.attribute, devices.length)) continue;
      for (let n = random.whole(0, 3); n > 0; n -= 1) device.happen();
    }
    for (let looks = random.whole(1, 3); looks > 0; looks -= 1) {
      daemon.signal('SIGHUP');
      await pause(random.whole(5, 80));
    }
  }
}

/** Of the new devices only the latest go on: all that matters about them is how their attribute came to be. */
function isRetired(attribute: string, devices: number): boolean {
  const [, number] = /^new_(\d+)$/.exec(attribute) ?? [];
  return number !== undefined && devices - Number(number) > 10;
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
