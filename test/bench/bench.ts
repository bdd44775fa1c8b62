/**
 * `npm run bench`: the built daemon against bare aedes and, where installed, mosquitto, in the same run.
 *
 * `npm run bench -- crowd`: only the misbehaving clients.
 *
 * Every reading of the daemon's is stored durably before its acknowledgement; the peers store nothing.
 */
import { readFileSync } from 'node:fs';
import { residentMb } from '../support/process.ts';
import { FilterTrie } from '../../src/core/topic.ts';
import { isInstalled, pause, startAedes, startDaemon, startMosquitto, type Broker } from './brokers.ts';
import { crowd } from './crowd.ts';
import { publish, type LoadResult } from './load.ts';

const MESSAGES = Number(process.env['BENCH_MESSAGES'] ?? 50_000);
const ROUNDS = Number(process.env['BENCH_ROUNDS'] ?? 3);
const LOAD = { clients: 50, inFlight: 20, payloadBytes: 60 };
const SLOW_DISK = [
  'strace',
  '-f',
  '--seccomp-bpf',
  '-qq',
  '-o',
  '/dev/null',
  '-e',
  'trace=fsync,fdatasync',
  '-e',
  'inject=fsync,fdatasync:delay_exit=10000',
];

if (process.argv[2] === 'crowd') await crowd();
else await main();

async function main(): Promise<void> {
  heading('QoS 1 ingest: 50 clients, 20 in flight each, 60 bytes');
  await ingest('bare aedes, stores nothing', startAedes);
  if (isInstalled('mosquitto')) await ingest('mosquitto, stores nothing', startMosquitto);
  else console.log('mosquitto                               not installed');
  await ingest('mqtt2exist, all durable', () => startDaemon('daemon'));
  if (isInstalled('strace')) {
    await ingest('mqtt2exist, 10 ms more per fsync', () => startDaemon('slow', { wrapper: SLOW_DISK }));
  } else console.log('mqtt2exist, 10 ms more per fsync        needs strace');
  heading('One client, one in flight');
  await ingest('bare aedes', startAedes, { clients: 1, inFlight: 1, messages: 2_000 });
  await ingest('mqtt2exist', () => startDaemon('single'), { clients: 1, inFlight: 1, messages: 2_000 });
  await memoryAndStart();
  await bytesPerReading();
  topicLookup();
  await crowd();
}

async function ingest(
  name: string,
  start: () => Promise<Broker>,
  load: Partial<typeof LOAD & { messages: number }> = {},
): Promise<void> {
  const broker = await start();
  const whole = { ...LOAD, messages: MESSAGES, ...load, port: broker.port };
  await publish({ ...whole, messages: Math.min(whole.messages, 5_000) });
  const results: LoadResult[] = [];
  for (let round = 0; round < ROUNDS; round += 1) results.push(await publish(whole));
  await broker.stop();
  const rates = results.map(({ perSecond }) => perSecond).sort((a, b) => a - b);
  const middle = results.find(({ perSecond }) => perSecond === rates[Math.floor(rates.length / 2)]);
  if (!middle) return;
  const spread = `[${rates[0] ?? 0} to ${rates.at(-1) ?? 0}]`;
  console.log(
    `${name.padEnd(38)} ${String(middle.perSecond).padStart(7)} msg/s ${spread.padEnd(18)} p50 ${middle.p50Ms.toFixed(2)} ms, p99 ${middle.p99Ms.toFixed(2)} ms`,
  );
}

async function memoryAndStart(): Promise<void> {
  heading('Memory and start');
  const startedAt = performance.now();
  const broker = await startDaemon('memory');
  console.log(`start to ready            ${(performance.now() - startedAt).toFixed(0)} ms`);
  await pause(3_000);
  console.log(`resident at rest          ${residentMb(broker.pid).toFixed(1)} MB`);
  await publish({ ...LOAD, messages: MESSAGES, port: broker.port });
  console.log(`resident after the load   ${residentMb(broker.pid).toFixed(1)} MB`);
  await broker.stop();
}

async function bytesPerReading(): Promise<void> {
  heading('Bytes written to the disk per reading (write_bytes of /proc)');
  for (const [name, clients, inFlight] of [
    ['one at a time', 1, 1],
    ['10 at a time', 1, 10],
    ['50 clients, 20 in flight', 50, 20],
  ] as const) {
    const broker = await startDaemon(`bytes-${clients}-${inFlight}`);
    const before = bytesWritten(broker.pid);
    const messages = 2_000;
    await publish({ port: broker.port, clients, inFlight, messages, payloadBytes: 60 });
    console.log(`${name.padEnd(25)} ${((bytesWritten(broker.pid) - before) / messages).toFixed(0)} bytes`);
    await broker.stop();
  }
}

function topicLookup(): void {
  heading('Topic lookup: nanoseconds a topic, trie against a loop over all filters');
  for (const count of [10, 1_000, 10_000]) {
    const filters = Array.from({ length: count }, (_, n) =>
      n % 10 === 0 ? `house/+/room${n}/#` : `house/floor${n % 7}/room${n}/door`,
    );
    const trie = new FilterTrie<string>();
    for (const filter of filters) trie.add(filter, filter);
    const topics = Array.from(
      { length: 1_000 },
      (_, n) => `house/floor${n % 7}/room${(n * 37) % count}/door`,
    );
    const tests = filters.map(
      (filter) => new RegExp(`^${filter.replace('+', '[^/]*').replace('/#', '(/.*)?')}$`),
    );
    const loop = (topic: string): number => tests.filter((test) => test.test(topic)).length;
    const trieNs = nanoseconds(topics, (topic) => trie.match(topic).length, 50);
    const loopNs = nanoseconds(topics, loop, count > 1_000 ? 1 : 5);
    console.log(
      `${String(count).padStart(6)} mappings   trie ${trieNs.toFixed(0).padStart(6)} ns   loop ${loopNs.toFixed(0).padStart(9)} ns`,
    );
  }
}

function nanoseconds(topics: readonly string[], match: (topic: string) => number, rounds: number): number {
  let found = 0;
  for (const topic of topics) found += match(topic);
  const startedAt = process.hrtime.bigint();
  for (let round = 0; round < rounds; round += 1) for (const topic of topics) found += match(topic);
  const tookNs = Number(process.hrtime.bigint() - startedAt);
  if (found === 0) throw new Error('nothing matched');
  return tookNs / (rounds * topics.length);
}

function bytesWritten(pid: number): number {
  const [, bytes = '0'] = /^write_bytes: (\d+)/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8')) ?? [];
  return Number(bytes);
}

function heading(text: string): void {
  console.log(`\n${text}`);
}
