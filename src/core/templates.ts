/**
 * Exist's templates that a home can feed: attributes it knows under a fixed name, with their value types.
 *
 * The group is where Exist files a template; it decides which scope a token needs for it.
 */
import type { ValueType } from './attribute.ts';

/** Groups an attribute can belong to; scopes are named after them (`food_read`, `food_write`). */
export const GROUPS = [
  'activity',
  'productivity',
  'mood',
  'sleep',
  'workouts',
  'events',
  'finance',
  'food',
  'health',
  'location',
  'media',
  'social',
  'weather',
  'symptoms',
  'medication',
  'custom',
] as const;

export type Group = (typeof GROUPS)[number];

export interface Template {
  readonly valueType: ValueType;
  readonly group: Group;
  readonly label: string;
  /** What one of it is, where the name does not say so. */
  readonly measure?: string;
}

const rows: readonly (readonly [string, ValueType, Group, string, string?])[] = [
  ['coffees', 'integer', 'food', 'Coffees'],
  ['water', 'integer', 'food', 'Water', 'ml'],
  ['alcoholic_drinks', 'integer', 'food', 'Alcoholic drinks'],
  ['caffeine', 'decimal', 'food', 'Caffeine', 'mg'],
  ['energy', 'decimal', 'food', 'Energy', 'kJ'],
  ['tv_min', 'minutes', 'media', 'TV time'],
  ['gaming_min', 'minutes', 'media', 'Gaming time'],
  ['pages_read', 'integer', 'media', 'Pages read'],
  ['mobile_screen_min', 'minutes', 'productivity', 'Mobile screen time'],
  ['productive_min', 'minutes', 'productivity', 'Productive time'],
  ['keystrokes', 'integer', 'productivity', 'Keystrokes'],
  ['time_in_bed', 'minutes', 'sleep', 'Time in bed'],
  ['sleep', 'minutes', 'sleep', 'Time asleep'],
  ['sleep_start', 'time_of_day_midday', 'sleep', 'Bedtime'],
  ['sleep_end', 'time_of_day', 'sleep', 'Wake time'],
  ['sleep_awakenings', 'integer', 'sleep', 'Awakenings'],
  ['weight', 'decimal', 'health', 'Weight', 'kg'],
  ['body_fat', 'percentage', 'health', 'Body fat'],
  ['heartrate', 'integer', 'health', 'Heart rate', 'beats a minute'],
  ['meditation_min', 'minutes', 'health', 'Meditation time'],
  ['steps', 'integer', 'activity', 'Steps'],
  ['floors', 'integer', 'activity', 'Floors'],
  ['cycle_min', 'minutes', 'activity', 'Cycling time'],
  ['cycle_distance', 'decimal', 'activity', 'Cycling distance', 'km'],
  ['workouts', 'integer', 'workouts', 'Workouts'],
  ['workouts_min', 'minutes', 'workouts', 'Workout time'],
  ['money_spent', 'decimal', 'finance', 'Money spent'],
  ['mood', 'scale', 'mood', 'Mood'],
  ['energy_level', 'scale', 'mood', 'Energy level'],
  ['stress_level', 'scale', 'mood', 'Stress level'],
  ['mood_note', 'text', 'mood', 'Mood note'],
  ['location', 'text', 'location', 'Location', 'lat,lng'],
  ['weather_temp_max', 'decimal', 'weather', 'Max temperature', '°C'],
  ['weather_temp_min', 'decimal', 'weather', 'Min temperature', '°C'],
  ['weather_precipitation', 'decimal', 'weather', 'Precipitation'],
  ['weather_wind_speed', 'decimal', 'weather', 'Wind speed', 'km/h'],
  ['day_length', 'minutes', 'weather', 'Day length'],
];

/** By name, in the order the reference shows them. */
export const TEMPLATES: ReadonlyMap<string, Template> = new Map(
  rows.map(([name, valueType, group, label, measure]) => [
    name,
    { valueType, group, label, ...(measure !== undefined && { measure }) },
  ]),
);
