/**
 * The delivery's calls in Exist's JSON, and Exist's answers in the delivery's terms: amounts instead of numbers,
 * value types by name, items matched to what was asked for.
 */
import { codeOfValueType, valueTypeOfCode } from '../core/attribute.ts';
import type { Outcome } from '../core/delivery/outcome.ts';
import type {
  Answer,
  AttributeSeen,
  Failure,
  OwnershipResult,
  Request,
  WriteItem,
} from '../core/delivery/request.ts';
import type { LocalDate } from '../core/time.ts';
import { fromUnits, toUnits, type Units } from '../core/units.ts';
import type {
  AttributeAnswer,
  AttributeWithValues,
  FailedItem,
  OwnershipAnswer,
  WriteAnswer,
} from './answers.ts';
import type { ExistClient, Page, WriteObject } from './exist-client.ts';

type ReadRequest = Request & { kind: 'read' };

export class DeliveryCalls {
  constructor(private readonly client: ExistClient) {}

  /** One exchange. */
  async call(request: Request): Promise<Outcome<Answer>> {
    switch (request.kind) {
      case 'profile':
        return answer(await this.client.profile(), ({ timezone }) => ({ kind: 'profile', timezone }));
      case 'owned':
        return answer(await this.client.owned(request.page), ({ results, nextPage }) => ({
          kind: 'owned',
          attributes: results.map(seenOf),
          nextPage,
        }));
      case 'acquire': {
        // `manual: false`: Exist's apps shall not invite the user to overwrite what the bridge counts.
        const objects = request.items.map(({ by, name }) =>
          by === 'template' ? { template: name, manual: false } : { name, manual: false },
        );
        return answer(await this.client.acquire(objects), (body) => ({
          kind: 'ownership',
          results: request.items.map(({ by, name }) =>
            resultFor(
              body,
              (listed) => listed.name === name || (by === 'template' && listed.template === name),
            ),
          ),
        }));
      }
      case 'create': {
        const objects = request.items.map(({ label, group, valueType }) => ({
          label,
          group,
          value_type: codeOfValueType(valueType),
          manual: false,
        }));
        return answer(await this.client.create(objects), (body) => ({
          kind: 'ownership',
          results: request.items.map(({ label }) =>
            resultFor(body, (listed) => listed.label?.trim() === label.trim()),
          ),
        }));
      }
      case 'read':
        return readAnswer(
          request,
          await this.client.withValues({
            attributes: [...new Set(request.items.map(({ name }) => name))],
            days: request.days,
            dateMax: request.dateMax,
          }),
        );
      case 'increment':
        return answer(await this.client.increment(request.items.map(writeObject)), writtenOf);
      case 'update':
        return answer(await this.client.update(request.items.map(writeObject)), writtenOf);
    }
  }
}

function answer<T>(outcome: Outcome<T>, translate: (body: T) => Answer): Outcome<Answer> {
  return outcome.kind === 'answered' ? { ...outcome, body: translate(outcome.body) } : outcome;
}

function writeObject({ name, day, value }: WriteItem): WriteObject {
  return { name, date: day, value: typeof value === 'string' ? value : fromUnits(value) };
}

function writtenOf({ success, failed }: WriteAnswer): Answer {
  return {
    kind: 'written',
    success: success.map(({ name, date, current }) => ({
      name,
      day: date ?? undefined,
      // A total too large to be held exactly is as good as none: the day is read back.
      current: typeof current === 'number' ? toUnits(current) : undefined,
    })),
    failed: failed.map((item) => ({
      name: item.name ?? undefined,
      day: item.date ?? undefined,
      ...failureOf(item),
    })),
  };
}

function failureOf({ error_code: code, error: message }: FailedItem): Failure {
  return { code, message };
}

function seenOf(attribute: AttributeAnswer): AttributeSeen {
  return {
    name: attribute.name,
    label: attribute.label,
    template: attribute.template ?? null,
    valueType: valueTypeOfCode(attribute.value_type),
    manual: attribute.manual ?? false,
  };
}

interface Listed {
  readonly name?: string | null | undefined;
  readonly template?: string | null | undefined;
  readonly label?: string | null | undefined;
}

function resultFor(body: OwnershipAnswer, isAbout: (listed: Listed) => boolean): OwnershipResult {
  const success = body.success.find(isAbout);
  const failed = body.failed.find(isAbout);
  if (success && !failed) return { seen: seenOf(success) };
  if (failed && !success) return { failure: failureOf(failed) };
  return null;
}

function readAnswer(request: ReadRequest, outcome: Outcome<Page<AttributeWithValues>>): Outcome<Answer> {
  if (outcome.kind !== 'answered') return outcome;
  const values = new Map<string, ReadonlyMap<LocalDate, Units | string | null>>();
  for (const attribute of outcome.body.results) {
    const days = new Map(attribute.values.map(({ date, value }) => [date, amountOf(value)] as const));
    values.set(attribute.name, days);
  }
  // "Not shown to us" and "on the next page" must not be confused: the delivery holds what is not shown.
  if (outcome.body.nextPage !== null && request.items.some(({ name }) => !values.has(name))) {
    const message = 'the values go on on another page, though all were asked for at once';
    return { kind: 'unknown', status: outcome.status, message };
  }
  return { ...outcome, body: { kind: 'read', values } };
}

/** A number too large to be held exactly stays text: the delivery shows it and does not calculate with it. */
function amountOf(value: number | string | boolean | null): Units | string | null {
  if (typeof value === 'boolean') return toUnits(value ? 1 : 0) ?? null;
  if (typeof value === 'number') return toUnits(value) ?? String(value);
  return value;
}
