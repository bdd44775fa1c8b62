/**
 * Who owns an attribute: listed once, created or acquired once, and again only when a write says it is not ours.
 *
 * ```
 * wanted ──listed as ours──▶ ready ◀──acquired, created── missing
 *    └──not in the list──────────────────────────────────▶ ┘ ▲
 *                             ready ──«unauthorised», once──┘
 *                             ready ──a read does not show it──▶ rests for `settle`, is asked for once more
 *    anything that only the user can mend ──▶ held ──after a day, or by command──▶ wanted
 * ```
 */
import { DAY_MS, HOUR_MS } from '../time.ts';
import { goOnInNew } from './another.ts';
import type { Draft } from './draft.ts';
import { after } from './pace.ts';
import type { Answer, AttributeSeen, Failure, Request } from './request.ts';
import type { Attribute, Mode } from './state.ts';

export function takeOwned(draft: Draft, answer: Answer & { kind: 'owned' }): void {
  const { account, now } = draft;
  for (const candidate of [...draft.attributes()]) {
    if (!isAwaited(candidate, now)) continue;
    const seen = answer.attributes.find((listed) => isSame(candidate, listed));
    const attribute = seen && draft.attribute(candidate.name);
    if (seen && attribute) become(draft, attribute, seen);
  }
  account.ownedPage = answer.nextPage;
  if (answer.nextPage !== null) return;
  for (const candidate of [...draft.attributes()]) {
    const attribute = isAwaited(candidate, now) ? draft.attribute(candidate.name) : undefined;
    if (!attribute) continue;
    attribute.state = 'missing';
    attribute.retryAt = null;
  }
}

function isAwaited(attribute: Readonly<Attribute>, now: number): boolean {
  const retried = attribute.state === 'held' && attribute.retryAt !== null && attribute.retryAt <= now;
  return attribute.state === 'wanted' || retried;
}

function isSame(attribute: Readonly<Attribute>, seen: AttributeSeen): boolean {
  if (attribute.template !== null)
    return seen.template === attribute.template || seen.name === attribute.template;
  if (attribute.existName !== null) return seen.name === attribute.existName;
  return seen.template === null && (seen.name === attribute.name || seen.label === attribute.label);
}

/** An item that is in neither list of the answer is tried again within the hour, in the same way. */
export function takeOwnership(draft: Draft, request: Request, answer: Answer & { kind: 'ownership' }): void {
  if (request.kind !== 'acquire' && request.kind !== 'create') return;
  request.items.forEach((item, index) => {
    const result = answer.results[index];
    const attribute = draft.attribute(item.attribute);
    // Another one is wanted by now, where the configuration was read again meanwhile.
    if (attribute?.state !== 'missing') return;
    if (result && 'seen' in result) {
      // What is acquired is taken for what it was, also after Exist did not know it: that may have been a slip, and the
      // ledger is right then. If somebody deleted it and made it anew, the counts of the open days that went with it
      // are raised there again (mode shared: what stands there is adopted); nothing that was counted is lost.
      if (request.kind === 'create') {
        attribute.createdByUs = true;
        beginAnew(draft, attribute.name);
      }
      become(draft, attribute, result.seen);
    } else if (!result) {
      hold(draft, attribute, `Exist did not say whether it would ${request.kind} it`, HOUR_MS);
    } else if (request.kind === 'create' && attribute.existName === null) {
      // Creating an attribute that exists fails: it may be there under its slug, from an earlier life of ours.
      attribute.existName = slug(attribute.label);
    } else {
      const { failure } = result;
      // It is gone: whoever wants it again has it created by `held retry`.
      const isGone = failure.code === 'not_found' && attribute.template === null;
      if (isGone) attribute.existName = null;
      const reason = `Exist refused to ${request.kind} it: ${failure.message}`;
      hold(draft, attribute, reason, isGone ? null : DAY_MS);
    }
  });
}

function become(draft: Draft, attribute: Attribute, seen: AttributeSeen): void {
  attribute.existName = seen.name;
  if (seen.valueType !== attribute.valueType) {
    const found = seen.valueType ?? 'a type this version does not know';
    hold(
      draft,
      attribute,
      `at Exist it is of type ${found}, the configuration needs ${attribute.valueType}`,
      DAY_MS,
    );
    return;
  }
  attribute.state = 'ready';
  attribute.reason = null;
  attribute.retryAt = null;
  attribute.mode = attribute.wantedMode ?? modeOf(attribute.createdByUs, seen.manual);
  draft.note({
    level: 'info',
    attribute: attribute.name,
    text: `ready as "${seen.name}" at Exist (${attribute.mode})`,
  });
}

function beginAnew(draft: Draft, name: string): void {
  for (const { attribute, day, kind } of [...draft.keys()]) {
    // A value is sent again by itself, where a look shows nothing.
    const key = attribute === name && kind === 'sum' ? draft.key(attribute, day) : undefined;
    if (key?.kind === 'sum') goOnInNew(key, draft.now);
  }
}

function modeOf(createdByUs: boolean, manual: boolean): Mode {
  if (manual) return 'shared';
  return createdByUs ? 'strict' : 'guarded';
}

/** A write said the attribute is not ours: acquire it once; the second time in a row only the user can help. */
export function loseOwnership(draft: Draft, name: string, failure: Failure): void {
  const attribute = draft.attribute(name);
  if (attribute?.state !== 'ready') return;
  if (attribute.reacquired) {
    hold(
      draft,
      attribute,
      `Exist does not let us write it, although we acquired it: ${failure.message}`,
      DAY_MS,
    );
    return;
  }
  attribute.state = 'missing';
  attribute.reacquired = true;
  draft.note({
    level: 'warn',
    attribute: name,
    text: `not ours at Exist (${failure.message}): acquiring it again`,
  });
}

/** Exist no longer knows the attribute. Nothing is created behind the user's back. */
export function loseAttribute(draft: Draft, name: string, failure: Failure): void {
  const attribute = draft.attribute(name);
  if (attribute?.state !== 'ready') return;
  if (attribute.template === null) attribute.existName = null;
  const reason = `Exist does not know it any more (${failure.message}); was it deleted? \`held retry\` creates it anew`;
  hold(draft, attribute, reason, null);
}

/**
 * A read did not show it: what stands there is unknown, which is not the same as nothing. It may be a slip: nothing is
 * done with it for `settle`, then the same days are asked for again; held is what that does not show either.
 */
export function missFromRead(draft: Draft, name: string): void {
  const attribute = draft.attribute(name);
  if (attribute?.state !== 'ready') return;
  if (attribute.retryAt === null) {
    attribute.retryAt = after(draft.now, draft.settings.settleMs);
    draft.note({ level: 'warn', attribute: name, text: 'Exist does not show its values: asking once more' });
    return;
  }
  const hint = `does the token have the read scope of group "${attribute.group}"?`;
  hold(draft, attribute, `Exist does not show its values: ${hint}`, HOUR_MS);
}

/** A read showed it: if one before did not, that was a slip. */
export function findInRead(draft: Draft, name: string): void {
  if (draft.readonlyAttribute(name)?.retryAt === null) return;
  const attribute = draft.attribute(name);
  if (attribute?.state === 'ready') attribute.retryAt = null;
}

function hold(draft: Draft, attribute: Attribute, reason: string, retryMs: number | null): void {
  attribute.state = 'held';
  attribute.reason = reason;
  attribute.retryAt = retryMs === null ? null : after(draft.now, retryMs);
  draft.account.ownedPage = 1;
  draft.note({ level: 'error', attribute: attribute.name, text: `${attribute.name} is held: ${reason}` });
}

/** Exist's names are slugs of labels: `Fridge opens` becomes `fridge_opens`. */
function slug(label: string): string {
  return label
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '_')
    .replace(/^_+|_+$/g, '');
}
