/**
 * Follows messages as they come to the running daemon, and what becomes of each.
 */
import { createInterface } from 'node:readline';
import { request } from 'undici';
import { filterProblem } from '../core/topic.ts';
import type { WatchLine } from '../core/sighting.ts';
import { DaemonDown, webUrl } from './daemon.ts';
import { load, printProblems } from './configuration.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import type { LookOptions } from './topics.ts';

const CONNECT_TIMEOUT_MS = 5_000;

/** Until it is interrupted, or the daemon ends. */
export async function watch(filter: string, { config, json }: LookOptions): Promise<ExitCode> {
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
    const url = `${webUrl(loaded.config)}/api/watch?filter=${encodeURIComponent(filter)}`;
    const response = await request(url, {
      headersTimeout: CONNECT_TIMEOUT_MS,
      bodyTimeout: 0,
      signal: interrupted.signal,
    });
    if (response.statusCode !== 200)
      throw new DaemonDown(`it answers ${response.statusCode}: ${await response.body.text()}`);
    for await (const line of createInterface({ input: response.body })) {
      if (line === '') continue;
      process.stdout.write(json ? `${line}\n` : render(JSON.parse(line) as WatchLine));
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

function render(line: WatchLine): string {
  if ('left_out' in line) return `… ${line.left_out} messages came too fast to be shown\n`;
  const { at, topic, payload, from, retain, fate, reason, contributions } = line;
  const outcome =
    contributions.length > 0 ? contributions.join(', ') : `${fate}${reason === null ? '' : `: ${reason}`}`;
  const where = from === null ? '' : `  (${from})`;
  return `${at.slice(11, 19)}  ${topic}  ${payload}${retain ? ' (retained)' : ''}  → ${outcome}${where}\n`;
}
