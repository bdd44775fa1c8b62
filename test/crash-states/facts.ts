/** What the workload writes and the examination looks for. */
import type { LocalDate } from '../../src/core/time.ts';

export const DAY = '2026-11-24' as LocalDate;
export const CLIENT = 'device';
