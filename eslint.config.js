import js from '@eslint/js';
import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';

/** The neighbours of the core: folders of `src/` that know `core/` and themselves, never each other. */
export const NEIGHBOURS = [
  'accounts',
  'broker',
  'certificates',
  'config',
  'demo',
  'exist',
  'expression',
  'host',
  'intake',
  'ledger',
  'sandbox',
  'sources',
  'web',
];

const ABOVE = [
  'authorizer.ts',
  'bridge.ts',
  'connections.ts',
  'delivery.ts',
  'flusher.ts',
  'main.ts',
  'narrator.ts',
  'overview.ts',
  'playground.ts',
  'settings.ts',
  'upkeep.ts',
  'cli',
];

/** Imports of `names` (files or folders of `src/`) from one folder further down. */
function forbid(names, message) {
  return { patterns: [{ group: names.flatMap((name) => [`**/../${name}`, `**/../${name}/**`]), message }] };
}

const clocks = [
  { object: 'Date', property: 'now', message: 'The core is given the time.' },
  { object: 'Math', property: 'random', message: 'The core is given chance.' },
];

export default defineConfig(
  { ignores: ['dist', 'data', 'coverage', 'node_modules'] },
  js.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/no-confusing-void-expression': 'off',
      '@typescript-eslint/consistent-type-imports': 'error',
      eqeqeq: 'error',
    },
  },
  {
    files: ['src/core/**/*.ts'],
    rules: {
      'no-restricted-imports': ['error', forbid([...NEIGHBOURS, ...ABOVE], 'The core imports only itself.')],
      'no-restricted-properties': ['error', ...clocks],
      'no-restricted-globals': [
        'error',
        'process',
        'setTimeout',
        'setInterval',
        'setImmediate',
        'performance',
      ],
    },
  },
  ...NEIGHBOURS.map((folder) => ({
    files: [`src/${folder}/**/*.ts`],
    rules: {
      'no-restricted-imports': [
        'error',
        forbid(
          [...NEIGHBOURS.filter((other) => other !== folder), ...ABOVE],
          'Neighbours do not import each other: declare what you need, bridge.ts hands it in.',
        ),
      ],
    },
  })),
  {
    files: ['src/authorizer.ts', 'src/flusher.ts', 'src/narrator.ts', 'src/overview.ts', 'src/upkeep.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: [{ group: NEIGHBOURS.map((name) => `./${name}/**`), message: 'It knows only the core.' }],
        },
      ],
    },
  },
  {
    files: ['test/**/*.ts'],
    rules: {
      '@typescript-eslint/no-non-null-assertion': 'off',
      // Asymmetric matchers (`expect.any(…)`) are typed as any.
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/restrict-template-expressions': 'off',
    },
  },
  {
    files: ['**/*.js', '**/*.mjs'],
    extends: [tseslint.configs.disableTypeChecked],
    languageOptions: { globals: { console: 'readonly', process: 'readonly' } },
  },
);
