/**
 * A dry run: what the mappings would make of messages, from a state that knows nothing. Touches nothing.
 */
import { compileMappings } from '../config/mappings.ts';
import type { Config } from '../config/load.ts';
import { parseDuration } from '../config/duration.ts';
import { dateReading, dueAt, react, tick } from '../core/mapping/engine.ts';
import type { MappingState } from '../core/mapping/mapping-state.ts';
import type { Mapping } from '../core/mapping/mapping.ts';
import { readPayload } from '../core/payload.ts';
import type { Contribution, Extraction, Scalar } from '../core/reading.ts';
import type { EpochMs } from '../core/time.ts';
import { FilterTrie, topicProblem } from '../core/topic.ts';
import { formatUnits } from '../core/units.ts';
import { compileExpressions } from '../expression/expressions.ts';
import { load, printProblems } from './configuration.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';

export interface TryOptions {
  readonly config: string;
  readonly retain?: true;
  readonly replay?: true;
  readonly at?: string;
  readonly every: string;
  readonly json?: true;
}

/** What one mapping made of one message. */
interface Trial {
  readonly attribute: string;
  readonly mapping: string;
  readonly verdict: 'accepted' | 'ignored' | 'refused' | 'duplicate';
  readonly reason: string | undefined;
  readonly values: readonly Scalar[];
  /** When it happened, where it can be told. */
  readonly at: string | undefined;
  readonly before: MappingState | undefined;
  readonly after: MappingState | undefined;
  readonly contributions: readonly Contribution[];
}

interface Rule {
  readonly mapping: Mapping;
  readonly extract: (payload: ReturnType<typeof readPayload>) => Extraction | Promise<Extraction>;
  state: MappingState | undefined;
  readonly identities: Set<string>;
}

export async function tryMessages(
  topic: string,
  payloads: readonly string[],
  options: TryOptions,
): Promise<ExitCode> {
  const wrong = usageProblem(topic, options);
  if (wrong !== undefined) {
    process.stderr.write(`mqtt2exist try: ${wrong}\n`);
    return EXIT.usage;
  }
  const loaded = load(options.config);
  if (!loaded.ok) {
    printProblems(loaded.problems);
    return EXIT.configuration;
  }
  const zone = loaded.config.timezone ?? Intl.DateTimeFormat().resolvedOptions().timeZone;
  const matched = rulesOf(loaded.config).match(topic);
  const everyMs = parseDuration(options.every) ?? 0;
  let now = (options.at === undefined ? Date.now() : Date.parse(options.at)) as EpochMs;
  const messages: { payload: string; at: string; trials: Trial[] }[] = [];
  for (const payload of payloads) {
    const trials: Trial[] = [];
    for (const rule of matched) {
      const ticked = tickUntil(rule, now, zone);
      if (ticked) trials.push(ticked);
      trials.push(await tryOne(rule, payload, now, zone, options));
    }
    messages.push({ payload, at: new Date(now).toISOString(), trials });
    now = (now + everyMs) as EpochMs;
  }
  if (options.json) process.stdout.write(`${JSON.stringify({ topic, timezone: zone, messages }, null, 2)}\n`);
  else print(topic, zone, matched.length, messages);
  return EXIT.done;
}

function usageProblem(topic: string, { at, every }: TryOptions): string | undefined {
  const problem = topicProblem(topic);
  if (problem !== undefined) return `${JSON.stringify(topic)} is not a topic name: ${problem}`;
  if (at !== undefined && Number.isNaN(Date.parse(at)))
    return `--at ${at} is not a time; write 2026-11-20T20:00:00Z`;
  if (parseDuration(every) === undefined)
    return `--every ${every} is not a duration; write 500ms, 5s, 10m, 2h or 1d`;
  return undefined;
}

function rulesOf(config: Config): FilterTrie<Rule> {
  const trie = new FilterTrie<Rule>();
  for (const { mapping, expressions } of compileMappings(config)) {
    const { operation } = mapping;
    const objectAsText = operation.kind === 'count' && operation.on === 'message' && operation.each === 'any';
    const compiled = compileExpressions(expressions, { objectAsText });
    if (!compiled.ok) throw new Error(`mapping ${mapping.key} passed the check but does not compile`);
    const rule: Rule = { mapping, extract: compiled.extract, state: undefined, identities: new Set() };
    for (const filter of mapping.filters) trie.add(filter, rule);
  }
  return trie;
}

/** What time alone does before the message comes. */
function tickUntil(rule: Rule, now: EpochMs, zone: string): Trial | undefined {
  const { mapping } = rule;
  const before = rule.state;
  const contributions: Contribution[] = [];
  for (let due = dueAt(mapping, rule.state, zone); due !== undefined && due <= now;) {
    const reaction = tick(mapping, rule.state, due, zone);
    contributions.push(...reaction.contributions);
    rule.state = reaction.state;
    const next = dueAt(mapping, rule.state, zone);
    due = next !== undefined && next > due ? next : undefined;
  }
  if (contributions.length === 0) return undefined;
  return trial(rule, before, { verdict: 'accepted', reason: 'by the passing of time', contributions });
}

async function tryOne(
  rule: Rule,
  payload: string,
  receivedAt: EpochMs,
  zone: string,
  options: TryOptions,
): Promise<Trial> {
  const before = rule.state;
  const extraction = await rule.extract(readPayload(Buffer.from(payload)));
  if (extraction.kind !== 'values') {
    return trial(rule, before, { verdict: extraction.kind, reason: extraction.reason });
  }
  const { values, identity, instance } = extraction;
  const dated = dateReading(extraction, receivedAt, zone);
  if ('refused' in dated) return trial(rule, before, { verdict: 'refused', reason: dated.refused, values });
  if (identity !== undefined && rule.identities.has(identity)) {
    const reason = `its identity ${JSON.stringify(identity)} was seen before`;
    return trial(rule, before, { verdict: 'duplicate', reason, values });
  }
  if (identity !== undefined) rule.identities.add(identity);
  const contributions: Contribution[] = [];
  let last: Pick<Trial, 'verdict' | 'reason'> = { verdict: 'ignored', reason: 'no value' };
  for (const value of values) {
    const flags = { retain: options.retain === true, replay: options.replay === true };
    const reading = {
      value,
      at: dated.at,
      receivedAt,
      ...flags,
      ...(instance !== undefined && { instance }),
    };
    const reaction = react(rule.mapping, rule.state, reading, zone);
    rule.state = reaction.state;
    contributions.push(...reaction.contributions);
    last = { verdict: reaction.verdict, reason: reaction.reason };
  }
  return trial(rule, before, { ...last, values, at: new Date(dated.at).toISOString(), contributions });
}

function trial(
  rule: Rule,
  before: MappingState | undefined,
  made: Pick<Trial, 'verdict' | 'reason'> & Partial<Trial>,
): Trial {
  const { attribute, key } = rule.mapping;
  return {
    attribute,
    mapping: key,
    values: [],
    at: undefined,
    contributions: [],
    ...made,
    before,
    after: rule.state,
  };
}

function print(
  topic: string,
  zone: string,
  matches: number,
  messages: readonly { payload: string; at: string; trials: readonly Trial[] }[],
): void {
  const lines = [
    `${topic}: ${matches === 0 ? 'no mapping matches' : `${matches} ${matches === 1 ? 'mapping matches' : 'mappings match'}`} (days in ${zone})`,
  ];
  for (const { payload, at, trials } of messages) {
    lines.push('', `${at}  ${JSON.stringify(payload)}`);
    for (const { attribute, values, verdict, reason, before, after, contributions } of trials) {
      const value =
        values.length === 0 ? '' : ` value ${values.map((each) => JSON.stringify(each)).join(', ')}`;
      lines.push(`  ${attribute}: ${verdict}${value}${reason === undefined ? '' : ` (${reason})`}`);
      lines.push(`    state  ${JSON.stringify(before ?? 'none')} -> ${JSON.stringify(after ?? 'none')}`);
      for (const contribution of contributions) lines.push(`    counts ${describe(contribution)}`);
      if (contributions.length === 0) lines.push('    counts nothing');
    }
  }
  process.stdout.write(`${lines.join('\n')}\n`);
}

function describe(contribution: Contribution): string {
  const { attribute, day } = contribution;
  if (contribution.kind === 'sum') {
    const { amount } = contribution;
    return `${amount < 0 ? '' : '+'}${formatUnits(amount)} to ${attribute} on ${day}`;
  }
  const value =
    typeof contribution.value === 'string'
      ? JSON.stringify(contribution.value)
      : formatUnits(contribution.value);
  return `${value} for ${attribute} on ${day} (${contribution.pick} of the day)`;
}
