/** `npm run campaign -- --cycles 1000 --seed 1` */
import { parseArgs } from 'node:util';
import { campaign, isBalanced } from './campaign.ts';

const { values } = parseArgs({
  options: {
    cycles: { type: 'string', default: '1000' },
    seed: { type: 'string', default: String(Date.now()) },
  },
});
const cycles = Number(values.cycles);
const seed = Number(values.seed);
console.log(`${cycles} cycles, seed ${seed}`);
const result = await campaign({ cycles, seed, log: console.log });
console.table(result.lines);
const { start, checkpoint, anything } = result.kills;
console.log(`killed ${start} times in its start, ${checkpoint} in a checkpoint, ${anything} in anything`);
if (result.skipped !== undefined) console.log(`without a Mosquitto as a source: ${result.skipped}`);
const isFine = result.lines.every(isBalanced);
console.log(isFine ? 'nothing lost, nothing doubled' : `THE BOOKS DO NOT BALANCE (seed ${seed})`);
process.exitCode = isFine ? 0 : 1;
