/** Disks of a test's own: the file system is the system's, and may be full or read-only. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { onTestFinished } from 'vitest';
import { temporaryFolder } from './folder.ts';

/** Why tests that need a disk of their own are skipped, where they are. */
export const NO_MOUNT = ((): string | undefined => {
  const folder = path.join('/tmp', `mqtt2exist-mount-${process.pid}`);
  mkdirSync(folder);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4096', 'tmpfs', folder], { stdio: 'ignore' });
    execFileSync('umount', [folder]);
    return undefined;
  } catch {
    return 'only root may mount a disk';
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
})();

/** A disk of so many bytes, gone when the test is over. */
export function smallDisk(bytes: number): string {
  const folder = path.join(temporaryFolder(), 'disk');
  mkdirSync(folder);
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', folder], { stdio: 'ignore' });
  onTestFinished(() => {
    execFileSync('umount', ['-l', folder]);
  });
  return folder;
}

/** Nothing on it may be open for writing when it becomes `ro`. */
export function remount(disk: string, how: 'ro' | 'rw'): void {
  execFileSync('mount', ['-o', `remount,${how}`, disk]);
}
