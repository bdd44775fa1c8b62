/**
 * Regular expressions that come to an end. `/(a+)+$/` takes years on forty letters, and the letters come from
 * outside. V8 cannot be told how long to try, but `node:vm` can stop it: there, patterns run that may explode.
 * The context holds nothing but that one call; it is no sandbox and needs none, for no foreign code runs in it.
 */
import { createContext, Script, type Context } from 'node:vm';

const TIMEOUT_MS = 25;

/** At most this many quantifiers on a text this short need at most 128³ steps: not worth the watchdog. */
const FEW_QUANTIFIERS = 2;
const SHORT_TEXT = 128;

const call = new Script('run()');
let context: Context | undefined;

/** In the place of `RegExp` for JSONata, which constructs it with a `RegExp` and calls `exec` with `lastIndex`. */
export class BoundedRegExp {
  readonly #pattern: RegExp;
  readonly #isSimple: boolean;

  constructor(pattern: RegExp | string) {
    this.#pattern = new RegExp(pattern);
    this.#isSimple = isSimple(this.#pattern.source);
  }

  get lastIndex(): number {
    return this.#pattern.lastIndex;
  }

  set lastIndex(index: number) {
    this.#pattern.lastIndex = index;
  }

  /** Throws an `Error` where the pattern takes too long for `text`. */
  exec(text: string): RegExpExecArray | null {
    if (this.#isSimple && text.length <= SHORT_TEXT) return this.#pattern.exec(text);
    let found: RegExpExecArray | null = null;
    context ??= createContext(Object.create(null) as Context);
    const from = this.#pattern.lastIndex;
    context['run'] = () => {
      this.#pattern.lastIndex = from;
      found = this.#pattern.exec(text);
    };
    for (let attempt = 1; ; attempt += 1) {
      try {
        call.runInContext(context, { timeout: TIMEOUT_MS });
        break;
      } catch {
        // The watchdog goes by the clock on the wall; once, the machine may have been busy with something else.
        if (attempt === 2) {
          throw new Error(`the regular expression /${this.#pattern.source}/ takes too long for this payload`);
        }
      }
    }
    return found;
  }
}

/** No repeated groups and few quantifiers. What stands in a class or behind a backslash is counted too: no harm. */
function isSimple(source: string): boolean {
  if (/\)[*+?{]/.test(source)) return false;
  return (source.match(/[*+?{]/g)?.length ?? 0) <= FEW_QUANTIFIERS;
}
