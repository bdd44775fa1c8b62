/** A decision about a held item, as `POST /api/held` takes it. */
import type { IncomingMessage } from 'node:http';
import * as z from 'zod';
import type { Settlement } from '../core/delivery/settlement.ts';
import { isLocalDate } from '../core/time.ts';
import { toUnits } from '../core/units.ts';

const MOST_BYTES = 4_096;

const day = z.string().refine(isLocalDate, 'not a date YYYY-mm-dd');
const attribute = z.string().min(1);

const schema = z.union([
  z.strictObject({ attribute, day: z.null(), how: z.literal('retry') }),
  z.strictObject({ attribute, day, how: z.enum(['retry', 'drop', 'count']) }),
  z.strictObject({
    attribute,
    day,
    how: z.literal('set'),
    // Read by what the attribute takes, where that is known.
    total: z.union([
      z.string().max(1_000),
      z.number().transform((number, context) => {
        const units = toUnits(number);
        if (units !== undefined) return units;
        context.addIssue({ code: 'custom', message: 'too large to be exact' });
        return z.NEVER;
      }),
    ]),
  }),
]);

export async function readSettlement(
  request: IncomingMessage,
): Promise<Settlement | { readonly error: string }> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of request) {
      const bytes = chunk as Buffer; // no encoding is set on the request
      length += bytes.length;
      if (length > MOST_BYTES) return { error: `more than ${MOST_BYTES} bytes` };
      chunks.push(bytes);
    }
    const parsed = schema.safeParse(JSON.parse(Buffer.concat(chunks).toString('utf8')));
    if (parsed.success) return parsed.data;
    return { error: `send {attribute, day, how: retry|drop|count} or {attribute, day, how: "set", total}` };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}
