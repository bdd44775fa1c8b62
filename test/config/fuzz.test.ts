import fc from 'fast-check';
import { expect, it } from 'vitest';
import { load, withMappings } from './setup.ts';

/** What YAML and the schema give a meaning to, to be put together at random. */
const pieces = fc.constantFrom(
  ...[
    'exist:',
    'mappings:',
    'attributes:',
    'broker:',
    '- topic: a',
    'count:',
    'when: open',
    'token: ${X}',
    '  ',
    '\n',
    ': ',
    '- ',
  ],
  ...[
    '*',
    '&a ',
    '*a',
    '!',
    '!!map ',
    '[',
    ']',
    '{',
    '}',
    ',',
    '"',
    "'",
    '|',
    '>',
    '#',
    '%',
    '@',
    '`',
    '---\n',
    '...\n',
    '<<',
    '? ',
  ],
  ...[
    '${',
    '$${',
    '${A}',
    '\t',
    '\r\n',
    '\0',
    '\u2028',
    '\uFEFF',
    '\uD800',
    '0x1',
    '.nan',
    '.inf',
    '1e999',
    'null',
    '~',
    'true',
  ],
  ...['__proto__: ', 'constructor: ', 'toString', 'any', 'false', '5s'],
);

function survives(text: string): void {
  const loaded = load(text, { env: { A: 'a' } });
  if (loaded.ok) return;
  expect(loaded.problems.length).toBeGreaterThan(0);
  for (const { line, column, message } of loaded.problems) {
    expect(line).toBeGreaterThan(0);
    expect(column).toBeGreaterThan(0);
    expect(message).not.toBe('');
  }
}

it('never throws, whatever the file says', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(pieces, fc.string({ maxLength: 5 })), { maxLength: 25 }), (parts) => {
      survives(parts.join(''));
    }),
    { numRuns: 1_000 },
  );
});

it('never throws, whatever stands at one place of a configuration', () => {
  const values = fc.oneof(pieces, fc.json({ maxDepth: 3 }), fc.string({ maxLength: 20 }));
  const text = withMappings(
    'attribute: opens, value: a.b, if: c, count: { when: open, hold: 5s }',
    'attribute: water, add: {}',
  );
  const places = [...text.matchAll(/[a-z_./]+|\{|\}|: /g)].map(
    ({ index, 0: { length } }) => [index, index + length] as const,
  );
  fc.assert(
    fc.property(fc.constantFrom(...places), values, ([from, until], value) => {
      survives(text.slice(0, from) + value + text.slice(until));
    }),
    { numRuns: 1_000 },
  );
});
