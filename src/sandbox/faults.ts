/**
 * The failure switch: what is to go wrong, with which calls, how often. Each fault lives until its `times` are used
 * up. Chance comes from a seeded generator of the fault's own, so that a run can be repeated.
 */
import * as z from 'zod';

const simpleKinds = [
  'lose',
  'apply-then-lose',
  'apply-half-then-lose',
  'timeout',
  'apply-then-timeout',
  'apply-twice',
  'no-date',
  'echo-date',
  'stale-read',
  'drop-ownership',
  'expire-token',
] as const;

const applied = z.boolean().optional();

const effect = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.enum(simpleKinds) }),
  z.strictObject({ kind: z.literal('apply-late'), delayMs: z.number().int().min(0).max(86_400_000) }),
  z.strictObject({
    kind: z.literal('status'),
    status: z.number().int().min(200).max(599),
    body: z.string().optional(),
    headers: z.record(z.string(), z.string()).optional(),
    applied,
  }),
  z.strictObject({ kind: z.literal('broken-json'), applied }),
  z.strictObject({ kind: z.literal('cut-body'), applied }),
  z.strictObject({ kind: z.literal('html'), applied }),
  z.strictObject({
    kind: z.literal('oversized'),
    bytes: z.number().int().min(1).max(67_108_864).default(8_388_608),
    applied,
  }),
  z.strictObject({ kind: z.literal('missing-item'), index: z.number().int().min(0).default(0) }),
]);

const faultSchema = z.strictObject({
  match: z
    .strictObject({
      method: z
        .string()
        .transform((method) => method.toUpperCase())
        .optional(),
      /** A part of the path: `increment`, `with-values`, `access_token`. */
      path: z.string().optional(),
    })
    .default({}),
  /** How many calls it befalls; -1 for ever. */
  times: z.number().int().min(-1).default(1),
  probability: z.number().min(0).max(1).default(1),
  seed: z.number().int().default(1),
  fault: z.preprocess((value) => (typeof value === 'string' ? { kind: value } : value), effect),
});

const faultsSchema = z.array(faultSchema).max(1_000);

export type Fault = z.infer<typeof faultSchema>;
export type FaultEffect = Fault['fault'];
/** As it is written, with everything optional left out where the default will do. */
export type FaultInput = Partial<Omit<Fault, 'fault'>> & {
  readonly fault: (typeof simpleKinds)[number] | z.input<typeof effect>['kind'] | z.input<typeof effect>;
};

const MOST_FAULTS = 1_000;

export class FaultSwitch {
  private armed: { fault: Fault; random: () => number }[] = [];

  /** Later faults come after earlier ones. Returns what is wrong with them, or nothing. */
  add(input: unknown): string | undefined {
    const parsed = faultsSchema.safeParse(input);
    if (!parsed.success) return z.prettifyError(parsed.error);
    if (this.armed.length + parsed.data.length > MOST_FAULTS)
      return `there are more than ${MOST_FAULTS} faults`;
    for (const fault of parsed.data) {
      if (fault.times !== 0) this.armed.push({ fault, random: seededRandom(fault.seed) });
    }
    return undefined;
  }

  list(): readonly Fault[] {
    return this.armed.map(({ fault }) => fault);
  }

  clear(): void {
    this.armed = [];
  }

  /** The fault that befalls this call: the first that matches and whose chance strikes. */
  take(method: string, path: string): FaultEffect | undefined {
    for (const entry of this.armed) {
      const { match, probability, times } = entry.fault;
      if (match.method !== undefined && match.method !== method) continue;
      if (match.path !== undefined && !path.includes(match.path)) continue;
      if (probability < 1 && entry.random() >= probability) continue;
      if (times > 0) entry.fault = { ...entry.fault, times: times - 1 };
      if (entry.fault.times === 0) this.armed = this.armed.filter((other) => other !== entry);
      return entry.fault.fault;
    }
    return undefined;
  }
}

/** Mulberry32: 32 bits of state are plenty for coin tosses. */
function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
