/** Throws cases at targets, and watches them and their memory. */
import { Random } from '../simulation/random.ts';
import { configuration } from './configuration.ts';
import { http } from './http.ts';
import type { Kind } from './kind.ts';
import { mqtt } from './mqtt.ts';
import { payload } from './payload.ts';

export const KINDS: readonly Kind[] = [mqtt, http, payload, configuration];

export interface FuzzResult {
  readonly kind: string;
  readonly cases: number;
  readonly failures: readonly string[];
  /** Resident memory after the first tenth of the cases, and the most after that, in bytes. */
  readonly warmBytes: number;
  readonly mostBytes: number;
}

/** How much the memory of a target may grow once it is warm. */
export const MOST_GROWTH_BYTES = 100 * 1_048_576;
const CHECK_EVERY = 500;

/** Runs the cases `from` to `from + cases - 1` of a seed: each can be run again alone. */
export async function fuzz(kind: Kind, cases: number, seed: number, from = 0): Promise<FuzzResult> {
  const target = await kind.open();
  const failures: string[] = [];
  let warmBytes = 0;
  let mostBytes = 0;
  try {
    for (let done = 0; done < cases;) {
      const count = Math.min(kind.atATime, cases - done);
      const found = await Promise.all(
        Array.from({ length: count }, async (_, n) => {
          const number = from + done + n;
          const failure = await target.attack(new Random(seed * 7_919 + number));
          return failure === undefined ? [] : [`case ${number}: ${failure}`];
        }),
      );
      failures.push(...found.flat());
      const before = done;
      done += count;
      if (Math.floor(before / CHECK_EVERY) !== Math.floor(done / CHECK_EVERY) || done === cases) {
        const failure = await target.check();
        if (failure !== undefined) failures.push(`after case ${from + done - 1}: ${failure}`);
        const bytes = target.memory();
        if (done <= cases / 10 || warmBytes === 0) warmBytes = Math.max(warmBytes, bytes);
        mostBytes = Math.max(mostBytes, bytes);
      }
      if (failures.length > 0) break;
    }
  } finally {
    await target.close();
  }
  if (mostBytes - warmBytes > MOST_GROWTH_BYTES) {
    failures.push(`memory grew from ${megabytes(warmBytes)} to ${megabytes(mostBytes)} MB`);
  }
  return { kind: kind.name, cases, failures, warmBytes, mostBytes };
}

export function megabytes(bytes: number): number {
  return Math.round(bytes / 1_048_576);
}
