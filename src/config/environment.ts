/**
 * `${NAME}` in text: replaced by the environment variable; `$${` stands for a literal `${`.
 */

export interface Substituted {
  readonly text: string;
  readonly isChanged: boolean;
  readonly problems: readonly { readonly index: number; readonly message: string; readonly hint: string }[];
}

/** Escapes, variables, and what looks like one; JSONata's `${"a": b}` has quotes, colons or spaces in it. */
const patterns = /\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$\{[^\s"':{}]*\}/g;

export function substitute(text: string, env: Readonly<Record<string, string | undefined>>): Substituted {
  if (!text.includes('${')) return { text, isChanged: false, problems: [] };
  const problems: { index: number; message: string; hint: string }[] = [];
  const replaced = text.replace(patterns, (whole: string, name: string | undefined, index: number) => {
    if (whole === '$${') return '${';
    if (name === undefined) {
      const message = 'what stands between ${ and } is not the name of an environment variable';
      problems.push({ index, message, hint: 'write ${NAME}, or $${ for a literal ${' });
      return whole;
    }
    const value = Object.hasOwn(env, name) ? env[name] : undefined;
    if (value !== undefined) return value;
    const hint = 'set it, or write the value or a file here; $${ stands for a literal ${';
    // What is not written as variables are may be a secret that should have stood there without `${}`.
    const variable = /^[A-Z][A-Z0-9_]*$/.test(name)
      ? `the environment variable ${name}`
      : 'this environment variable';
    problems.push({ index, message: `${variable} is not set`, hint });
    return whole;
  });
  return { text: replaced, isChanged: replaced !== text, problems };
}
