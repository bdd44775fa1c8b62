/** What Linux tells of another process. */
import { readFileSync } from 'node:fs';

/** Resident memory in MB; 0 where it has ended. */
export function residentMb(pid: number): number {
  try {
    const [, kilobytes = '0'] =
      /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${String(pid)}/status`, 'utf8')) ?? [];
    return Number(kilobytes) / 1_024;
  } catch {
    return 0;
  }
}
