import { expect, test } from 'vitest';
import { isBalanced } from './books.ts';
import { NO_MOSQUITTO } from '../support/mosquitto.ts';
import { campaign } from './campaign.ts';

/** Each in two houses at once, since much of a life is waiting, one of them with a login by OAuth2; `npm run campaign -- --cycles 1000` is the long form. */
const CYCLES = 12;
const without = NO_MOSQUITTO === undefined ? '' : ` (without a Mosquitto as a source: ${NO_MOSQUITTO})`;

test(
  `killed ${2 * CYCLES} times among failing calls, the daemon loses nothing it acknowledged and doubles nothing${without}`,
  { timeout: 120_000 },
  async () => {
    const first = Number(process.env['CAMPAIGN_SEED'] ?? 20_261_124);
    const results = await Promise.all(
      [false, true].map((withLogin, house) =>
        campaign({ cycles: CYCLES, seed: first + house, isBrief: true, withLogin }),
      ),
    );
    for (const { seed, lines, evidence } of results) {
      expect(
        lines.filter((line) => !isBalanced(line)),
        [`seed ${seed}`, ...evidence].join('\n'),
      ).toEqual([]);
      expect(lines.some(({ presses }) => presses > 0)).toBe(true);
    }
  },
);
