/**
 * What stands behind a day's total: every contribution, call, outcome and repair. Reads beside the running daemon.
 */
import { DatabaseError } from '../ledger/database.ts';
import { openReadOnly, type Explanation } from '../ledger/explanation.ts';
import { isLocalDate } from '../core/time.ts';
import { load, printProblems } from './configuration.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';

export interface ExplainOptions {
  readonly config: string;
  readonly json?: true;
}

export function explain(attribute: string, day: string, options: ExplainOptions): ExitCode {
  if (!isLocalDate(day)) {
    process.stderr.write(`mqtt2exist explain: ${day} is not a day; write YYYY-mm-dd\n`);
    return EXIT.usage;
  }
  const loaded = load(options.config);
  if (!loaded.ok) {
    printProblems(loaded.problems);
    return EXIT.configuration;
  }
  try {
    const reader = openReadOnly(loaded.config.dataDir);
    const explanation = reader.explain(attribute, day);
    reader.close();
    process.stdout.write(options.json ? `${JSON.stringify(explanation, null, 2)}\n` : render(explanation));
    return EXIT.done;
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error;
    process.stderr.write(`mqtt2exist explain: ${error.message}; ${error.hint}\n`);
    return EXIT.database;
  }
}

function render({
  attribute,
  day,
  exist,
  ledger,
  contributions,
  omitted,
  calls,
  notes,
}: Explanation): string {
  const lines = [`${attribute} on ${day}`];
  if (exist)
    lines.push(
      `  at Exist "${exist.existName ?? 'not yet'}", ${exist.valueType}, ${exist.mode}, ${exist.state}`,
    );
  if (!ledger) return `${[...lines, '  nothing was counted'].join('\n')}\n`;
  const { total, base, ours, open, inFlight, dropped, seen, state, reason } = ledger;
  lines.push(
    `  ${state}${reason === null ? '' : `: ${reason}`}`,
    `  counted ${total}, booked at Exist ${ours ?? 'nothing'}, open ${open ?? 'nothing'}, in flight ${inFlight ?? 'nothing'}, dropped ${dropped}`,
    `  stood there before ${base ?? 'not read'}, last seen ${seen ?? 'never'}`,
    '',
    'contributions',
  );
  if (omitted > 0) lines.push(`  … ${omitted} older ones left out`);
  for (const { at, topic, verdict, amount, sum } of contributions) {
    lines.push(`  ${iso(at)}  ${topic}  ${verdict}  ${amount}${sum === null ? '' : `  (${sum})`}`);
  }
  lines.push('', 'calls');
  for (const { id, startedAt, kind, value, outcome, detail } of calls) {
    lines.push(
      `  ${iso(startedAt)}  #${id} ${kind} ${value ?? ''}  ${outcome ?? 'no outcome yet'} ${detail ?? ''}`.trimEnd(),
    );
  }
  if (notes.length > 0) lines.push('', 'notes');
  for (const { at, text } of notes) lines.push(`  ${iso(at)}  ${text}`);
  return `${lines.join('\n')}\n`;
}

function iso(at: number): string {
  return new Date(at).toISOString();
}
