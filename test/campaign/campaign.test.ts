import { expect, test } from 'vitest';
import { campaign, isBalanced } from './campaign.ts';

/** `npm run campaign -- --cycles 1000` is the long form. */
const CYCLES = 24;

test(
  `killed ${CYCLES} times among failing calls, the daemon loses nothing it acknowledged and doubles nothing`,
  { timeout: 120_000 },
  async () => {
    const seed = Number(process.env['CAMPAIGN_SEED'] ?? 20_261_124);
    const { lines } = await campaign({ cycles: CYCLES, seed });
    expect(
      lines.filter((line) => !isBalanced(line)),
      `seed ${seed}`,
    ).toEqual([]);
    expect(lines.some(({ did }) => did > 0)).toBe(true);
  },
);
