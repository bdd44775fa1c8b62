/** The last line of defence: what was registered as a secret is cut out of every line, whoever logs it. */
import { expect, test } from 'vitest';
import { createLog } from '../../src/host/log.ts';
import { Places } from './search.ts';

const RUN = 'x7QfridgeDoorZ2w';
const SECRET = `"\\% ${RUN}&<'é`;

function logged(format: 'text' | 'json', env: Record<string, string> = {}) {
  const places = new Places();
  const secrets: string[] = [];
  const write = (line: string): void => places.add('the log', line);
  const log = createLog({ level: 'debug', format, env, isTerminal: false, write, secrets });
  const tell = (): void => {
    log('warn', `not with ${SECRET}`, { reason: `with ${SECRET}?`, all: [{ words: SECRET }], count: 1 });
  };
  return { places, secrets, tell, whereabouts: () => places.whereabouts({ secret: RUN }) };
}

test.each([
  ['text', {}],
  ['text', { JOURNAL_STREAM: '8:1' }],
  ['json', {}],
] as const)('a secret is shown neither in the words nor in the fields of a line: %s %o', (format, env) => {
  const { places, secrets, tell, whereabouts } = logged(format, env);
  secrets.push(SECRET);
  tell();
  expect(whereabouts()).toEqual([]);
  expect(places.text('the log')).toMatch(/not with \*\*\*.*\n$/);
});

test('one that is not known yet is shown; one that a reload brings is cut out from then on', () => {
  const { places, secrets, tell, whereabouts } = logged('json');
  tell();
  expect(whereabouts()).toEqual(['secret: the log']);
  secrets.push(SECRET);
  const before = places.text('the log');
  tell();
  const after = new Places();
  after.add('the log', places.text('the log').slice(before.length));
  expect(after.whereabouts({ secret: RUN })).toEqual([]);
});

test('what is shorter than any secret is left in the words it stands in', () => {
  const { places, secrets, tell } = logged('text');
  secrets.push('not');
  tell();
  expect(places.text('the log')).toContain('not with');
});
