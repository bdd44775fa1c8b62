/** From a history that failed to the shortest one that still fails: what cannot be left out is what matters. */
import { live } from './history.ts';
import type { Scenario, Verdict } from './scenario.ts';

/** Leaves out one incident after the other, the last first, as long as the books still do not balance. */
export function shrink(scenario: Scenario, relive = live): Verdict {
  let verdict = relive(scenario);
  for (let isShorter = verdict.deviations.length > 0; isShorter;) {
    isShorter = false;
    for (const { name } of [...verdict.story].reverse()) {
      const only = new Set(verdict.story.map((incident) => incident.name));
      if (!only.delete(name)) continue;
      const shorter = relive({ ...scenario, only });
      // Some things happen in every telling.
      if (shorter.deviations.length === 0 || shorter.story.length >= verdict.story.length) continue;
      verdict = shorter;
      isShorter = true;
    }
  }
  return verdict;
}

/** As people read it. */
export function tell({ seed, deviations, story }: Verdict): string {
  return [`seed ${seed}, shrunk:`, ...story.map(({ text }) => `  ${text}`), ...deviations].join('\n');
}
