/**
 * Whose the files are that a command makes.
 */
import { statSync } from 'node:fs';

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** Root writes for the daemon, which runs as the owner of its data or configuration: of the first that is there. */
export function ownerFor(candidates: readonly string[]): Owner | undefined {
  if (process.getuid?.() !== 0) return undefined;
  for (const candidate of candidates) {
    const stats = statSync(candidate, { throwIfNoEntry: false });
    if (stats) return { uid: stats.uid, gid: stats.gid };
  }
  return undefined;
}
