/**
 * Files that the configuration is read from or names.
 */
import path from 'node:path';

/** Throws where the file cannot be read. */
export type ReadFile = (path: string) => string;

export function contentOf(
  file: string,
  readFile: ReadFile,
): { readonly content: string } | { readonly failure: string } {
  try {
    return { content: readFile(file) };
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT') return { failure: 'there is no such file' };
    if (code === 'EACCES' || code === 'EPERM') return { failure: 'permission denied' };
    if (code === 'EISDIR') return { failure: 'it is a folder' };
    return { failure: typeof code === 'string' ? code : 'the system refuses' };
  }
}

/** Paths in the file are relative to its folder. */
export function resolved(file: string, given: string): string {
  return path.resolve(path.dirname(file), given.trim());
}
