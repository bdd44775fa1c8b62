/**
 * Reads the configuration for a command: every problem printed, nothing done where there is one.
 */
import { readFileSync } from 'node:fs';
import { formatProblem, type Problem } from '../config/problem.ts';
import { loadConfig, type Config } from '../config/load.ts';
import { compileExpressions } from '../expression/expressions.ts';

export type Loaded =
  | { readonly ok: true; readonly config: Config }
  | { readonly ok: false; readonly problems: readonly Problem[] };

export function load(file: string): Loaded {
  return loadConfig(file, {
    env: process.env,
    readFile: (path) => readFileSync(path, 'utf8'),
    checkExpression: (source) => {
      const compiled = compileExpressions({ value: source });
      return compiled.ok ? undefined : compiled.problems[0];
    },
  });
}

export function printProblems(problems: readonly Problem[]): void {
  for (const problem of problems) process.stderr.write(`${formatProblem(problem)}\n`);
  const count = problems.length === 1 ? '1 problem' : `${problems.length} problems`;
  process.stderr.write(`mqtt2exist: ${count} in the configuration\n`);
}
