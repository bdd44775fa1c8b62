/**
 * Why tests are skipped, told in their names: `describe.skipIf(NO_OPENSSL)(`a certificate${skipped(NO_OPENSSL)}`, …)`.
 */

/** What is put behind the name of a test that is skipped for such a reason; nothing where there is none. */
export function skipped(...reasons: readonly (string | undefined)[]): string {
  const given = reasons.filter((reason) => reason !== undefined);
  return given.length === 0 ? '' : ` (skipped: ${given.join(', ')})`;
}

/** Root may read and write everything. */
export const IS_ROOT: string | undefined =
  process.getuid?.() === 0 ? 'root may read and write everything' : undefined;
