/** An intake on a real ledger, with mappings and a clock of the test's. */
import { onTestFinished } from 'vitest';
import type { Mapping, Operation } from '../../src/core/mapping/mapping.ts';
import { readPayload, type Payload } from '../../src/core/payload.ts';
import type { LocalDate } from '../../src/core/time.ts';
import type { Units } from '../../src/core/units.ts';
import { compileExpressions, type ExpressionSources } from '../../src/expression/expressions.ts';
import { Intake } from '../../src/intake/intake.ts';
import type { Publish, Rule } from '../../src/intake/ports.ts';
import { Ledger } from '../../src/ledger/ledger.ts';
import { TestClock } from '../support/clock.ts';
import { temporaryFolder } from '../support/folder.ts';

export const ONE = 1_000_000 as Units;
export const DOOR_OPENS: Operation = {
  kind: 'count',
  on: 'change',
  when: { kind: 'oneOf', values: ['open'] },
  holdMs: 0,
  by: ONE,
};
export const EACH: Operation = { kind: 'count', on: 'message', each: 'any', by: ONE };

export function rule(
  operation: Operation,
  expressions: ExpressionSources = {},
  filter = 'door',
): Rule<Payload> {
  const mapping: Mapping = {
    key: `opens ${operation.kind} ${filter}`,
    filters: [filter],
    attribute: 'opens',
    valueType: operation.kind === 'duration' ? 'minutes' : 'integer',
    scale: 1,
    offset: 0,
    debounceMs: 0,
    operation,
  };
  const compiled = compileExpressions(expressions);
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.problems));
  return { mapping, extract: compiled.extract };
}

export function setup(
  rules: readonly Rule<Payload>[],
  options: { folder?: string; clock?: TestClock; zone?: () => string | undefined; bootId?: string } = {},
) {
  const folder = options.folder ?? temporaryFolder();
  const clock = options.clock ?? new TestClock('2026-11-24T12:00:00Z');
  const ledger = Ledger.open(folder);
  let packetId = 0;
  const faults: unknown[] = [];
  const estimated: number[] = [];
  const refused: string[] = [];
  const intake = new Intake(
    {
      journal: ledger.journal,
      clock,
      bootId: options.bootId ?? 'this-boot',
      zone: options.zone ?? (() => 'Europe/Berlin'),
      parse: readPayload,
      onContributions: () => undefined,
      onRefused: (topic, reason) => refused.push(`${topic}: ${reason}`),
      onSeen: () => undefined,
      onEstimated: (messages) => estimated.push(messages),
      onStored: () => undefined,
      onFault: (error) => faults.push(error),
    },
    rules,
  );
  intake.start();
  const stop = async (): Promise<void> => {
    await intake.stop();
    ledger.close();
  };
  onTestFinished(stop);
  return {
    folder,
    clock,
    ledger,
    intake,
    faults,
    estimated,
    refused,
    stop,
    total: (day = '2026-11-24') => {
      const key = ledger.delivery.key('opens', day as LocalDate);
      return key?.kind === 'sum' ? key.total / ONE : key?.wanted;
    },
    publish: (payload: string, more: Partial<Publish> = {}) =>
      new Promise<boolean>((resolve, reject) => {
        packetId += 1;
        const publish = { topic: 'door', retain: false, dup: false, packetId, clientId: 'esp', ...more };
        intake.take({ ...publish, payload: Buffer.from(payload) }, (error, result) => {
          if (error) reject(error);
          else resolve(result?.duplicate ?? false);
        });
      }),
  };
}

/** What another process would find in the file. */
