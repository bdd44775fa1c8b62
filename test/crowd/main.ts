/**
 * A crowd of misbehaving clients as a process of its own, until it is told to go:
 * `node test/run.mjs test/crowd/main.ts --port 1883 --size 200`. Says `ready` when all of them have begun.
 */
import { parseArgs } from 'node:util';
import { setMaxListeners } from 'node:events';
import { setPriority } from 'node:os';
import { Random } from '../simulation/random.ts';
import { MISBEHAVIOURS } from './misbehaviour.ts';

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '1883' },
    username: { type: 'string', default: 'mad' },
    password: { type: 'string', default: 'mad' },
    size: { type: 'string', default: '200' },
    seed: { type: 'string', default: '20261124' },
    /** Only those whose name this regular expression finds. */
    only: { type: 'string', default: '' },
  },
});

// What is looked at is the broker, not how a machine shares its cores.
setPriority(19);

const home = new AbortController();
setMaxListeners(0, home.signal);
const victim = { port: Number(values.port), username: values.username, password: values.password };
const ways = Object.entries(MISBEHAVIOURS).filter(([name]) => new RegExp(values.only).test(name));
const bouts = new Map(ways.map(([name]) => [name, 0]));
const size = Number(values.size);

async function misbehave(index: number): Promise<void> {
  const [name, way] = ways[index % ways.length] ?? [];
  if (name === undefined || way === undefined) throw new Error('no misbehaviour is called that');
  const random = new Random(Number(values.seed) * 7_919 + index);
  while (!home.signal.aborted) {
    await way({ victim, random, clientId: `crowd-${index}`, address: addressOf(index), signal: home.signal });
    bouts.set(name, (bouts.get(name) ?? 0) + 1);
    // A device that was cut off comes back soon.
    await new Promise((resolve) => setTimeout(resolve, random.whole(10, 200)));
  }
}

/** Linux has all of 127.0.0.0/8 on its loopback. */
function addressOf(index: number): string {
  return process.platform === 'linux'
    ? `127.0.${1 + Math.floor(index / 250)}.${1 + (index % 250)}`
    : '127.0.0.1';
}

process.on('SIGTERM', () => home.abort());
const crowd = Array.from({ length: size }, (_, index) => misbehave(index));
console.log('ready');
await Promise.all(crowd);
for (const [name, count] of bouts) console.log(`${String(count).padStart(6)}  ${name}`);
process.exit(0);
