/**
 * What goes wrong between the daemon and Exist, on every call it makes: the counting ones, the repairs, the reads
 * that are to tell what became of the others, and those that find, create and acquire attributes.
 */
import type { FaultInput } from '../../src/sandbox/faults.ts';
import type { Random } from '../simulation/random.ts';

const EVERYTHING = '/api/2/';

type Chance = readonly [fault: FaultInput['fault'], probability: number];

const LATE: readonly Chance[] = [
  [{ kind: 'apply-late', delayMs: 100 }, 0.01],
  [{ kind: 'apply-late', delayMs: 400 }, 0.02],
  // Past the first look that follows an unknown outcome.
  [{ kind: 'apply-late', delayMs: 1_500 }, 0.01],
];

/** What can befall any call. */
const ANYWHERE: readonly Chance[] = [
  ['lose', 0.04],
  ['apply-then-lose', 0.05],
  ['timeout', 0.005],
  ['apply-then-timeout', 0.01],
  [{ kind: 'status', status: 500 }, 0.01],
  [{ kind: 'status', status: 502, applied: true }, 0.02],
  [{ kind: 'status', status: 302, headers: { location: '/elsewhere' } }, 0.01],
  [{ kind: 'status', status: 429, headers: { 'retry-after': '0' } }, 0.02],
  [{ kind: 'broken-json', applied: true }, 0.02],
  [{ kind: 'broken-json', applied: false }, 0.01],
  [{ kind: 'cut-body', applied: true }, 0.02],
  ['html', 0.01],
  [{ kind: 'oversized', bytes: 5_000_000 }, 0.002],
  [{ kind: 'missing-item' }, 0.02],
];

/** What befalls what changes a day's value. */
const WRITES: readonly Chance[] = [
  ...ANYWHERE,
  ...LATE,
  ['apply-half-then-lose', 0.03],
  ['apply-twice', 0.03],
  [{ kind: 'missing-item', index: 2 }, 0.02],
  ['echo-date', 0.03],
  ['no-date', 0.01],
  ['drop-ownership', 0.01],
];

const READS: readonly Chance[] = [
  ...ANYWHERE,
  ['stale-read', 0.1],
  [{ kind: 'missing-item', index: 1 }, 0.01],
];

const OWNERSHIP: readonly Chance[] = [...ANYWHERE, ...LATE, ['apply-twice', 0.1]];

const BY_PATH: Readonly<Record<string, readonly Chance[]>> = {
  increment: WRITES,
  update: WRITES,
  'with-values': READS,
  acquire: OWNERSHIP,
  create: OWNERSHIP,
  owned: OWNERSHIP,
  profile: ANYWHERE,
  // The daemon knows the templates by heart; should it ever ask, it is to fail too.
  templates: ANYWHERE,
};

/** The faults of a whole campaign, each with a chance of its own that begins at `seed`. */
export function lastingFaults(seed: number): FaultInput[] {
  return Object.entries(BY_PATH).flatMap(([path, chances], row) =>
    chances.map(([fault, probability], column) => ({
      match: { path },
      times: -1,
      probability,
      seed: seed * 10_007 + row * 101 + column,
      fault,
    })),
  );
}

/** Now and then everything fails alike for some calls: a token that is dead, a limit that is used up, an outage. */
export function spell(random: Random): FaultInput {
  const fault = random.pick<FaultInput['fault']>([
    { kind: 'status', status: 401 },
    { kind: 'status', status: 403 },
    // Without Retry-After the daemon leaves Exist alone for minutes, in which it would only be killed.
    { kind: 'status', status: 429, headers: { 'retry-after': '1' } },
    { kind: 'status', status: 503 },
    { kind: 'status', status: 503, applied: true },
    'lose',
    'apply-then-lose',
    'stale-read',
  ]);
  return { match: { path: EVERYTHING }, times: random.whole(1, 4), fault };
}

/** Whether a spell still goes on: a second one on top of it would soon be one that never ends. */
export function isSpell({ match }: FaultInput): boolean {
  return match?.path === EVERYTHING;
}
