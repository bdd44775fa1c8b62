import { load, printProblems } from './configuration.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';

/** Validates the configuration. Opens no database and no port. */
export function check(file: string, asJson: boolean): ExitCode {
  const loaded = load(file, { certificate: 'checked' });
  const problems = loaded.ok ? [] : loaded.problems;
  if (asJson) process.stdout.write(`${JSON.stringify({ ok: loaded.ok, problems }, null, 2)}\n`);
  else if (loaded.ok) {
    const { length } = loaded.config.mappings;
    process.stdout.write(`${file}: no problems; ${length} ${length === 1 ? 'mapping' : 'mappings'}\n`);
  } else printProblems(problems);
  return loaded.ok ? EXIT.done : EXIT.configuration;
}
