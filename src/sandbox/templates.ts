/**
 * Exist's attribute templates and groups as its API shows them.
 */
import { codeOfValueType } from '../core/attribute.ts';
import { TEMPLATES as KNOWN } from '../core/templates.ts';

export interface Template {
  readonly name: string;
  readonly label: string;
  readonly group: string;
  readonly valueType: number;
}

/** Name and label, in Exist's order of priority. */
const groups = [
  ['activity', 'Activity'],
  ['workouts', 'Workouts'],
  ['productivity', 'Productivity'],
  ['mood', 'Mood'],
  ['sleep', 'Sleep'],
  ['events', 'Events'],
  ['finance', 'Finance'],
  ['food', 'Food and drink'],
  ['health', 'Health and body'],
  ['location', 'Location'],
  ['media', 'Media'],
  ['social', 'Social'],
  ['weather', 'Weather'],
  ['symptoms', 'Symptoms'],
  ['medication', 'Medication'],
  ['custom', 'Custom tracking'],
] as const;

export interface Group {
  readonly name: string;
  readonly label: string;
  readonly priority: number;
}

export const GROUPS: ReadonlyMap<string, Group> = new Map(
  groups.map(([name, label], index) => [name, { name, label, priority: index + 1 }]),
);

/** By value type code, as `value_type_description` says it. */
const descriptions = [
  'Integer',
  'Decimal number',
  'String',
  'Period (in minutes)',
  'Time of day (in minutes from midnight)',
  'Percentage (as a fraction of 1)',
  'Time of day (in minutes from midday)',
  'Boolean',
  'Scale (1 to 9)',
];

export function describeValueType(valueType: number): string {
  return descriptions[valueType] ?? 'Unknown';
}

export const TEMPLATES: ReadonlyMap<string, Template> = new Map(
  [...KNOWN].map(([name, { label, group, valueType }]) => [
    name,
    { name, label, group, valueType: codeOfValueType(valueType) },
  ]),
);
