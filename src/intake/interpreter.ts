/**
 * What the mappings make of a message: contributions and new states, gathered in the journal.
 */
import type { DeliveryMark } from '../core/journal.ts';
import { dateReading, dueAt, react } from '../core/mapping/engine.ts';
import type { Mapping } from '../core/mapping/mapping.ts';
import type { MappingState } from '../core/mapping/mapping-state.ts';
import { sampleOf } from '../core/payload.ts';
import type { Contribution, Extraction, Message, Reading } from '../core/reading.ts';
import type { Sighting } from '../core/sighting.ts';
import type { EpochMs } from '../core/time.ts';
import { FilterTrie } from '../core/topic.ts';
import type { IntakeParts, Rule } from './ports.ts';

/** A message whose expressions are evaluated. */
export interface ReadMessage<Parsed> {
  readonly message: Message;
  readonly mark: DeliveryMark | undefined;
  /** Whose client published it, where that is known. */
  readonly account?: string | undefined;
  readonly rules: readonly Rule<Parsed>[];
  /** One per rule. */
  readonly extractions: readonly Extraction[];
}

/** States that changed, and when they want to be woken. */
export type Changed = Map<string, { mapping: string; topic: string; dueAt: EpochMs | undefined }>;

/** What became of a message. */
export interface Applied {
  readonly fate: 'accepted' | 'ignored' | 'refused' | 'duplicate';
  readonly reason: string | undefined;
  readonly contributions: readonly Contribution[];
}

type Verdict =
  | { readonly kind: 'accepted' }
  | { readonly kind: 'duplicate' }
  | { readonly kind: 'ignored'; readonly reason: string }
  | { readonly kind: 'refused'; readonly reason: string };

/** Topics whose rules are remembered; past it the memory starts afresh. */
const MOST_MATCHED = 2_000;

export class Interpreter<Parsed> {
  private trie = new FilterTrie<Rule<Parsed>>();
  private mappings = new Map<string, Mapping>();
  /** Devices publish to the same few topics again and again. */
  private matched = new Map<string, readonly Rule<Parsed>[]>();

  constructor(
    private readonly parts: IntakeParts<Parsed>,
    rules: readonly Rule<Parsed>[],
  ) {
    this.reconfigure(rules);
  }

  reconfigure(rules: readonly Rule<Parsed>[]): void {
    this.trie = new FilterTrie();
    this.matched = new Map();
    for (const rule of rules) for (const filter of rule.mapping.filters) this.trie.add(filter, rule);
    this.mappings = new Map(rules.map(({ mapping }) => [mapping.key, mapping]));
  }

  match(topic: string): readonly Rule<Parsed>[] {
    const known = this.matched.get(topic);
    if (known) return known;
    const rules = this.trie.match(topic);
    if (this.matched.size >= MOST_MATCHED) this.matched.clear();
    this.matched.set(topic, rules);
    return rules;
  }

  /** The mapping of a stored state, where the configuration still has it. */
  mapping(key: string): Mapping | undefined {
    return this.mappings.get(key);
  }

  extract(
    payload: Uint8Array,
    rules: readonly Rule<Parsed>[],
  ): readonly Extraction[] | Promise<readonly Extraction[]> {
    const parsed = this.parts.parse(payload);
    const now: Extraction[] = [];
    const all = rules.map((rule) => {
      const extraction = rule.extract(parsed);
      if (!(extraction instanceof Promise)) now.push(extraction);
      return extraction;
    });
    return now.length === all.length
      ? now
      : Promise.all(all.map((extraction) => Promise.resolve(extraction)));
  }

  /** Lets every rule have its say about one message. */
  apply(read: ReadMessage<Parsed>, zone: string, changed: Changed): Applied {
    const { journal } = this.parts;
    const { message, rules, extractions } = read;
    const contributions: Contribution[] = [];
    const refusals: string[] = [];
    let ignored: string | undefined;
    let accepted = false;
    let duplicate = false;
    for (const [index, { mapping }] of rules.entries()) {
      const extraction = extractions[index];
      if (!extraction) continue;
      const verdict = this.applyRule(mapping, extraction, message, zone, changed, contributions);
      if (verdict.kind === 'refused') refusals.push(verdict.reason);
      if (verdict.kind === 'ignored') ignored ??= verdict.reason;
      accepted ||= verdict.kind === 'accepted';
      duplicate ||= verdict.kind === 'duplicate';
    }
    const verdict = accepted
      ? 'accepted'
      : refusals.length > 0
        ? 'refused'
        : duplicate
          ? 'duplicate'
          : 'ignored';
    if (accepted && refusals.length > 0) journal.count('refused');
    return this.record(read, verdict, contributions, refusals, ignored);
  }

  /** For a message that was acknowledged, and cannot be made anything of. */
  refuse(read: ReadMessage<Parsed>, reason: string): Applied {
    return this.record(read, 'refused', [], [reason]);
  }

  private record(
    { message, mark, account }: ReadMessage<Parsed>,
    verdict: Applied['fate'],
    contributions: readonly Contribution[],
    refusals: readonly string[],
    ignored?: string,
  ): Applied {
    const { journal } = this.parts;
    journal.count(verdict === 'duplicate' ? 'duplicates' : verdict);
    const reason = refusals.length > 0 ? refusals.join('; ') : undefined;
    const sample = reason === undefined ? undefined : sampleOf(message.payload);
    // A reading that contributes nothing and cannot come again (QoS 0) leaves no line: it would only wear the card.
    if (mark || contributions.length > 0 || reason !== undefined) {
      const { receivedAt, topic } = message;
      journal.add({ receivedAt, topic, verdict, delivery: mark, contributions, reason, sample });
    }
    if (reason !== undefined) this.parts.onRefused(message.topic, reason, sample ?? '', account);
    return { fate: verdict, reason: reason ?? (verdict === 'ignored' ? ignored : undefined), contributions };
  }

  private applyRule(
    mapping: Mapping,
    extraction: Extraction,
    message: Message,
    zone: string,
    changed: Changed,
    contributions: Contribution[],
  ): Verdict {
    const { journal } = this.parts;
    if (extraction.kind !== 'values') return extraction;
    const { topic, receivedAt, retain, replay } = message;
    const dated = dateReading(extraction, receivedAt, zone);
    if ('refused' in dated) return { kind: 'refused', reason: dated.refused };
    const { identity, instance } = extraction;
    if (
      identity !== undefined &&
      !replay &&
      !journal.isNewIdentity(mapping.key, topic, identity, receivedAt)
    ) {
      return { kind: 'duplicate' };
    }
    const before = journal.state(mapping.key, topic);
    let state = before;
    let verdict: Verdict = { kind: 'ignored', reason: 'no value' };
    for (const value of extraction.values) {
      const origin = { at: dated.at, receivedAt, retain, replay };
      const reading: Reading = instance === undefined ? { value, ...origin } : { value, ...origin, instance };
      const reaction = react(mapping, state, reading, zone);
      state = reaction.state;
      contributions.push(...reaction.contributions);
      if (reaction.verdict === 'refused') verdict = { kind: 'refused', reason: reaction.reason ?? 'refused' };
      else if (reaction.verdict === 'accepted' && verdict.kind !== 'refused') verdict = { kind: 'accepted' };
    }
    if (state !== undefined && state !== before) this.remember(mapping, topic, state, zone, changed);
    return verdict;
  }

  remember(mapping: Mapping, topic: string, state: MappingState, zone: string, changed: Changed): void {
    const due = dueAt(mapping, state, zone);
    this.parts.journal.putState(mapping.key, topic, state, due);
    changed.set(stateId(mapping.key, topic), { mapping: mapping.key, topic, dueAt: due });
  }
}

export function stateId(mapping: string, topic: string): string {
  return `${mapping}\n${topic}`;
}

/** As those who look on see it. */
export function sightingOf<Parsed>(
  { message, mark, account, rules }: Omit<ReadMessage<Parsed>, 'extractions'>,
  { fate, reason, contributions }: Pick<Sighting, 'fate' | 'reason' | 'contributions'>,
): Sighting {
  const { topic, payload, retain, replay, receivedAt: at } = message;
  const keys = rules.map(({ mapping }) => mapping.key);
  const mappings = rules.map(inWords);
  const from = account ?? mark?.client;
  return { topic, payload, retain, replay, at, from, keys, mappings, fate, reason, contributions };
}

/** A mapping as those who look on see it: `opens (count)`. */
export function inWords<Parsed>({ mapping }: Rule<Parsed>): string {
  return `${mapping.attribute} (${mapping.operation.kind})`;
}
