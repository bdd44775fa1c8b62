/** `npm run campaign -- --cycles 1000 --seed 1`; with a login by OAuth2: `--login`. */
import { parseArgs } from 'node:util';
import { isBalanced } from './books.ts';
import { campaign } from './campaign.ts';

const { values } = parseArgs({
  options: {
    cycles: { type: 'string', default: '1000' },
    seed: { type: 'string', default: String(Date.now()) },
    login: { type: 'boolean', default: false },
  },
});
const cycles = Number(values.cycles);
const seed = Number(values.seed);
console.log(`${cycles} cycles, seed ${seed}`);
const result = await campaign({ cycles, seed, withLogin: values.login, log: console.log });
console.table(result.lines);
console.log(`killed in ${[...result.kills].map(([name, times]) => `${name} ${times} times`).join(', ')}`);
console.log(['calls', ...result.calls].join('\n  '));
console.log(
  [`${result.settled.length} times something was held and settled by hand`, ...result.settled].join('\n  '),
);
if (result.skipped !== undefined) console.log(`without a Mosquitto as a source: ${result.skipped}`);
if (result.logins !== undefined) console.log(`${result.logins} times somebody had to log in again`);
// Where all is kept back, nothing can be lost or doubled.
const isStarved = result.writes < cycles / 2;
if (isStarved) console.log(`ONLY ${result.writes} CALLS WOULD HAVE CHANGED ANYTHING: this shows little`);
const isFine = result.lines.every(isBalanced);
for (const line of result.evidence) console.log(line);
console.log(isFine ? 'nothing lost, nothing doubled' : `THE BOOKS DO NOT BALANCE (seed ${seed})`);
process.exitCode = isFine && !isStarved ? 0 : 1;
