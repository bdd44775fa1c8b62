/** All that is known about books that do not balance: enough to tell what happened without running it again. */
import { localDate, type EpochMs } from '../../src/core/time.ts';
import { openReadOnly } from '../../src/ledger/explanation.ts';
import type { Daemon } from '../support/daemon.ts';
import { isBalanced, type BookLine } from './books.ts';
import type { House } from './house.ts';

const LAST_CONTRIBUTIONS = 10;
const LAST_CALLS_SEEN = 150;

export async function evidence(lines: readonly BookLine[], house: House, daemon: Daemon): Promise<string[]> {
  const status = await daemon.status();
  const off = lines.filter((line) => !isBalanced(line)).map(({ attribute }) => attribute);
  return [
    `its database and configuration are kept in ${house.folder}`,
    `status: ${JSON.stringify({ exist: status.exist, queue: status.queue, held: status.held, attributes: status.held_attributes })}`,
    ...off.flatMap((attribute) => explained(attribute, house)),
    'the last calls that Exist saw',
    ...house.tally.last(LAST_CALLS_SEEN),
  ];
}

function explained(attribute: string, { sandbox, dataDir }: House): string[] {
  const { attributes } = sandbox.state();
  const reader = openReadOnly(dataDir);
  const name = reader.explain(attribute, localDate(Date.now() as EpochMs, 'UTC')).exist?.existName;
  const values = attributes.find((each) => each.name === name)?.values ?? {};
  const days = new Set([...Object.keys(values), localDate(Date.now() as EpochMs, 'UTC')]);
  const lines = [...days].flatMap((day) => {
    const { ledger, contributions, calls, notes, exist } = reader.explain(attribute, day as never);
    return [
      `${attribute} on ${day}: Exist has ${String(values[day])}; ${JSON.stringify(exist)}; ${JSON.stringify(ledger)}`,
      ...contributions
        .slice(-LAST_CONTRIBUTIONS)
        .map((each) => `  ${iso(each.at)}  ${each.topic} ${each.amount}`),
      ...calls.map(
        (call) =>
          `  ${iso(call.startedAt)}  #${call.id} ${call.kind} ${call.value ?? ''}  ${call.outcome ?? ''} ${call.detail ?? ''}`,
      ),
      ...notes.map((note) => `  ${iso(note.at)}  note: ${note.text}`),
    ];
  });
  reader.close();
  return lines;
}

function iso(at: number): string {
  return new Date(at).toISOString();
}
