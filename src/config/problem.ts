/**
 * What is wrong with a configuration, and where.
 */

export interface Problem {
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** From 1, in characters. */
  readonly column: number;
  /** `exist.timeout`, `mappings[0].count.when`; empty where the whole file is meant. */
  readonly path: string;
  readonly message: string;
  /** What to write instead, or `null` where the message says it all. */
  readonly hint: string | null;
}

/** One line, as compilers write them, so that editors can jump to the place. */
export function formatProblem({ file, line, column, path, message, hint }: Problem): string {
  const where = `${file}:${line}:${column}: ${path === '' ? '' : `${path}: `}`;
  return `${where}${message}${hint === null ? '' : `; ${hint}`}`;
}

export type Path = readonly (string | number)[];

/** Below these stand names of the user's choice. */
const NAMING = ['attributes', 'users'];

export function pathText(path: Path): string {
  return path
    .map((part, index) => {
      if (typeof part === 'number') return `[${part}]`;
      const isName = NAMING.includes(String(path[index - 1]));
      return `${index === 0 ? '' : '.'}${isName ? part : keyText(part)}`;
    })
    .join('');
}

/** A key that cannot be one of ours may have its value in it, as in `{ token:abc }`, and that may be a secret. */
function keyText(key: string): string {
  return /^(?:[a-z_]{1,40}|<<)$/.test(key) ? key : '…';
}

export interface Finding {
  readonly path: Path;
  readonly message: string;
  readonly hint?: string;
  /** In the text at `path`, in characters. */
  readonly index?: number;
  readonly isMissing?: true;
  /** The message repeats parts of the text at `path`. */
  readonly isQuoting?: true;
}

/** The one of `names` that `word` was most likely meant to be, or `undefined` where none is near. */
export function nearest(word: string, names: Iterable<string>): string | undefined {
  if (word.length > 64) return undefined;
  const wanted = folded(word);
  let best: string | undefined;
  let least = Math.max(1, Math.ceil(wanted.length / 3)) + 1;
  for (const name of names) {
    const distance = editDistance(wanted, folded(name));
    if (distance < least) {
      best = name;
      least = distance;
    }
  }
  return best;
}

/** Case, `-` and `_` are what people mix up most: they make no difference. */
function folded(name: string): string {
  return name.toLowerCase().replace(/[-_ ]/g, '');
}

/** Insertions, deletions, substitutions and swaps of neighbours that make `b` of `a`. */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= b.length; column += 1) {
      const same = a[row - 1] === b[column - 1];
      let cost = Math.min(
        (last[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (last[column - 1] ?? 0) + (same ? 0 : 1),
      );
      const isSwap = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
      if (isSwap) cost = Math.min(cost, (beforeLast[column - 2] ?? 0) + 1);
      current.push(cost);
    }
    beforeLast = last;
    last = current;
  }
  return last[b.length] ?? 0;
}
