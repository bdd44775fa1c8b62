/** Configuration files that are none: each mistake has its place, and nothing is thrown. */
import { readFileSync, readdirSync } from 'node:fs';
import type { Random } from '../simulation/random.ts';
import { load } from '../config/setup.ts';
import { mutate, pick, type Kind, type Target } from './kind.ts';

const PIECES = [
  '*a',
  '&a ',
  '!!map ',
  '[',
  ']',
  '{',
  '}',
  '"',
  "'",
  '|',
  '>',
  '#',
  '---\n',
  '<<: ',
  '? ',
  '${A}',
  '${',
  '\t',
  '\r\n',
  '\0',
  '\uFEFF',
  '.nan',
  '1e999',
  'null',
  'true',
  '__proto__: ',
  'constructor: ',
  '5s',
  '-1',
  '99999999999d',
  '  ',
  '\n- ',
  ': ',
];

export const configuration: Kind = {
  name: 'configuration',
  atATime: 1,
  open(): Promise<Target> {
    const files = ['config', 'config/recipes'].flatMap((folder) =>
      readdirSync(folder)
        .filter((name) => name.endsWith('.yaml'))
        .map((name) => readFileSync(`${folder}/${name}`, 'utf8')),
    );
    return Promise.resolve({
      attack: (random) => Promise.resolve(survives(broken(pick(files, random), random))),
      check: () => Promise.resolve(undefined),
      memory: () => process.memoryUsage().rss,
      close: () => Promise.resolve(),
    });
  },
};

function broken(text: string, random: Random): string {
  let result = text;
  for (let count = random.whole(1, 4); count > 0; count -= 1) {
    const from = random.whole(0, result.length);
    const until = Math.min(result.length, from + (random.chance(0.5) ? 0 : random.whole(0, 30)));
    result = result.slice(0, from) + pick(PIECES, random) + result.slice(until);
  }
  return random.chance(0.1) ? mutate(Buffer.from(result), random).toString('latin1') : result;
}

function survives(text: string): string | undefined {
  try {
    const loaded = load(text, { env: { A: 'a', EXIST_TOKEN: 'x' } });
    if (loaded.ok) return undefined;
    const odd = loaded.problems.find(({ line, column, message }) => line < 1 || column < 1 || message === '');
    if (odd) return `a problem without a place: ${JSON.stringify(odd)}`;
    return loaded.problems.length === 0 ? 'refused without a problem' : undefined;
  } catch (error) {
    return `${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n${text}`;
  }
}
