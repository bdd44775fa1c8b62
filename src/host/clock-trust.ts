/**
 * Whether the system clock can be believed. A Pi has no clock that runs without power: it starts in the past and
 * jumps when the network tells the time.
 *
 * Trusted: a year that can be, and one of: systemd says it is synchronised; a hardware clock set the system time
 * at boot; nothing on this machine can say anything about it (a container: the host keeps its clock).
 */
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import type { EpochMs } from '../core/time.ts';

/** Before this version was written: no clock that is right shows it. */
const SANE_SINCE = Date.UTC(2026, 0, 1);
const TIMESYNCD_FLAG = '/run/systemd/timesync/synchronized';
const COMMAND_TIMEOUT_MS = 3_000;

export interface ClockEvidence {
  readonly now: EpochMs;
  /** A hardware clock set the system clock at boot. */
  readonly hasHardwareClock: boolean;
  readonly timesyncdFlag: boolean;
  /** systemd's word (`timedatectl`), `undefined` where there is none. */
  readonly synchronised: boolean | undefined;
}

/** Why the clock cannot be trusted, or `undefined` where it can. */
export function clockProblem(evidence: ClockEvidence): string | undefined {
  const { now, hasHardwareClock, timesyncdFlag, synchronised } = evidence;
  if (now < SANE_SINCE) return `the system clock shows ${new Date(now).toISOString()}`;
  if (timesyncdFlag || hasHardwareClock || synchronised === true || synchronised === undefined)
    return undefined;
  return 'the system clock is not synchronised yet (see timedatectl)';
}

export async function gatherClockEvidence(now: EpochMs): Promise<ClockEvidence> {
  return {
    now,
    hasHardwareClock: readsOne('/sys/class/rtc/rtc0/hctosys'),
    timesyncdFlag: existsSync(TIMESYNCD_FLAG),
    synchronised: existsSync('/run/systemd/system') ? await systemdSays() : undefined,
  };
}

function readsOne(file: string): boolean {
  try {
    return readFileSync(file, 'utf8').trim() === '1';
  } catch {
    return false;
  }
}

async function systemdSays(): Promise<boolean | undefined> {
  try {
    const command = promisify(execFile)('timedatectl', ['show', '-p', 'NTPSynchronized', '--value'], {
      timeout: COMMAND_TIMEOUT_MS,
    });
    const { stdout } = await command;
    return stdout.trim() === 'yes';
  } catch {
    return undefined;
  }
}
