/**
 * What was wrong with the database at the start, and what was done about it.
 */
import type { Held } from './older-copy.ts';
import type { Salvaged } from './salvage.ts';

export interface DamageReport {
  readonly kind:
    /** Set aside; what could be read of it is in the new one. */
    | 'damaged'
    /** There is none, though this bridge has worked here before. */
    | 'vanished'
    /** It knows fewer calls than were made. */
    | 'older-copy';
  readonly file: string;
  readonly cause: string;
  /** Where the damaged one lies now. */
  readonly setAside: string | null;
  readonly salvaged: Salvaged | null;
  readonly held: Held;
  /** All of it in sentences for a person. */
  readonly message: string;
}

export function damageReport(facts: Omit<DamageReport, 'message'>): DamageReport {
  return { ...facts, message: sentences(facts).join('; ') };
}

function sentences({ kind, file, cause, setAside, salvaged, held }: Omit<DamageReport, 'message'>): string[] {
  const text: string[] = [];
  if (kind === 'damaged') text.push(`the database ${file} is damaged (${cause})`);
  else if (kind === 'vanished') text.push(`the database ${file} is gone: starting with a new one`);
  else text.push(`the database ${file} is an older copy (${cause})`);
  if (setAside !== null) text.push(`it was set aside as ${setAside} and a new one was started`);
  if (salvaged) {
    const rows = Object.entries(salvaged.rows).map(([table, n]) => `${n} of ${table}`);
    text.push(rows.length === 0 ? 'nothing of it could be read' : `saved: ${rows.join(', ')}`);
    if (rows.length > 0 && salvaged.incomplete.length > 0) {
      text.push(`not all could be read of ${salvaged.incomplete.join(', ')}`);
    }
  }
  if (held.amounts > 0)
    text.push(`${held.amounts} open amounts may have been sent already: held for you to decide`);
  if (held.forgotten > 0) text.push(`${held.forgotten} meters and running intervals begin anew`);
  if (held.undated > 0) text.push(`${held.undated} messages without a date may have been counted: dropped`);
  return text;
}
