/**
 * What only the user can decide: shown with its evidence, settled by the running daemon.
 */
import { createInterface } from 'node:readline/promises';
import { request } from 'undici';
import type { Config } from '../config/load.ts';
import type { Status, WaitingDay } from '../core/status.ts';
import { formatUnits, subtract, toUnits, type Units } from '../core/units.ts';
import { askDaemon, DaemonDown, statusOf, webUrl } from './daemon.ts';
import { load, printProblems } from './configuration.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';

type Item = Status['held'][number];

export interface SettleOptions {
  readonly config: string;
  readonly how: 'retry' | 'drop' | 'count' | 'set';
  readonly attribute: string;
  /** Absent: the attribute itself is held. */
  readonly day?: string;
  readonly total?: string;
  readonly isSure: boolean;
}

export async function listHeld(file: string, asJson: boolean): Promise<ExitCode> {
  const asked = await askDaemon(file);
  if (typeof asked === 'number') return asked;
  const { held, held_attributes: attributes } = asked;
  if (asJson) process.stdout.write(`${JSON.stringify({ held, held_attributes: attributes }, null, 2)}\n`);
  else process.stdout.write(render(asked));
  return EXIT.done;
}

function render({ held, held_attributes: attributes }: Status): string {
  if (held.length === 0 && attributes.length === 0) return 'nothing is held\n';
  const lines: string[] = [];
  for (const item of held) {
    const { attribute, day } = item;
    lines.push(
      ...linesOfItem(item),
      `  settle it:  mqtt2exist held retry|drop|count ${attribute} ${day}   or   held set ${attribute} ${day} TOTAL`,
    );
  }
  for (const { attribute, reason, days } of attributes) {
    lines.push(`${attribute}  held as a whole`, `  ${reason}`);
    for (const day of days) lines.push(`  ${wordsOfDay(day)}`);
    lines.push(`  try again:  mqtt2exist held retry ${attribute}`);
    if (days.length > 0) {
      lines.push(
        `  or a day:   mqtt2exist held drop|count ${attribute} DAY   or   held set ${attribute} DAY TOTAL`,
      );
    }
  }
  return `${lines.join('\n')}\n`;
}

function linesOfItem({ attribute, day, state, reason, since, amount, behind, ...evidence }: Item): string[] {
  const waits = behind === 0 ? '' : ` (${behind} of it waits behind and is sent once this is settled)`;
  return [
    `${attribute} ${day}  ${state} since ${since}`,
    `  amount ${amount}${waits}, ${wordsOfEvidence(evidence)}`,
    `  ${reason}`,
  ];
}

function wordsOfEvidence({ seen, seen_at: at }: Pick<WaitingDay, 'seen' | 'seen_at'>): string {
  if (seen === null && at === null) return 'Exist was not looked at yet';
  return `Exist last showed ${seen ?? 'nothing'}${at === null ? '' : ` at ${at}`}`;
}

function wordsOfDay({ day, state, amount, set_to: setTo, ...evidence }: WaitingDay): string {
  const doubt = state === 'unknown' ? ' (some of it may have arrived)' : '';
  const set = setTo === null ? '' : `, set to ${setTo}`;
  return `${day}  amount ${amount}${doubt}, ${wordsOfEvidence(evidence)}${set}`;
}

export async function settleHeld(options: SettleOptions): Promise<ExitCode> {
  const { how, attribute, day } = options;
  const wrong = usageProblem(options);
  if (wrong !== undefined) {
    process.stderr.write(`mqtt2exist held ${how}: ${wrong}\n`);
    return EXIT.usage;
  }
  const loaded = load(options.config);
  if (!loaded.ok) {
    printProblems(loaded.problems);
    return EXIT.configuration;
  }
  try {
    if (how !== 'retry' && !options.isSure && !(await confirm(options, loaded.config))) {
      process.stderr.write('nothing was changed; say yes, or add --yes\n');
      return EXIT.usage;
    }
    const url = `${webUrl(loaded.config)}/api/held`;
    // The daemon knows what the attribute takes: 12,5 is a number to one, a text to another.
    const body = { attribute, day: day ?? null, how, ...(how === 'set' && { total: options.total }) };
    const response = await request(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-mqtt2exist': '1' },
      body: JSON.stringify(body),
    });
    const answer = await response.body.text();
    if (response.statusCode === 200) {
      process.stdout.write(`settled: ${how} ${attribute}${day === undefined ? '' : ` ${day}`}\n`);
      return EXIT.done;
    }
    process.stderr.write(`mqtt2exist held ${how}: ${wordsOf(answer)}\n`);
    return response.statusCode === 503 ? EXIT.database : EXIT.usage;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    process.stderr.write(`mqtt2exist held: the daemon does not answer (${why})\n`);
    return error instanceof DaemonDown ? error.code : EXIT.unavailable;
  }
}

/** The daemon's own words, where it gave any. */
function wordsOf(answer: string): string {
  try {
    const { error } = JSON.parse(answer) as { readonly error?: unknown };
    if (typeof error === 'string') return error;
  } catch {
    // Not ours, then: shown as it is.
  }
  return answer.trim();
}

function usageProblem({ how, day, total }: SettleOptions): string | undefined {
  if (day === undefined) return how === 'retry' ? undefined : 'name the day as well, YYYY-mm-dd';
  if (!/^\d{4}-\d{2}-\d{2}$/.test(day)) return `${day} is not a day; write YYYY-mm-dd`;
  if ((how === 'set') !== (total !== undefined)) return 'a total belongs to `held set`, and only there';
  return undefined;
}

/** Dropping, counting and setting cannot be taken back: somebody at a terminal is asked, with the evidence. */
async function confirm(options: SettleOptions, config: Config): Promise<boolean> {
  if (!process.stdin.isTTY) return false;
  const { attribute, day } = options;
  const { held, held_attributes: attributes } = await statusOf(config);
  const isIt = (one: Item | WaitingDay): boolean => one.attribute === attribute && one.day === day;
  const item = held.find(isIt);
  const waiting = attributes.flatMap(({ days }) => days).find(isIt);
  const shown = item ? linesOfItem(item) : waiting ? [`${attribute} ${wordsOfDay(waiting)}`] : [];
  for (const line of shown) process.stderr.write(`${line}\n`);
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await terminal.question(
    `${questionOf(options, item ?? waiting)}? This cannot be taken back. [y/N] `,
  );
  terminal.close();
  return /^y(es)?$/i.test(answer.trim());
}

function questionOf({ how, attribute, day = '', total }: SettleOptions, of?: Item | WaitingDay): string {
  const what = of === undefined ? 'what is held' : wordsOfDecision(of);
  switch (how) {
    case 'drop':
      return `forget ${what} of ${attribute} ${day}`;
    case 'count':
      return `take ${what} of ${attribute} ${day} as delivered`;
    case 'set':
      return `set ${attribute} ${day} to ${total ?? ''} at Exist`;
    case 'retry':
      return `try ${attribute} ${day} again`;
  }
}

/** The amount that is settled, without what only waits behind it. */
function wordsOfDecision(of: Item | WaitingDay): string {
  const behind = 'behind' in of ? of.behind : 0;
  if (typeof of.amount === 'string') return JSON.stringify(of.amount);
  return formatUnits(subtract(toUnits(of.amount) ?? (0 as Units), toUnits(behind) ?? (0 as Units)));
}
