/**
 * `npm run bench -- crowd`: what 200 misbehaving clients do to the acknowledgements of one honest sensor, here and with
 * peers that store nothing. Broker, sensor and crowd share a machine: what that alone costs is told by the same crowd at
 * another broker.
 */
import { crowdAccounts, CROWD_YAML, gather, type Crowd } from '../crowd/crowd.ts';
import { Sensor } from '../crowd/sensor.ts';
import { residentMb } from '../support/process.ts';
import { isInstalled, startAedes, startDaemon, startMosquitto, type Broker } from './brokers.ts';

const SIZE = 200;
const PRESSES = 500;
/** Between two of the sensor's, in milliseconds: sixteen a second, which no door does. */
const PACE_MS = 60;
/** A peer that stands still is not waited for. */
const PATIENCE_MS = 60_000;

export async function crowd(): Promise<void> {
  console.log(`\nOne honest sensor, alone and beside ${SIZE} misbehaving clients: its acknowledgements`);
  const broker = await crowdAccounts();
  const daemon = (name: string) => () => startDaemon(name, { yaml: CROWD_YAML, broker });
  await beside('mqtt2exist, crowd at another broker', daemon('crowd'), daemon('crowd-elsewhere'));
  await beside('mqtt2exist', daemon('crowd'));
  await beside('bare aedes', startAedes);
  if (isInstalled('mosquitto')) await beside('mosquitto', startMosquitto);
  else console.log('mosquitto    not installed');
}

async function beside(
  name: string,
  start: () => Promise<Broker>,
  startOther?: () => Promise<Broker>,
): Promise<void> {
  const broker = await start();
  const other = await startOther?.();
  const { port, pid } = broker;
  let gathered: Crowd | undefined;
  let watch: NodeJS.Timeout | undefined;
  try {
    const sensor = await Sensor.connect({ port, username: 'sensor', password: 'sensor' });
    await press(sensor, 100);
    const quiet = await press(sensor, PRESSES);
    const atRest = residentMb(pid);
    gathered = await gather({ port: other?.port ?? port, username: 'mad', password: 'mad' }, SIZE);
    let most = atRest;
    watch = setInterval(() => (most = Math.max(most, residentMb(pid))), 100);
    const loud = await press(sensor, PRESSES);
    const ways = await gathered.goHome();
    gathered = undefined;
    console.log(
      [
        name.padEnd(36),
        `alone p50 ${quiet.p50.toFixed(2)} p99 ${quiet.p99.toFixed(2)} ms`,
        `beside the crowd p50 ${loud.p50.toFixed(2)} p99 ${loud.p99.toFixed(2)} ms (${(loud.p99 / quiet.p99).toFixed(1)} times, ${loud.presses} presses)`,
        `resident ${atRest.toFixed(0)} MB, ${most.toFixed(0)} MB at most`,
      ].join('   '),
    );
    if (process.env['BENCH_WAYS'] !== undefined) for (const way of ways) console.log(way);
    sensor.close();
  } catch (error) {
    console.log(`${name.padEnd(36)} ${String(error)}`);
  }
  clearInterval(watch);
  await gathered?.goHome();
  await other?.stop();
  await broker.stop();
}

async function press(sensor: Sensor, times: number): Promise<{ p50: number; p99: number; presses: number }> {
  const tookMs: number[] = [];
  const until = performance.now() + PATIENCE_MS;
  for (let n = 0; n < times && performance.now() < until; n += 1) {
    tookMs.push(await Promise.race([sensor.press(), late(until)]));
    await new Promise((resolve) => setTimeout(resolve, PACE_MS));
  }
  tookMs.sort((a, b) => a - b);
  const at = (share: number): number => tookMs[Math.floor(tookMs.length * share)] ?? 0;
  return { p50: at(0.5), p99: at(0.99), presses: tookMs.length };
}

/** Rejects after the patience is over; nothing waits for it. */
function late(until: number): Promise<never> {
  return new Promise((_, reject) => {
    const leftMs = Math.max(0, until - performance.now());
    setTimeout(() => reject(new Error('the sensor was not acknowledged any more')), leftMs).unref();
  });
}
