/**
 * What users read about the configuration, made from the schema that checks it: docs/configuration.md and the
 * JSON Schema for editors. `npm run docs` writes both.
 */
import * as z from 'zod';
import { isIncrementable, VALUE_TYPES } from '../core/attribute.ts';
import { TEMPLATES } from '../core/templates.ts';
import {
  ATTRIBUTE_TYPES,
  CONDITIONS,
  EXPRESSIONS,
  INTRODUCTION,
  MAPPINGS,
  OPERATION_TEXTS,
  RULES,
} from './reference-text.ts';
import { configuration } from './schema.ts';

type JsonSchema = z.core.JSONSchema.BaseSchema;

function jsonSchema(): JsonSchema {
  return z.toJSONSchema(configuration, {
    io: 'input',
    override: ({ zodSchema, jsonSchema: made }) => {
      // Left out by zod where a value is transformed, since it cannot know that they are inputs.
      const examples = z.globalRegistry.get(zodSchema)?.examples;
      if (Array.isArray(examples)) made.examples = examples;
    },
  });
}

/** config/mqtt2exist.schema.json */
export function schemaText(): string {
  const schema = { title: 'Configuration of mqtt2exist', ...jsonSchema() };
  return `${JSON.stringify(schema, null, 2)}\n`;
}

/** docs/configuration.md */
export function referenceText(): string {
  const root = jsonSchema();
  const mapping = itemsOf(at(root, 'mappings'));
  const operations = Object.keys(OPERATION_TEXTS);
  return [
    INTRODUCTION,
    '## Top level',
    keys(root, (_, schema) => !isSection(schema)),
    ...['exist', 'flush'].map((name) => section(name, at(root, name))),
    section('broker', at(root, 'broker')),
    `### broker.users\n\n${at(root, 'broker', 'users').description ?? ''}`,
    keys(valuesOf(at(root, 'broker', 'users'))),
    section('broker.limits', at(root, 'broker', 'limits'), '###'),
    `## connections\n\n${at(root, 'connections').description ?? ''}`,
    keys(itemsOf(at(root, 'connections'))),
    `### connections.tls\n\n${at(itemsOf(at(root, 'connections')), 'tls').description ?? ''}`,
    keys(at(itemsOf(at(root, 'connections')), 'tls')),
    section('web', at(root, 'web')),
    `## attributes\n\n${at(root, 'attributes').description ?? ''}`,
    keys(valuesOf(at(root, 'attributes'))),
    ATTRIBUTE_TYPES,
    typesTable(),
    '### Templates\n\nThese of Exist’s templates are known by name; prefer them where one fits.',
    templatesTable(),
    '## mappings',
    MAPPINGS,
    '### Keys of every mapping',
    keys(mapping, (name) => !operations.includes(name)),
    EXPRESSIONS,
    CONDITIONS,
    '## Operations\n\nEach mapping has exactly one.',
    ...Object.entries(OPERATION_TEXTS).map(([name, text]) => operation(name, at(mapping, name), text)),
    RULES,
    `## demo\n\n${at(root, 'demo').description ?? ''}`,
    section('demo.fridge_door', at(root, 'demo', 'fridge_door'), '###'),
    '## Keys of later versions',
    'These are known, and refused by name, so that nobody takes them for working:',
    laterKeys(root, '').join('\n'),
  ]
    .filter((part) => part !== '')
    .join('\n\n');
}

function section(name: string, schema: JsonSchema, heading = '##'): string {
  return [`${heading} ${name}`, schema.description ?? '', keys(schema)].join('\n\n');
}

function operation(name: string, schema: JsonSchema, text: string): string {
  return [`### ${name}`, schema.description ?? '', keys(schema), text]
    .filter((part) => part !== '')
    .join('\n\n');
}

/** A list of the keys of a section: kind, default, meaning, examples. */
function keys(
  schema: JsonSchema,
  wanted: (name: string, schema: JsonSchema) => boolean = () => true,
): string {
  const required = schema.required ?? [];
  return Object.entries(propertiesOf(schema))
    .filter(([name, inner]) => !isLater(inner) && wanted(name, inner))
    .map(([name, inner]) => {
      const facts = [kindOf(inner), required.includes(name) ? 'required' : defaultOf(inner)].filter(
        (fact) => fact !== '',
      );
      const examples = (inner.examples ?? []).map((example) => code(example)).join(', ');
      const lines = [`- **\`${name}\`**: ${facts.join(', ')}`, `  ${inner.description ?? ''}`];
      // Two spaces at the end of a line would be a line break, but formatters take them away.
      return `${lines.join('\\\n')}${examples === '' ? '' : ` For example ${examples}.`}`;
    })
    .join('\n');
}

function kindOf(schema: JsonSchema): string {
  if (schema.title !== undefined) return schema.title;
  if (schema.enum) return `one of ${schema.enum.map((value) => code(value)).join(', ')}`;
  if (schema.type === 'number' || schema.type === 'boolean') return schema.type;
  if (schema.type === 'array') return 'list';
  return 'section';
}

function defaultOf(schema: JsonSchema): string {
  if (schema.default === undefined || isSection(schema)) return '';
  return `default ${code(schema.default)}`;
}

function code(value: unknown): string {
  return `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``;
}

function propertiesOf(schema: JsonSchema): Readonly<Record<string, JsonSchema>> {
  return branches(schema).reduce<Record<string, JsonSchema>>((all, branch) => {
    for (const [name, inner] of Object.entries(branch.properties ?? {})) {
      if (typeof inner === 'object') all[name] = inner;
    }
    return all;
  }, {});
}

/** A schema, or those it is any of. */
function branches(schema: JsonSchema): readonly JsonSchema[] {
  return schema.anyOf ? schema.anyOf.filter((branch) => typeof branch === 'object') : [schema];
}

function isSection(schema: JsonSchema): boolean {
  if (schema.title !== undefined) return false;
  return (
    Object.keys(propertiesOf(schema)).length > 0 ||
    schema.additionalProperties !== undefined ||
    schema.items !== undefined
  );
}

function isLater(schema: JsonSchema): boolean {
  return schema.not !== undefined;
}

function at(schema: JsonSchema, ...names: readonly string[]): JsonSchema {
  return names.reduce((outer, name) => {
    const inner = propertiesOf(outer)[name];
    if (!inner) throw new Error(`the schema has no key ${name}`);
    return inner;
  }, schema);
}

function itemsOf({ items }: JsonSchema): JsonSchema {
  if (typeof items !== 'object' || Array.isArray(items)) throw new Error('the schema has no items');
  return items;
}

function valuesOf({ additionalProperties }: JsonSchema): JsonSchema {
  if (typeof additionalProperties !== 'object') throw new Error('the schema has no values');
  return additionalProperties;
}

function laterKeys(schema: JsonSchema, prefix: string): string[] {
  return Object.entries(propertiesOf(schema)).flatMap(([name, inner]) => {
    if (isLater(inner))
      return [`- \`${prefix}${name}\`: ${(inner.description ?? '').replace(/: not supported.*/, '')}`];
    return laterKeys(inner, `${prefix}${name}.`);
  });
}

const typeMeanings: Readonly<Record<string, readonly [meaning: string, operations: string]>> = {
  integer: ['a quantity, whole', '`count`, `add`, `rise`, `duration`, `set`'],
  decimal: ['a quantity', '`count`, `add`, `rise`, `duration`, `set`'],
  text: ['text of at most 1000 characters', '`set` (`pick`: `last` or `first`)'],
  minutes: ['minutes, whole', '`duration`, `count`, `add`, `rise`, `set`'],
  time_of_day: ['minutes from midnight', '`time`, `set` (minutes, or text such as `07:30`)'],
  percentage: ['0 to 1', '`set`, `add`, `rise`'],
  time_of_day_midday: ['minutes from midday; only as a template', '`time`, `set`'],
  boolean: ['yes or no', '`set` (`on`/`off`, `true`/`false`, `1`/`0`)'],
  scale: ['1 to 9, whole', '`set`'],
};

function typesTable(): string {
  const rows = VALUE_TYPES.map((type) => {
    const [meaning, operations] = typeMeanings[type] ?? ['', ''];
    return `| \`${type}\` | ${meaning} | ${operations} | ${isIncrementable(type) ? 'yes' : 'no'} |`;
  });
  return ['| type | holds | operations | adds up |', '| --- | --- | --- | --- |', ...rows].join('\n');
}

function templatesTable(): string {
  const rows = [...TEMPLATES].map(
    ([name, { valueType, group, measure }]) => `| \`${name}\` | ${valueType} | ${group} | ${measure ?? ''} |`,
  );
  return ['| template | type | group | measure |', '| --- | --- | --- | --- |', ...rows].join('\n');
}
