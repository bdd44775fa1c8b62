import { expect, test } from 'vitest';
import { Daemon } from '../support/daemon.ts';
import { temporaryFolder } from '../support/folder.ts';
import { residentMb } from '../support/process.ts';
import { crowdAccounts, CROWD_YAML, gather } from './crowd.ts';
import { Sensor } from './sensor.ts';

const SIZE = 60;
const PRESSES = 60;
/** Half of what a Pi Zero 2 W has; a peer that knows no bounds takes gigabytes. */
const MOST_MB = 250;

test(
  'beside sixty misbehaving clients an honest sensor is acknowledged and counted exactly, and memory is bounded',
  { timeout: 60_000 },
  async () => {
    const daemon = await Daemon.start({
      folder: temporaryFolder(),
      existUrl: 'http://127.0.0.1:9',
      yaml: CROWD_YAML,
      broker: await crowdAccounts(),
    });
    const port = Number(new URL(daemon.brokerUrl).port);
    const sensor = await Sensor.connect({ port, username: 'sensor', password: 'sensor' });
    const crowd = await gather({ port, username: 'mad', password: 'mad' }, SIZE);
    let mostMb = 0;
    for (let press = 0; press < PRESSES; press += 1) {
      await sensor.press();
      mostMb = Math.max(mostMb, residentMb(daemon.pid));
    }
    const ways = await crowd.goHome();
    sensor.close();
    const { today } = await daemon.status();
    mostMb = Math.max(mostMb, residentMb(daemon.pid));
    expect(ways).not.toEqual([]);
    expect(today).toContainEqual(expect.objectContaining({ attribute: 'honest', total: PRESSES }));
    expect(mostMb).toBeLessThan(MOST_MB);
    expect(await daemon.stop()).toBe(0);
  },
);
