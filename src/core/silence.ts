/**
 * Sensors that went quiet: what the configuration or a device's account says with `silent_after`.
 */

/** What something was to be heard of. */
export type Watched =
  | { readonly kind: 'mapping'; readonly attribute: string; readonly topics: readonly string[] }
  | { readonly kind: 'device'; readonly name: string };

/** Nothing was heard of it for longer than it says. */
export type Silent = Watched & {
  /** ISO 8601 with zone; where nothing was ever heard, when the waiting began. */
  readonly last_heard: string;
  readonly silent_after_s: number;
};

/** For people: `home/door (opens)`, `device fridge`. */
export function wordsOf(watched: Watched): string {
  switch (watched.kind) {
    case 'mapping':
      return `${watched.topics.join(', ')} (${watched.attribute})`;
    case 'device':
      return `device ${watched.name}`;
  }
}
