/**
 * YAML text into a plain value, with the place of every key and value in the file.
 *
 * The document is walked here and not by the library's `toJS()`: that one throws on aliases it cannot resolve,
 * and forgets where things stood.
 */
import {
  Composer,
  type Document,
  type ErrorCode,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type ParsedNode,
  Parser,
  Scalar,
  type YAMLMap,
} from 'yaml';
import { substitute } from './environment.ts';
import type { Path } from './problem.ts';

/** A complaint at a place in the text. */
export interface Complaint {
  /** Characters from the beginning of the text. */
  readonly offset: number;
  readonly path: Path;
  readonly message: string;
  readonly hint?: string;
}

interface Place {
  /** Where the key begins; absent for items of lists. */
  readonly key: number | undefined;
  /** Where the value begins; absent where nothing stands after the key. */
  readonly value: number | undefined;
  /** Where the first character of the text stands, if every character of it stands as it is in the file. */
  readonly text: number | undefined;
  /** The text has an environment variable in it: it may be a secret. */
  readonly isSubstituted: boolean;
}

export interface Source {
  readonly value: unknown;
  readonly complaints: readonly Complaint[];
  /** The text could not be read as YAML throughout: what seems to be missing may only be garbled. */
  readonly isGarbled: boolean;
  /** Paths whose value is unknown, since something about it was complained of already. */
  readonly broken: ReadonlySet<string>;
  /** Line and column, from 1. */
  position(offset: number): { readonly line: number; readonly column: number };
  /** Where the value at `path` begins, or the nearest thing around it. */
  valueOffset(path: Path): number;
  /** Where the key of `path` begins, or its value where it has none. */
  keyOffset(path: Path): number;
  /** Where the character `index` of the text at `path` stands; the value's beginning where that cannot be told. */
  textOffset(path: Path, index: number): number;
  isSubstituted(path: Path): boolean;
}

/** No configuration needs more; beyond, time and memory would grow without bound. */
const MAX_CHARACTERS = 262_144;
const MAX_NESTING = 50;
const MAX_ALIASES = 100;
const MAX_NODES = 20_000;

export function readSource(text: string, env: Readonly<Record<string, string | undefined>>): Source {
  const lines = new LineCounter();
  if (text.length > MAX_CHARACTERS) {
    return refusal(lines, `the file has more than ${MAX_CHARACTERS / 1024} KiB: is it a configuration?`);
  }
  const tokens = [...new Parser(lines.addNewLine).parse(text)];
  if (nestingOf(tokens) > MAX_NESTING) {
    // The library's composer goes down recursively, and the end of the stack can end the process.
    return refusal(lines, `lists and keys are nested more than ${MAX_NESTING} levels deep`);
  }
  const composer = new Composer({ prettyErrors: false, logLevel: 'silent', version: '1.2' });
  const [document, second] = [...composer.compose(tokens, true, text.length)];
  if (!document) return refusal(lines, 'the file is empty');
  return new Walk(document, text, lines, env).source(second?.range[0]);
}

interface Token {
  readonly type: string;
  readonly items?: readonly { readonly key?: unknown; readonly value?: unknown }[];
  readonly value?: unknown;
}

function isToken(candidate: unknown): candidate is Token {
  return typeof candidate === 'object' && candidate !== null && 'type' in candidate;
}

/** How deep tokens are nested, found without recursion. */
function nestingOf(tokens: readonly unknown[]): number {
  let deepest = 0;
  const open: [unknown, number][] = tokens.map((token) => [token, 0]);
  for (let next = open.pop(); next; next = open.pop()) {
    const [token, depth] = next;
    if (!isToken(token)) continue;
    deepest = Math.max(deepest, depth);
    if (token.items)
      for (const { key, value } of token.items) open.push([key, depth + 1], [value, depth + 1]);
    else open.push([token.value, depth + 1]);
  }
  return deepest;
}

function refusal(lines: LineCounter, message: string): Source {
  return sourceOf(lines, undefined, [{ offset: 0, path: [], message }], true, new Map(), new Set(['[]']));
}

/** What the library says, without the text that it quotes: that may be a secret. */
function withoutQuotes(code: ErrorCode, message: string): string {
  switch (code) {
    case 'BAD_DIRECTIVE':
      return 'there is no such directive';
    case 'BAD_DQ_ESCAPE':
      return 'there is no such escape sequence';
    case 'TAG_RESOLVE_FAILED':
      return 'there is no such tag';
    case 'UNEXPECTED_TOKEN':
      return lowerFirst(message.replace(/: .*/s, ''));
    default:
      return lowerFirst(message);
  }
}

/** One way through a document: gathers the value, the places and the complaints. */
class Walk {
  private readonly complaints: Complaint[] = [];
  private readonly places = new Map<string, Place>();
  private readonly broken = new Set<string>();
  private readonly garbledLines = new Set<number>();
  private nodes = 0;
  private aliases = 0;
  private isExhausted = false;

  constructor(
    private readonly document: Document.Parsed,
    private readonly text: string,
    private readonly lines: LineCounter,
    private readonly env: Readonly<Record<string, string | undefined>>,
  ) {}

  source(secondDocumentAt: number | undefined): Source {
    const { document, lines } = this;
    if (secondDocumentAt !== undefined) {
      this.complain(secondDocumentAt, [], 'a configuration is one YAML document', 'take out the line ---');
    }
    for (const { code, message, pos } of document.errors) this.complainOfSyntax(code, message, pos[0]);
    for (const { pos } of document.warnings) {
      this.complain(
        pos[0],
        [],
        'tags that begin with `!` are not used here',
        'take the tag out; a secret comes from ${NAME} or a file',
      );
    }
    const value = this.read(document.contents, [], undefined, 0);
    const isGarbled = document.errors.some(({ code }) => code !== 'DUPLICATE_KEY');
    return sourceOf(lines, value, this.complaints, isGarbled, this.places, this.broken);
  }

  private complain(offset: number, path: Path, message: string, hint?: string): void {
    this.complaints.push({ offset, path, message, ...(hint !== undefined && { hint }) });
  }

  private complainOfSyntax(code: ErrorCode, message: string, offset: number): void {
    if (code === 'DUPLICATE_KEY') return; // Told by `readMap`, which knows the path.
    const { line } = this.lines.linePos(offset);
    // One mistake makes the parser stumble several times.
    if (this.garbledLines.has(line)) return;
    this.garbledLines.add(line);
    const lineText = this.text.split('\n', line)[line - 1] ?? '';
    const hint =
      code === 'TAB_AS_INDENT'
        ? 'indent with spaces'
        : lineText.includes('${')
          ? 'inside of { } and [ ] write "${NAME}" with quotes'
          : undefined;
    this.complain(offset, [], `this is not YAML: ${withoutQuotes(code, message)}`, hint);
  }

  private read(node: Node | ParsedNode | null, path: Path, key: number | undefined, depth: number): unknown {
    this.nodes += 1;
    if (this.nodes > MAX_NODES || depth > MAX_NESTING) {
      if (!this.isExhausted) {
        this.complain(key ?? offsetOf(node), path, 'the file is too large, or an alias contains itself');
      }
      this.isExhausted = true;
      return this.unknown(path, key, node);
    }
    if (isAlias(node)) return this.readAlias(node, path, key, depth);
    if (isMap(node)) {
      this.note(path, key, node);
      return this.readMap(node, path, depth);
    }
    if (isSeq(node)) {
      this.note(path, key, node);
      return node.items.map((item, index) => this.read(asNode(item), [...path, index], undefined, depth + 1));
    }
    if (isScalar(node)) return this.readScalar(node, path, key);
    this.note(path, key, node);
    return null;
  }

  private readAlias(
    alias: Extract<Node, { source: string }> & { resolve(document: Document): unknown },
    path: Path,
    key: number | undefined,
    depth: number,
  ): unknown {
    this.aliases += 1;
    if (this.aliases > MAX_ALIASES) {
      if (this.aliases === MAX_ALIASES + 1) {
        this.complain(offsetOf(alias), path, `more than ${MAX_ALIASES} aliases`, 'write the values out');
      }
      return this.unknown(path, key, alias);
    }
    const target = asNode(alias.resolve(this.document));
    if (target === null) {
      // Its name is not shown: a token may begin with an asterisk.
      const hint = 'a text that begins with * needs quotes';
      this.complain(offsetOf(alias), path, 'this alias has no anchor before it', hint);
      return this.unknown(path, key, alias);
    }
    return this.read(target, path, key, depth + 1);
  }

  private readMap(map: YAMLMap, path: Path, depth: number): Record<string, unknown> {
    const value: Record<string, unknown> = {};
    for (const pair of map.items) {
      const keyNode = asNode(pair.key);
      const offset = offsetOf(keyNode);
      if (!isScalar(keyNode) || keyNode.value === null || keyNode.value === '') {
        this.complain(offset, path, 'a key must be a plain word');
        continue;
      }
      const name = typeof keyNode.value === 'string' ? keyNode.value : (keyNode.source ?? '');
      const inner = [...path, name];
      if (Object.hasOwn(value, name)) {
        this.complain(offset, inner, 'this key stands here twice', 'keep one of them');
        continue;
      }
      if (name === '__proto__') {
        this.complain(offset, inner, 'no key can have this name');
        continue;
      }
      value[name] = this.read(asNode(pair.value), inner, offset, depth + 1);
    }
    return value;
  }

  private readScalar(scalar: Scalar, path: Path, key: number | undefined): unknown {
    const { value } = scalar;
    if (typeof value !== 'string') {
      this.note(path, key, scalar);
      return value;
    }
    const start = this.firstCharacter(scalar, value);
    const substituted = substitute(value, this.env);
    for (const { index, message, hint } of substituted.problems) {
      this.complain(start === undefined ? offsetOf(scalar) : start + index, path, message, hint);
      this.broken.add(JSON.stringify(path));
    }
    this.places.set(JSON.stringify(path), {
      key,
      value: offsetOf(scalar),
      text: substituted.isChanged ? undefined : start,
      isSubstituted: substituted.isChanged,
    });
    return substituted.text;
  }

  /** Where `value` begins in the file, if it stands there letter by letter. */
  private firstCharacter(scalar: Scalar, value: string): number | undefined {
    const from = offsetOf(scalar);
    const start = from + (scalar.type === Scalar.PLAIN ? 0 : 1);
    return this.text.startsWith(value, start) && !value.includes('\n') ? start : undefined;
  }

  private unknown(path: Path, key: number | undefined, node: Node | ParsedNode | null): undefined {
    this.note(path, key, node);
    this.broken.add(JSON.stringify(path));
    return undefined;
  }

  private note(path: Path, key: number | undefined, node: Node | ParsedNode | null): void {
    const isEmpty = node?.range ? node.range[0] === node.range[1] : true;
    const value = isEmpty ? undefined : offsetOf(node);
    this.places.set(JSON.stringify(path), { key, value, text: undefined, isSubstituted: false });
  }
}

function asNode(candidate: unknown): Node | null {
  if (isMap(candidate) || isSeq(candidate) || isScalar(candidate) || isAlias(candidate)) return candidate;
  return null;
}

function offsetOf(node: Node | ParsedNode | null): number {
  return node?.range?.[0] ?? 0;
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}

function sourceOf(
  lines: LineCounter,
  value: unknown,
  complaints: readonly Complaint[],
  isGarbled: boolean,
  places: ReadonlyMap<string, Place>,
  broken: ReadonlySet<string>,
): Source {
  const offsetAt = (path: Path, choose: (place: Place) => number | undefined): number => {
    for (let length = path.length; length >= 0; length -= 1) {
      const place = places.get(JSON.stringify(path.slice(0, length)));
      // What is missing in a section is told where the section begins: at its key.
      const found = place && (length === path.length ? choose(place) : (place.key ?? place.value));
      if (found !== undefined) return found;
    }
    return 0;
  };
  const valueOffset = (path: Path) => offsetAt(path, ({ key, value: at }) => at ?? key);
  return {
    value,
    complaints,
    isGarbled,
    broken,
    position: (offset) => {
      const { line, col } = lines.linePos(offset);
      return { line: Math.max(1, line), column: Math.max(1, col) };
    },
    valueOffset,
    keyOffset: (path) => offsetAt(path, ({ key, value: at }) => key ?? at),
    textOffset: (path, index) => {
      const start = places.get(JSON.stringify(path))?.text;
      return start === undefined ? valueOffset(path) : start + index;
    },
    isSubstituted: (path) => places.get(JSON.stringify(path))?.isSubstituted ?? false,
  };
}
