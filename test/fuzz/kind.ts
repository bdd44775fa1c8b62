/** What every kind of fuzzing has in common: cases made from a seed, and a place to throw them at. */
import type { Random } from '../simulation/random.ts';

export interface Kind {
  readonly name: string;
  /** Cases that are under way at a time. */
  readonly atATime: number;
  open(): Promise<Target>;
}

export interface Target {
  /** Throws one case at it; a sentence where it did not stand that. */
  attack(random: Random): Promise<string | undefined>;
  /** Whether it still does its work; a sentence where it does not. */
  check(): Promise<string | undefined>;
  /** Resident memory of the process under attack, in bytes. */
  memory(): number;
  close(): Promise<void>;
}

/** Flips, repeats, cuts, or leaves alone. */
export function mutate(bytes: Buffer, random: Random): Buffer {
  const mutated = Buffer.from(bytes);
  for (let count = random.whole(0, 3); count > 0 && mutated.length > 0; count -= 1) {
    mutated[random.whole(0, mutated.length - 1)] = random.whole(0, 255);
  }
  const cut = random.chance(0.25) ? mutated.subarray(0, random.whole(0, mutated.length)) : mutated;
  return random.chance(0.1) ? Buffer.concat([cut, cut]) : cut;
}

export function pick<T>(choices: readonly T[], random: Random): T {
  const choice = choices[random.whole(0, choices.length - 1)];
  if (choice === undefined) throw new Error('nothing to pick from');
  return choice;
}
