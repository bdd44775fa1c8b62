/**
 * Follows messages as they come to the running daemon, and what becomes of each.
 */
import { filterProblem } from '../core/topic.ts';
import { wordsOf, type WatchLine } from '../core/sighting.ts';
import { linesOf } from './daemon.ts';
import { load, printProblems } from './configuration.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';

export interface WatchOptions {
  readonly config: string;
  readonly json?: true;
}

/** Until it is interrupted, or the daemon ends. */
export async function watch(filter: string, { config, json }: WatchOptions): Promise<ExitCode> {
  const problem = filterProblem(filter);
  if (problem !== undefined) {
    process.stderr.write(`mqtt2exist watch: ${problem}\n`);
    return EXIT.usage;
  }
  const loaded = load(config);
  if (!loaded.ok) {
    printProblems(loaded.problems);
    return EXIT.configuration;
  }
  const interrupted = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupted.abort());
  try {
    for await (const line of linesOf(loaded.config, filter, interrupted.signal)) {
      if (json) process.stdout.write(`${JSON.stringify(line)}\n`);
      else if ('note' in line) process.stderr.write(`mqtt2exist: ${line.note}\n`);
      else process.stdout.write(render(line));
    }
    process.stderr.write('mqtt2exist: the daemon has ended\n');
    return EXIT.unavailable;
  } catch (error) {
    if (interrupted.signal.aborted) return EXIT.done;
    const why = error instanceof Error ? error.message : String(error);
    process.stderr.write(`mqtt2exist: the daemon cannot be watched: ${why}\n`);
    return EXIT.unavailable;
  }
}

function render(line: Exclude<WatchLine, { readonly note: string }>): string {
  if ('left_out' in line) return `… ${line.left_out} messages came too fast to be shown\n`;
  const { at, topic, payload, from, retain, fate, reason, contributions } = line;
  const outcome =
    contributions.length > 0
      ? contributions.join(', ')
      : `${wordsOf(fate)}${reason === null ? '' : `: ${reason}`}`;
  const where = from === null ? '' : `  (${from})`;
  return `${at.slice(11, 19)}  ${topic}  ${payload}${retain ? ' (retained)' : ''}  → ${outcome}${where}\n`;
}
