/** `npm run fuzz -- --cases 100000 --seed 7`; one case again: `--kind http --case 123 --seed 7`. */
import { parseArgs } from 'node:util';
import { KINDS, fuzz, megabytes } from './fuzz.ts';

/** How the cases are shared out: a stream of MQTT costs a connection, a configuration some milliseconds. */
const SHARES: Readonly<Record<string, number>> = { mqtt: 0.3, http: 0.2, payload: 0.4, configuration: 0.1 };

const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: '100000' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    kind: { type: 'string' },
    case: { type: 'string' },
  },
});
const seed = Number(values.seed);
console.log(`seed ${seed}`);
for (const kind of KINDS.filter(({ name }) => values.kind === undefined || values.kind === name)) {
  const startedAt = Date.now();
  const share = values.kind === undefined ? (SHARES[kind.name] ?? 0) : 1;
  const cases = values.case === undefined ? Math.round(Number(values.cases) * share) : 1;
  const result = await fuzz(kind, cases, seed, Number(values.case ?? 0));
  const seconds = Math.round((Date.now() - startedAt) / 1_000);
  console.log(
    `${kind.name}: ${cases} cases, ${result.failures.length} failures, ` +
      `${megabytes(result.warmBytes)} MB warm, ${megabytes(result.mostBytes)} MB at most, ${seconds} s`,
  );
  for (const failure of result.failures) console.log(`  ${failure}`);
  if (result.failures.length > 0) process.exitCode = 1;
}
