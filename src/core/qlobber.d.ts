/** What `topic.ts` uses of qlobber, which ships no types. */
declare module 'qlobber' {
  export class Qlobber<T> {
    constructor(options: {
      separator: string;
      wildcard_one: string;
      wildcard_some: string;
      match_empty_levels: boolean;
      max_words: number;
    });
    add(filter: string, value: T): this;
    /** May hand out its own array: read it, never change it. */
    match(topic: string): readonly T[];
  }
}
