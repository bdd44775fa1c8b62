import { readPasswordHash } from '../../src/accounts/password-hash.ts';
import { loadConfig, type Config, type LoadOptions } from '../../src/config/load.ts';
import { formatProblem, type Problem } from '../../src/config/problem.ts';
import { compileExpressions } from '../../src/expression/expressions.ts';

export interface Surroundings {
  readonly env?: Readonly<Record<string, string>>;
  /** What else can be read, by absolute path. */
  readonly files?: Readonly<Record<string, string>>;
  /** Names of accounts that `mqtt2exist devices` made. */
  readonly devices?: readonly string[];
}

export const FILE = '/home/pi/mqtt2exist.yaml';

export const checkExpression: LoadOptions['checkExpression'] = (source) => {
  const compiled = compileExpressions({ value: source });
  return compiled.ok ? undefined : compiled.problems[0];
};

export const checkAccounts: LoadOptions['checkAccounts'] = {
  passwordHash: (text) => {
    const read = readPasswordHash(text);
    return 'problem' in read ? read : undefined;
  },
  devices: () => ({ names: [] }),
};

export function load(text: string, { env = {}, files = {}, devices = [] }: Surroundings = {}) {
  return loadConfig(FILE, {
    env,
    readFile: (path) => {
      const content = path === FILE ? text : files[path];
      if (content === undefined) throw Object.assign(new Error(`ENOENT: ${path}`), { code: 'ENOENT' });
      return content;
    },
    checkExpression,
    checkAccounts: { ...checkAccounts, devices: () => ({ names: devices }) },
  });
}

export function problemsOf(text: string, surroundings?: Surroundings): readonly Problem[] {
  const loaded = load(text, surroundings);
  return loaded.ok ? [] : loaded.problems;
}

/** `line:column: path: …`, without the file's name. */
export function linesOf(text: string, surroundings?: Surroundings): string[] {
  return problemsOf(text, surroundings).map((problem) => formatProblem(problem).slice(FILE.length + 1));
}

export function configOf(text: string, surroundings?: Surroundings): Config {
  const loaded = load(text, surroundings);
  if (!loaded.ok) throw new Error(loaded.problems.map(formatProblem).join('\n'));
  return loaded.config;
}

/** A valid configuration with `mappings`, each given as YAML in braces. */
export function withMappings(...mappings: readonly string[]): string {
  return [
    'exist: { url: sandbox }',
    'attributes:',
    '  opens: { type: integer }',
    '  litres: { type: decimal }',
    '  open_time: { type: minutes }',
    '  note: { type: text }',
    '  share: { type: percentage }',
    '  first_open: { type: time_of_day }',
    '  taken: { type: boolean }',
    'mappings:',
    ...mappings.map((mapping) => `  - { topic: home/door, ${mapping} }`),
  ].join('\n');
}
