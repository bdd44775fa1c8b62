/** `npm run crash-states -- --states 5000 --seed 7 [--control]`: as many power cuts, and what the next start finds. */
import { parseArgs } from 'node:util';
import { crashStates } from './crash-states.ts';
import { CANNOT_RECORD } from './recording.ts';

const { values } = parseArgs({
  options: {
    states: { type: 'string', default: '5000' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000_000) },
    control: { type: 'boolean', default: false },
  },
});

if (CANNOT_RECORD !== undefined) {
  console.error(CANNOT_RECORD);
  process.exitCode = 1;
} else {
  const [states, seed] = [Number(values.states), Number(values.seed)];
  const startedAt = Date.now();
  const { control } = values;
  const found = crashStates({ states, seed, control });
  const { lost, doubled, damaged, operations, readings, findings } = found;
  const seconds = Math.round((Date.now() - startedAt) / 1_000);
  console.log(
    `${states} states of ${operations} calls and ${readings} readings, seed ${seed}${control ? ', synchronous=NORMAL' : ''}: ` +
      `${lost} lost, ${doubled} doubled, ${damaged} damaged, ${seconds} s`,
  );
  for (const finding of findings) console.log(finding);
  const isClean = lost + doubled + damaged === 0;
  process.exitCode = isClean === control ? 1 : 0;
}
