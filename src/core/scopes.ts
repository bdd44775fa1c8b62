/**
 * What the bridge may do at Exist, as scopes: only what its attributes need.
 *
 * Reading is needed as much as writing: what became of a call whose answer was lost is read back.
 */
import { TEMPLATES } from './templates.ts';
import type { Mode } from './delivery/state.ts';

export interface ScopedAttribute {
  readonly template: string | null;
  readonly group: string;
  readonly wantedMode: Mode | null;
}

/** Sorted, each once. */
export function scopesOf(attributes: readonly ScopedAttribute[]): string[] {
  const groups = new Set<string>();
  for (const { template, group, wantedMode } of attributes) {
    // A template's group is Exist's, whatever the configuration files it under.
    groups.add((template === null ? undefined : TEMPLATES.get(template)?.group) ?? group);
    // What has no template is created: a custom attribute.
    if (template === null) groups.add('custom');
    // Where the user writes it by hand as well, Exist counts it among the manual ones.
    if (wantedMode === 'shared') groups.add('manual');
  }
  return [...groups].sort().flatMap((group) => [`${group}_read`, `${group}_write`]);
}

/** The scopes of `needed` that were not granted. Exist's word on what it granted is a list of whatever form. */
export function missingScopes(needed: readonly string[], granted: string): string[] {
  const words = new Set(granted.split(/[\s,+]+/));
  // None at all: this is no list of scopes as we know them.
  if (!needed.some((scope) => words.has(scope))) return [];
  return needed.filter((scope) => !words.has(scope));
}
