/**
 * Sequences of messages as real devices publish them, and what each is to add: from payload to contribution.
 */
import { describe, expect, test } from 'vitest';
import * as z from 'zod';
import { dateReading } from '../../../src/core/event-time.ts';
import { react } from '../../../src/core/mapping/engine.ts';
import type { MappingState } from '../../../src/core/mapping/mapping-state.ts';
import { readPayload } from '../../../src/core/payload.ts';
import type { Extraction, Reading } from '../../../src/core/reading.ts';
import type { EpochMs } from '../../../src/core/time.ts';
import { UNITS_PER_ONE } from '../../../src/core/units.ts';
import { compileExpressions } from '../../../src/expression/expressions.ts';
import type { Mapping, Operation } from '../../../src/core/mapping/mapping.ts';
import sequences from '../../fixtures/device-sequences.json';
import { mapping, noon, zone } from './player.ts';

const operation = z.custom<Operation>(
  (value) => typeof value === 'object' && value !== null && 'kind' in value,
);

const sequence = z.strictObject({
  name: z.string(),
  sources: z.partialRecord(z.enum(['value', 'if', 'id', 'at']), z.string()),
  operation,
  valueType: z.enum(['integer', 'decimal']).optional(),
  scale: z.number().optional(),
  range: z.tuple([z.number(), z.number()]).optional(),
  debounceMs: z.number().optional(),
  /** When the first message comes in; noon else. */
  receivedAt: z.number().optional(),
  messages: z.array(
    z.strictObject({
      topic: z.string(),
      payload: z.string(),
      replay: z.boolean(),
      adds: z.union([z.number(), z.literal('refused')]),
      note: z.string(),
      /** Time since the message before, 10 s else. */
      afterMs: z.number().optional(),
    }),
  ),
});

type Sequence = z.infer<typeof sequence>;
type Message = Sequence['messages'][number];

function mappingOf({ operation, valueType, scale, range, debounceMs }: Sequence): Mapping {
  return mapping(operation, {
    ...(valueType && { valueType }),
    ...(scale !== undefined && { scale }),
    ...(range && { range }),
    ...(debounceMs !== undefined && { debounceMs }),
  });
}

/** One mapping on one topic, with identities seen before left out as the ledger does. */
class Run {
  private state: MappingState | undefined;
  private readonly identities = new Set<string>();
  private readonly mapping: Mapping;
  private readonly extract: (payload: string) => Extraction | Promise<Extraction>;

  constructor(from: Sequence) {
    this.mapping = mappingOf(from);
    const { operation } = this.mapping;
    const objectAsText = operation.kind === 'count' && operation.on === 'message' && operation.each === 'any';
    const compiled = compileExpressions(from.sources, { objectAsText });
    if (!compiled.ok) throw new Error(JSON.stringify(compiled.problems));
    this.extract = (payload) => compiled.extract(readPayload(new TextEncoder().encode(payload)));
  }

  async take({ payload, replay }: Message, receivedAt: EpochMs): Promise<number | 'refused'> {
    const extraction = await this.extract(payload);
    if (extraction.kind !== 'values') return extraction.kind === 'refused' ? 'refused' : 0;
    const { identity, values } = extraction;
    if (identity !== undefined && this.identities.has(identity)) return 0;
    if (identity !== undefined) this.identities.add(identity);
    const dated = dateReading(extraction, receivedAt, zone);
    if ('refused' in dated) return 'refused';
    let sum = 0;
    for (const value of values) {
      const reading: Reading = { value, at: dated.at, receivedAt, retain: replay, replay };
      const { state, verdict, contributions } = react(this.mapping, this.state, reading, zone);
      if (verdict === 'refused') return 'refused';
      this.state = state;
      for (const one of contributions) if (one.kind === 'sum') sum += one.amount;
    }
    return sum / UNITS_PER_ONE;
  }
}

describe('a sequence of messages of', () => {
  test.each(z.array(sequence).parse(sequences))('$name adds what happened', async (one) => {
    const run = new Run(one);
    let receivedAt = one.receivedAt ?? noon;
    for (const message of one.messages) {
      receivedAt += message.afterMs ?? 10_000;
      expect(await run.take(message, receivedAt as EpochMs), message.note).toBe(message.adds);
    }
  });
});
