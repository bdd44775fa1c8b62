/**
 * Exist's attribute templates that a home can feed, and its attribute groups. Names and types: Exist's reference,
 * "list of attribute templates".
 */

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

const templates: readonly (readonly [name: string, label: string, group: string, valueType: number])[] = [
  ['steps', 'Steps', 'activity', 0],
  ['steps_active_min', 'Active time', 'activity', 3],
  ['floors', 'Floors climbed', 'activity', 0],
  ['cycle_min', 'Cycling time', 'activity', 3],
  ['cycle_distance', 'Cycling distance', 'activity', 1],
  ['workouts', 'Workouts', 'workouts', 0],
  ['workouts_min', 'Workout time', 'workouts', 3],
  ['productive_min', 'Productive time', 'productivity', 3],
  ['mobile_screen_min', 'Mobile screen time', 'productivity', 3],
  ['keystrokes', 'Keystrokes', 'productivity', 0],
  ['mood', 'Mood', 'mood', 8],
  ['mood_note', 'Mood note', 'mood', 2],
  ['energy_level', 'Energy level', 'mood', 8],
  ['stress_level', 'Stress level', 'mood', 8],
  ['sleep', 'Time asleep', 'sleep', 3],
  ['time_in_bed', 'Time in bed', 'sleep', 3],
  ['sleep_start', 'Bedtime', 'sleep', 6],
  ['sleep_end', 'Wake time', 'sleep', 4],
  ['sleep_awakenings', 'Awakenings', 'sleep', 0],
  ['money_spent', 'Money spent', 'finance', 1],
  ['coffees', 'Coffees', 'food', 0],
  ['water', 'Water', 'food', 0],
  ['alcoholic_drinks', 'Alcoholic drinks', 'food', 0],
  ['caffeine', 'Caffeine', 'food', 1],
  ['energy', 'Energy', 'food', 1],
  ['weight', 'Weight', 'health', 1],
  ['body_fat', 'Body fat', 'health', 5],
  ['heartrate', 'Resting heart rate', 'health', 0],
  ['meditation_min', 'Meditation time', 'health', 3],
  ['location', 'Location', 'location', 2],
  ['tv_min', 'TV time', 'media', 3],
  ['gaming_min', 'Gaming time', 'media', 3],
  ['pages_read', 'Pages read', 'media', 0],
  ['weather_temp_max', 'Maximum temperature', 'weather', 1],
  ['weather_temp_min', 'Minimum temperature', 'weather', 1],
  ['weather_precipitation', 'Precipitation', 'weather', 1],
  ['weather_wind_speed', 'Wind speed', 'weather', 1],
  ['day_length', 'Day length', 'weather', 3],
];

export const TEMPLATES: ReadonlyMap<string, Template> = new Map(
  templates.map(([name, label, group, valueType]) => [name, { name, label, group, valueType }]),
);
