/** Payloads of devices that are none, through the real intake into a real database, with every operation. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { readPayload } from '../../src/core/payload.ts';
import type { EpochMs } from '../../src/core/time.ts';
import { Intake } from '../../src/intake/intake.ts';
import { Ledger } from '../../src/ledger/ledger.ts';
import { rulesOf } from '../../src/settings.ts';
import { configOf } from '../config/setup.ts';
import type { Random } from '../simulation/random.ts';
import { mutate, pick, type Kind, type Target } from './kind.ts';

const CONFIG = `exist: { token: x }
attributes:
  whole: { label: Whole, type: integer }
  parts: { label: Parts, type: decimal }
  level: { label: Level, type: decimal }
  spent: { label: Spent, type: minutes }
  words: { label: Words, type: text }
  clock: { label: Clock, type: time_of_day }
mappings:
  - { topic: a/count, attribute: whole, value: state, count: { when: [open, on], hold: 5s } }
  - { topic: a/each, attribute: whole, value: "events[type=\\"press\\"].n", id: seq, count: { each: any } }
  - { topic: a/add, attribute: parts, value: state, scale: 0.001, range: [-10, 1000], add: {} }
  - { topic: a/rise, attribute: parts, value: ENERGY.Total, rise: { max_step: 100, instance: boot } }
  - { topic: a/duration, attribute: spent, value: "$lowercase(state)", at: time, duration: { while: { above: 5, hysteresis: 1 }, max: 4h } }
  - { topic: a/set, attribute: words, if: "$exists(state)", set: { pick: last } }
  - { topic: a/time, attribute: clock, value: state, age: age, time: { of: open, pick: first } }
  - { topic: "a/+", attribute: level, set: { pick: mean, round: 2 }, value: "$number(n)" }
`;
const TOPICS = ['a/count', 'a/each', 'a/add', 'a/rise', 'a/duration', 'a/set', 'a/time', 'a/other'];
const SAMPLES = [
  '{"state":"open","seq":1,"boot":"x","time":"2026-11-24T12:00:00","age":5,"n":3,"ENERGY":{"Total":"12,5 kWh"}}',
  '{"events":[{"type":"press","n":1},{"type":"press","n":"2"}],"seq":"abc"}',
  '{"state":-1e300,"n":1e-300,"time":1e20,"age":-1}',
  '{"state":{"state":{"state":[]}},"n":[1,2,3],"seq":{},"boot":null}',
  '{"__proto__":{"state":"open"},"constructor":{"prototype":1}}',
  'open',
  'OFF',
  '412.7g',
  '72,4',
  'nan',
  'unavailable',
  ' ',
  '1e309',
  '0x10',
  '\u0000',
  '"\\ud800"',
  '[[[[[[[[[[',
  '9'.repeat(400),
];

export const payload: Kind = {
  name: 'payload',
  atATime: 100,
  open(): Promise<Target> {
    const folder = mkdtempSync(path.join(tmpdir(), 'mqtt2exist-fuzz-'));
    const ledger = Ledger.open(folder);
    const faults: string[] = [];
    let now = Date.parse('2026-11-24T12:00:00Z');
    const timers: { readonly at: number; readonly task: () => void }[] = [];
    const intake = new Intake(
      {
        journal: ledger.journal,
        clock: {
          now: () => now as EpochMs,
          monotonicMs: () => now,
          at: (at, task) => {
            const timer = { at, task };
            timers.push(timer);
            return () => void timers.splice(timers.indexOf(timer), timers.includes(timer) ? 1 : 0);
          },
        },
        bootId: 'fuzz',
        zone: () => 'Europe/Berlin',
        parse: (bytes) => readPayload(bytes),
        onContributions: () => undefined,
        onRefused: () => undefined,
        onSeen: () => undefined,
        onEstimated: () => undefined,
        onStored: () => undefined,
        onFault: (error) => faults.push(String(error)),
      },
      rulesOf(configOf(CONFIG)),
    );
    intake.start();
    let packetId = 0;
    return Promise.resolve({
      attack: (random) =>
        new Promise((resolve) => {
          now += random.whole(0, 20_000);
          for (const { at, task } of timers.splice(0)) {
            if (at <= now) task();
            else timers.push({ at, task });
          }
          packetId = (packetId % 60_000) + 1;
          const publish = {
            topic: pick(TOPICS, random),
            payload: bytesOf(random),
            retain: random.chance(0.1),
            dup: random.chance(0.1),
            packetId,
            clientId: 'fuzz',
          };
          intake.take(publish, (error) => {
            resolve(error ? `${publish.topic}: ${error.message}` : faults.shift());
          });
        }),
      check: () => {
        for (const day of ['2026-11-24', '2026-11-25', '2026-11-26']) {
          for (const key of ledger.delivery.keysOfDay(
            day as Parameters<typeof ledger.delivery.keysOfDay>[0],
          )) {
            if (key.kind === 'sum' && !Number.isSafeInteger(key.total)) {
              return Promise.resolve(`${key.attribute} on ${day}: ${key.total}`);
            }
          }
        }
        return Promise.resolve(faults.shift());
      },
      memory: () => process.memoryUsage().rss,
      close: async () => {
        await intake.stop();
        ledger.close();
        rmSync(folder, { recursive: true, force: true });
      },
    });
  },
};

function bytesOf(random: Random): Buffer {
  if (random.chance(0.1)) {
    return Buffer.from(Array.from({ length: random.whole(0, 300) }, () => random.whole(0, 255)));
  }
  const sample = Buffer.from(pick(SAMPLES, random));
  return random.chance(0.7) ? mutate(sample, random) : sample;
}
