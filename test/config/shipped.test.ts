import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { format, resolveConfig } from 'prettier';
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { compileMappings } from '../../src/config/mappings.ts';
import { formatProblem } from '../../src/config/problem.ts';
import { referenceText, schemaText } from '../../src/config/reference.ts';
import { compileExpressions } from '../../src/expression/expressions.ts';
import { checkAccounts, checkExpression } from './setup.ts';

const root = path.resolve(import.meta.dirname, '../..');
const shipped = readdirSync(path.join(root, 'config'), { recursive: true, encoding: 'utf8' }).filter((name) =>
  name.endsWith('.yaml'),
);

describe('every shipped configuration', () => {
  it('is found by this test', () => {
    expect(shipped).toEqual(expect.arrayContaining(['demo.yaml', 'mqtt2exist.yaml']));
    expect(shipped.filter((name) => name.startsWith('recipes')).length).toBeGreaterThanOrEqual(6);
  });

  it.each(shipped)('%s has no problems and compiles', (name) => {
    const file = path.join(root, 'config', name);
    const loaded = loadConfig(file, {
      env: { EXIST_TOKEN: 'abc' },
      readFile: (wanted) => (path.basename(wanted) === 'token' ? 'abc\n' : readFileSync(wanted, 'utf8')),
      checkExpression,
      checkAccounts,
    });
    expect(loaded.ok ? [] : loaded.problems.map(formatProblem)).toEqual([]);
    const mappings = loaded.ok ? compileMappings(loaded.config) : [];
    expect(mappings.length).toBeGreaterThan(0);
    for (const { expressions } of mappings) expect(compileExpressions(expressions).ok).toBe(true);
  });

  it.each(shipped)('%s names the schema for editors, where it is', (name) => {
    const file = path.join(root, 'config', name);
    const [, schema = ''] =
      /^# yaml-language-server: \$schema=(\S+)\n/.exec(readFileSync(file, 'utf8')) ?? [];
    expect(path.resolve(path.dirname(file), schema)).toBe(path.join(root, 'config/mqtt2exist.schema.json'));
  });
});

describe('what is made of the schema', () => {
  it.each([
    ['docs/configuration.md', referenceText()],
    ['config/mqtt2exist.schema.json', schemaText()],
  ])('%s is up to date; `npm run docs` makes it anew', async (name, text) => {
    const file = path.join(root, name);
    const expected = await format(text, { ...(await resolveConfig(file)), filepath: file });
    expect(readFileSync(file, 'utf8')).toBe(expected);
  });
});
