/**
 * The built daemon killed at random instants, between devices that keep publishing and an Exist that fails in every
 * way it can, on every call. In the end the books are compared (books.ts): what the devices did = what stands in
 * Exist + what is held.
 *
 * Its first starts find the database of the first version, and are killed while they bring it to the present one.
 */
import { Random } from '../simulation/random.ts';
import { eventually, type Daemon } from '../support/daemon.ts';
import { NO_MOSQUITTO } from '../support/mosquitto.ts';
import { books, isBalanced, type BookLine } from './books.ts';
import { IN_START, pickDeath } from './deaths.ts';
import { evidence } from './evidence.ts';
import { House } from './house.ts';
import { CampaignLogin } from './oauth.ts';
import { Person } from './person.ts';
import { isSpell, lastingFaults, spell } from './trouble.ts';

export interface CampaignOptions {
  readonly cycles: number;
  readonly seed: number;
  /** For the form within the suite: short lives, nobody comes by before the end, and the books are read once. */
  readonly isBrief?: boolean;
  /** With a login by OAuth2 whose tokens live for seconds: kills fall into refreshes. */
  readonly withLogin?: boolean;
  readonly log?: (line: string) => void;
}

export interface CampaignResult {
  readonly seed: number;
  /** What it was killed in, and how often. */
  readonly kills: ReadonlyMap<string, number>;
  readonly lines: readonly BookLine[];
  /** What was held on the way, and settled by hand. */
  readonly settled: readonly string[];
  /** How often somebody had to log in again; `undefined` with a developer's token. */
  readonly logins: number | undefined;
  /** Calls by path and fault. */
  readonly calls: readonly string[];
  /** Calls that would change something at Exist. */
  readonly writes: number;
  /** What was left out, and why. */
  readonly skipped: string | undefined;
  /** Where the books do not balance: all that is known about it. */
  readonly evidence: readonly string[];
}

/** Starts that meet the old database, or what the one before has made of it. */
const FIRST_STARTS = 4;
const SPELL_CHANCE = 0.1;
const NEW_DEVICE_CHANCE = 0.08;
const VISIT_EVERY = 10;
/** A daemon that was told to call less often does so for minutes, and has all that came meanwhile to send. */
const REST_WITHIN_MS = 10 * 60_000;

export async function campaign({
  cycles,
  seed,
  isBrief = false,
  withLogin = false,
  log = () => undefined,
}: CampaignOptions): Promise<CampaignResult> {
  const random = new Random(seed);
  const house = await House.open(random, isBrief);
  const person = new Person(house);
  const kills = new Map<string, number>();
  let isFine = false;
  let daemon: Daemon | undefined;
  try {
    house.sandbox.faults(lastingFaults(seed));
    const login = withLogin ? await CampaignLogin.open(house, house.options.existUrl, seed) : undefined;
    for (let cycle = 1; cycle <= cycles; cycle += 1) {
      const isUnwell = house.sandbox.faults().some(isSpell);
      if (random.chance(SPELL_CHANCE) && !isUnwell) house.sandbox.faults([spell(random)]);
      if (random.chance(NEW_DEVICE_CHANCE)) house.addDevice();
      const death = cycle <= FIRST_STARTS ? IN_START : pickDeath(house);
      await login?.keep();
      await death.run(house);
      kills.set(death.name, (kills.get(death.name) ?? 0) + 1);
      if (!isBrief && cycle % VISIT_EVERY === 0) {
        await login?.keep();
        daemon = await house.start();
        await person.visit(daemon);
        await daemon.kill();
      }
      if (cycle % 25 === 0) log(`${cycle} of ${cycles} cycles, ${pressesOf(house)} presses`);
    }
    house.sandbox.clearFaults();
    await login?.calm();
    daemon = await house.start();
    let lines = await settle(daemon, house, person);
    if (!isBrief) {
      // What was right must still be so after the look that every start takes.
      await daemon.kill();
      daemon = await house.start();
      lines = await settle(daemon, house, person);
    }
    isFine = lines.every(isBalanced);
    return {
      seed,
      kills,
      lines,
      settled: person.settled,
      logins: login?.again,
      calls: house.tally.describe(),
      writes: house.tally.writes,
      skipped: NO_MOSQUITTO,
      evidence: isFine ? [] : await evidence(lines, house, daemon),
    };
  } finally {
    await daemon?.kill();
    await house.close(!isFine);
  }
}

function pressesOf({ devices }: House): string {
  return devices.map(({ presses }) => presses).join(' + ');
}

/** Waits until nothing is open any more, then reads the books. */
async function settle(daemon: Daemon, house: House, person: Person): Promise<BookLine[]> {
  await person.visit(daemon);
  // What a failed call makes the daemon wait for is over with Exist's troubles.
  daemon.signal('SIGHUP');
  const look = async () => {
    const status = await daemon.status();
    const { devices, dataDir, before, sandbox } = house;
    return { status, lines: books(devices, { status, exist: sandbox.state(), dataDir, before }) };
  };
  try {
    const { lines } = await eventually(
      look,
      (seen) => isAtRest(seen.status) && seen.lines.every(isBalanced),
      house.isBrief ? 40_000 : REST_WITHIN_MS,
    );
    return lines;
  } catch {
    return (await look()).lines;
  }
}

function isAtRest({
  queue,
  held,
  held_attributes: attributes,
}: Awaited<ReturnType<Daemon['status']>>): boolean {
  return (
    queue.pending_items + queue.in_flight_items + queue.unknown_items + held.length + attributes.length === 0
  );
}
