/**
 * The sandbox's file: everything that must outlive it, as JSON a person can read. It is written as a whole beside
 * the old one and renamed over it, so that a kill at any instant leaves one of the two. A power cut is not its
 * concern: it holds no one's real data.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import * as z from 'zod';
import { isLocalDate } from '../core/time.ts';
import type { Account } from './account.ts';
import type { Tokens } from './tokens.ts';

const date = z.string().refine(isLocalDate, 'not a date');
const value = z.union([z.number(), z.string()]);

const fileSchema = z.object({
  version: z.literal(1),
  attributes: z.array(
    z.object({
      name: z.string(),
      label: z.string(),
      template: z.string().nullable(),
      group: z.string(),
      valueType: z.number().int(),
      manual: z.boolean(),
      owner: z.string().nullable(),
      values: z.array(z.tuple([date, value])),
    }),
  ),
  journal: z.array(
    z.object({ name: z.string(), date, value: z.number(), current: z.number(), at: z.number() }),
  ),
  tokens: z.array(
    z.object({
      access: z.string(),
      refresh: z.string(),
      clientId: z.string(),
      scope: z.string(),
      expiresAt: z.number(),
    }),
  ),
});

class SandboxFileError extends Error {
  readonly code = 'SANDBOX_FILE';
}

export class AccountFile {
  constructor(
    private readonly path: string,
    private readonly account: Account,
    private readonly tokens: Tokens,
  ) {}

  /** Does nothing where there is no file yet. Throws `SandboxFileError` where there is one that cannot be read. */
  load(): void {
    let text: string;
    try {
      text = readFileSync(this.path, 'utf8');
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return;
      throw new SandboxFileError(`cannot read the sandbox's file ${this.path}`, { cause: error });
    }
    let stored: z.infer<typeof fileSchema>;
    try {
      stored = fileSchema.parse(JSON.parse(text));
    } catch (error) {
      const hint = 'it is damaged or not of this version; move it away to begin anew';
      throw new SandboxFileError(`cannot use the sandbox's file ${this.path}: ${hint}`, { cause: error });
    }
    for (const attribute of stored.attributes) {
      this.account.attributes.set(attribute.name, {
        ...attribute,
        values: new Map(attribute.values),
        before: new Map(),
      });
    }
    this.account.journal.push(...stored.journal);
    this.tokens.restore(stored.tokens);
  }

  saveIfChanged(): void {
    if (!this.account.isDirty && !this.tokens.isDirty) return;
    const stored: z.infer<typeof fileSchema> = {
      version: 1,
      attributes: [...this.account.attributes.values()].map((attribute) => ({
        name: attribute.name,
        label: attribute.label,
        template: attribute.template,
        group: attribute.group,
        valueType: attribute.valueType,
        manual: attribute.manual,
        owner: attribute.owner,
        values: [...attribute.values],
      })),
      journal: this.account.journal,
      tokens: [...this.tokens.issued],
    };
    const beside = `${this.path}.new`;
    mkdirSync(dirname(this.path), { recursive: true, mode: 0o700 });
    writeFileSync(beside, JSON.stringify(stored), { mode: 0o600 });
    renameSync(beside, this.path);
    this.account.isDirty = false;
    this.tokens.isDirty = false;
  }
}
