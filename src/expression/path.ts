/**
 * Dotted paths (`contact`, `ENERGY.Power`, `phases[0].power`), evaluated without JSONata and with its meaning:
 * a name looked up in an array is looked up in each of its members, an index picks from each result.
 *
 * Only an object's own keys are looked at, so `constructor` and `__proto__` find nothing that was not sent.
 */

interface Step {
  readonly name: string;
  readonly index?: number;
}

export type Path = readonly Step[];

const maxPathLength = 500;
const step = /(?:([A-Za-z_][A-Za-z0-9_]*)|`([^`]+)`)(?:\[(-?\d{1,9})\])?/y;

/** Words that JSONata gives a meaning of their own. */
const reserved = new Set(['and', 'or', 'in', 'true', 'false', 'null', 'function']);

/** The steps of a plain path, or `undefined` where `source` is more than that (or less). */
export function parsePath(source: string): Path | undefined {
  const text = source.trim();
  if (text.length > maxPathLength) return undefined;
  const steps: Step[] = [];
  let position = 0;
  for (;;) {
    step.lastIndex = position;
    const [matched, word, quoted, index] = step.exec(text) ?? [];
    const name = word ?? quoted;
    if (matched === undefined || name === undefined || (word !== undefined && reserved.has(word)))
      return undefined;
    steps.push({ name, ...(index !== undefined && { index: Number(index) }) });
    position += matched.length;
    if (position === text.length) return steps;
    if (text[position] !== '.') return undefined;
    position += 1;
  }
}

/** What `path` finds in `input`: nothing, one or several. The members of an array it ends at count as several. */
export function follow(path: Path, input: unknown): readonly unknown[] {
  let found: unknown[] = [input];
  for (const { name, index } of path) {
    const next: unknown[] = [];
    for (const item of found) {
      const all = lookUp(item, name);
      const result = index === undefined || all === undefined ? all : pick(all, index);
      if (result === undefined) continue;
      if (Array.isArray(result)) for (const member of result) next.push(member);
      else next.push(result);
    }
    if (next.length === 0) return next;
    found = next;
  }
  return found;
}

function lookUp(input: unknown, name: string): unknown {
  if (typeof input !== 'object' || input === null) return undefined;
  if (!Array.isArray(input)) {
    return Object.hasOwn(input, name) ? (input as Readonly<Record<string, unknown>>)[name] : undefined;
  }
  const found: unknown[] = [];
  for (const member of input) {
    const result = lookUp(member, name);
    if (Array.isArray(result)) for (const one of result) found.push(one);
    else if (result !== undefined) found.push(result);
  }
  return found.length < 2 ? found[0] : found;
}

function pick(result: unknown, index: number): unknown {
  const list: readonly unknown[] = Array.isArray(result) ? result : [result];
  return list.at(index);
}
