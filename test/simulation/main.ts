/** `npm run simulate -- --histories 1000000 --seed 1`: as many histories, over all modes and processor cores. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import type { Mode } from '../../src/core/delivery/state.ts';
import { live } from './history.ts';
import { liveRestored } from './restored.ts';
import { shrink, tell } from './shrink.ts';

/** One life in so many has its card die, and an older copy put back. */
const RESTORED_EVERY = 10;

/** Shrinking takes a few hundred histories each. */
const MOST_TOLD = 3;

const MODES: readonly Mode[] = ['strict', 'guarded', 'shared'];

const { values } = parseArgs({
  options: {
    histories: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000_000) },
    /** Of the worker processes: every `of`-th history from `part` on. */
    part: { type: 'string' },
    of: { type: 'string' },
  },
});
const histories = Number(values.histories);
const seed = Number(values.seed);

if (values.part === undefined) {
  const workers = availableParallelism();
  console.log(`${histories} histories from seed ${seed}, ${workers} processes`);
  const startedAt = Date.now();
  const codes = await Promise.all(
    Array.from({ length: workers }, async (_, part) => {
      const args = [
        '--histories',
        String(histories),
        '--seed',
        String(seed),
        '--part',
        String(part),
        '--of',
        String(workers),
      ];
      const [code] = (await once(fork(import.meta.filename, args), 'exit')) as [number | null];
      return code;
    }),
  );
  const isFine = codes.every((code) => code === 0);
  console.log(
    `${isFine ? 'nothing lost, nothing doubled' : 'THE BOOKS DO NOT BALANCE'}, ${Math.round((Date.now() - startedAt) / 1_000)} s`,
  );
  process.exitCode = isFine ? 0 : 1;
} else {
  let calls = 0;
  let held = 0;
  let failed = 0;
  for (let n = Number(values.part); n < histories; n += Number(values.of)) {
    const mode = MODES[n % MODES.length] ?? 'guarded';
    const lived = n % RESTORED_EVERY === 0 ? liveRestored : live;
    const verdict = lived({ seed: seed + n, mode });
    calls += verdict.calls;
    held += verdict.held;
    if (verdict.deviations.length === 0) continue;
    process.exitCode = 1;
    failed += 1;
    if (failed <= MOST_TOLD) console.log(`mode ${mode}, ${tell(shrink({ seed: seed + n, mode }, lived))}`);
  }
  console.log(
    `part ${values.part}: ${calls} calls, ${held} items held for the user, ${failed} histories failed`,
  );
}
