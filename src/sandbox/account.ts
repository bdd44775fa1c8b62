/**
 * A user's account at the local Exist: attributes, who owns them, their values, and Exist's rules for changing them.
 *
 * Ownership of an attribute: nobody ──acquire, create──▶ a service ──release──▶ nobody; acquiring takes it from
 * whichever service had it. Only the owner writes; a person ({@link Account.edit}) always can.
 */
import { isLocalDate, type LocalDate } from '../core/time.ts';
import { GROUPS, TEMPLATES } from './templates.ts';
import { checkIncrement, checkValue, type Checked, type Value } from './value-check.ts';

export interface Attribute {
  readonly name: string;
  readonly label: string;
  readonly template: string | null;
  readonly group: string;
  readonly valueType: number;
  manual: boolean;
  /** The service that may write it. */
  owner: string | null;
  readonly values: Map<LocalDate, Value>;
  /** What stood on a day before its last change: what a stale read shows. */
  readonly before: Map<LocalDate, Value | undefined>;
}

/** One increment that was applied. */
export interface JournalEntry {
  readonly name: string;
  readonly date: LocalDate;
  readonly value: number;
  readonly current: number;
  readonly at: number;
}

/** Who calls, and what the user allowed. */
export interface Caller {
  readonly service: string;
  /** `undefined`: everything, as with a developer token. */
  readonly scopes: ReadonlySet<string> | undefined;
}

export type Item = Readonly<Record<string, unknown>>;

/** An item of an answer: under `success` or, with `error_code` and `error`, under `failed`. */
export type ItemResult =
  { readonly success: Item; readonly attribute: Attribute } | { readonly failed: Item };

const MOST_ATTRIBUTES = 1_000;
const MOST_JOURNAL_ENTRIES = 1_000;
/** Six is for templates alone. */
const CREATABLE_TYPES = new Set<unknown>([0, 1, 2, 3, 4, 5, 7, 8]);

export class Account {
  readonly attributes = new Map<string, Attribute>();
  readonly journal: JournalEntry[] = [];
  /** Whether anything changed since it was last stored. */
  isDirty = false;

  mayRead(caller: Caller, { group }: { readonly group: string }): boolean {
    return caller.scopes?.has(`${group}_read`) ?? true;
  }

  private mayWrite(caller: Caller, group: string): boolean {
    return caller.scopes?.has(`${group}_write`) ?? true;
  }

  update(caller: Caller, item: Item, index: number): ItemResult {
    const missing = missingFields(item, index, ['name', 'date', 'value']);
    if (missing) return missing;
    const attribute = this.writable(caller, item);
    if ('failed' in attribute) return attribute;
    const date = readDate(item['date']);
    if (date === undefined) return failed(item, 'validation', 'Date must be of format YYYY-mm-dd');
    if (item['value'] === null) {
      if (!attribute.values.has(date)) return { success: item, attribute };
      return failed(item, 'validation', 'Cannot set a non-null value back to null');
    }
    const checked = checkValue(item['value'], attribute.valueType);
    if ('error' in checked) return failed(item, 'validation', checked.error);
    this.put(attribute, date, checked.value);
    return { success: { name: attribute.name, date, value: checked.value }, attribute };
  }

  increment(caller: Caller, item: Item, index: number, today: LocalDate, at: number): ItemResult {
    const missing = missingFields(item, index, ['name', 'value']);
    if (missing) return missing;
    const attribute = this.writable(caller, item);
    if ('failed' in attribute) return attribute;
    const date = item['date'] === undefined ? today : readDate(item['date']);
    if (date === undefined) return failed(item, 'validation', 'Date must be of format YYYY-mm-dd');
    const checked: Checked = checkIncrement(item['value'], attribute.valueType);
    if ('error' in checked) return failed(item, 'validation', checked.error);
    const value = Number(checked.value);
    // A plain sum of floating-point numbers, as the server's: clients must cope with 0.30000000000000004.
    const current = Number(attribute.values.get(date) ?? 0) + value;
    this.put(attribute, date, current);
    this.journal.push({ name: attribute.name, date, value, current, at });
    if (this.journal.length > MOST_JOURNAL_ENTRIES) this.journal.shift();
    return { success: { name: attribute.name, date, value, current }, attribute };
  }

  acquire(caller: Caller, item: Item, index: number): ItemResult {
    const { template: templateName, name, manual } = item;
    if (manual !== undefined && typeof manual !== 'boolean') {
      return failed(item, 'validation', '"manual" must be true or false');
    }
    if (typeof templateName !== 'string' && typeof name !== 'string') {
      return failed(item, 'missing_field', `Object at index ${index} missing field(s) 'template' or 'name'`);
    }
    let attribute: Attribute | undefined;
    if (typeof templateName === 'string') {
      const template = TEMPLATES.get(templateName);
      if (!template) return failed(item, 'not_found', `Template '${templateName}' does not exist`);
      if (!this.mayWrite(caller, template.group)) return noScope(item, template.group);
      attribute = this.attributes.get(template.name);
      attribute ??= this.add({ ...template, template: template.name, manual: false });
      if (!attribute) return tooMany(item);
    } else {
      attribute = this.attributes.get(String(name));
      if (!attribute) return failed(item, 'not_found', `Attribute '${String(name)}' does not exist`);
      if (!this.mayWrite(caller, attribute.group)) return noScope(item, attribute.group);
    }
    attribute.owner = caller.service;
    if (manual !== undefined) attribute.manual = manual;
    this.isDirty = true;
    return { success: { ...item, name: attribute.name }, attribute };
  }

  create(caller: Caller, item: Item, index: number): ItemResult {
    const missing = missingFields(item, index, ['label', 'group', 'value_type']);
    if (missing) return missing;
    const { label, group, value_type: valueType, manual } = item;
    if (typeof label !== 'string' || label.length > 100) {
      return failed(item, 'validation', 'A label is a text of at most 100 characters');
    }
    if (typeof group !== 'string' || !GROUPS.has(group)) return failed(item, 'validation', 'Unknown group');
    if (typeof valueType !== 'number' || !CREATABLE_TYPES.has(valueType)) {
      return failed(item, 'validation', 'Unknown value type');
    }
    if (manual !== undefined && typeof manual !== 'boolean') {
      return failed(item, 'validation', '"manual" must be true or false');
    }
    if (!this.mayWrite(caller, group)) return noScope(item, group);
    const name = slug(label);
    if (name === '') return failed(item, 'validation', 'The label makes no name');
    if (this.attributes.has(name)) return failed(item, 'exists', `Attribute '${name}' already exists`);
    const attribute = this.add({ name, label, template: null, group, valueType, manual: manual ?? false });
    if (!attribute) return tooMany(item);
    attribute.owner = caller.service;
    return { success: { ...item, name }, attribute };
  }

  release(caller: Caller, item: Item, index: number): ItemResult {
    const missing = missingFields(item, index, ['name']);
    if (missing) return missing;
    const attribute = this.writable(caller, item);
    if ('failed' in attribute) return attribute;
    attribute.owner = null;
    this.isDirty = true;
    return { success: { name: attribute.name }, attribute };
  }

  /** Another hand: a person in Exist's app. Says what is wrong, or nothing. */
  edit(name: string, date: string, value: Value): string | undefined {
    const attribute = this.attributes.get(name);
    if (!attribute) return `there is no attribute "${name}"`;
    if (!isLocalDate(date)) return `"${date}" is no date of the form YYYY-mm-dd`;
    const checked = checkValue(value, attribute.valueType);
    if ('error' in checked) return checked.error;
    this.put(attribute, date, checked.value);
    return undefined;
  }

  /** The user takes the ownership away from whoever has it. */
  disown(name: string): boolean {
    const attribute = this.attributes.get(name);
    if (!attribute) return false;
    attribute.owner = null;
    this.isDirty = true;
    return true;
  }

  delete(name: string): boolean {
    const isThere = this.attributes.delete(name);
    if (isThere) this.isDirty = true;
    return isThere;
  }

  private writable(caller: Caller, item: Item): Attribute | { failed: Item } {
    const { name } = item;
    const attribute = typeof name === 'string' ? this.attributes.get(name) : undefined;
    if (!attribute) return failed(item, 'not_found', `Attribute '${String(name)}' does not exist`);
    if (attribute.owner !== caller.service) {
      return failed(item, 'unauthorised', `Attribute '${attribute.name}' is not owned by this service`);
    }
    if (!this.mayWrite(caller, attribute.group)) return noScope(item, attribute.group);
    return attribute;
  }

  private add(made: Omit<Attribute, 'owner' | 'values' | 'before'>): Attribute | undefined {
    if (this.attributes.size >= MOST_ATTRIBUTES) return undefined;
    const { name, label, template, group, valueType, manual } = made;
    const attribute: Attribute = {
      ...{ name, label, template, group, valueType, manual },
      owner: null,
      values: new Map(),
      before: new Map(),
    };
    this.attributes.set(name, attribute);
    this.isDirty = true;
    return attribute;
  }

  private put(attribute: Attribute, date: LocalDate, value: Value): void {
    attribute.before.set(date, attribute.values.get(date));
    attribute.values.set(date, value);
    this.isDirty = true;
  }
}

function failed(item: Item, code: string, error: string): { failed: Item } {
  return { failed: { ...item, error_code: code, error } };
}

function noScope(item: Item, group: string): { failed: Item } {
  return failed(item, 'unauthorised', `The token lacks the scope ${group}_write`);
}

function tooMany(item: Item): { failed: Item } {
  return failed(item, 'validation', `There are ${MOST_ATTRIBUTES} attributes already`);
}

function missingFields(item: Item, index: number, fields: readonly string[]): { failed: Item } | undefined {
  const missing = fields.filter((field) => item[field] === undefined);
  if (missing.length === 0) return undefined;
  const names = missing.map((field) => `'${field}'`).join(', ');
  return failed(item, 'missing_field', `Object at index ${index} missing field(s) ${names}`);
}

function readDate(text: unknown): LocalDate | undefined {
  return typeof text === 'string' && isLocalDate(text) ? text : undefined;
}

/** `Fridge opens` becomes `fridge_opens`. */
function slug(label: string): string {
  return label
    .normalize('NFKD')
    .toLowerCase()
    .replace(/\p{M}+/gu, '')
    .replace(/[^a-z0-9]+/g, '_')
    .replace(/^_+|_+$/g, '');
}
