/**
 * The accounts that `mqtt2exist devices` made: a file beside the configuration, `mqtt2exist.devices.json` beside
 * `mqtt2exist.yaml`.
 *
 * It is written as a whole beside the old one and renamed over it; a power cut leaves one of the two.
 */
import {
  chownSync,
  closeSync,
  fchmodSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import { grantProblem } from '../core/rights.ts';
import { SECOND_MS } from '../core/time.ts';
import type { ListedAccount } from './listed-account.ts';
import { readPasswordHash } from './password-hash.ts';

export interface Device extends ListedAccount {
  /** When it was added: ISO 8601. */
  readonly addedAt: string;
}

export type ReadDevices =
  { readonly devices: readonly Device[] } | { readonly problem: string; readonly hint: string };

/** The file cannot be written. */
export class DeviceFileError extends Error {
  override readonly name = 'DeviceFileError';
}

const MOST_DEVICES = 1_000;
const MOST_BYTES = 4 * 1024 * 1024;

/** Names stand in topics and settings of all sorts: nothing in them that needs care there. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

export function deviceNameProblem(name: string): string | undefined {
  return NAME.test(name)
    ? undefined
    : 'a name is 1 to 64 letters, digits, dots, dashes and underscores, and begins with a letter or digit';
}

const grants = z.array(
  z.string().superRefine((grant, context) => {
    const message = grantProblem(grant);
    if (message !== undefined) context.addIssue({ code: 'custom', message });
  }),
);

const fileSchema = z.strictObject({
  version: z.literal(1),
  devices: z
    .array(
      z.strictObject({
        name: z.string().superRefine((name, context) => {
          const message = deviceNameProblem(name);
          if (message !== undefined) context.addIssue({ code: 'custom', message });
        }),
        password_hash: z.string().superRefine((hash, context) => {
          const read = readPasswordHash(hash);
          if ('problem' in read)
            context.addIssue({ code: 'custom', message: `${read.problem}; ${read.hint}` });
        }),
        publish: grants,
        subscribe: grants,
        client_id: z.string().min(1).optional(),
        silent_after_s: z.number().positive().optional(),
        added_at: z.string(),
      }),
    )
    .max(MOST_DEVICES)
    .superRefine((devices, context) => {
      const seen = new Set<string>();
      for (const { name } of devices) {
        if (seen.has(name)) context.addIssue({ code: 'custom', message: `${name} stands there twice` });
        seen.add(name);
      }
    }),
});

/** Beside the configuration, with its name. */
export function deviceFileOf(configFile: string): string {
  const { dir, name } = path.parse(path.resolve(configFile));
  return path.join(dir, `${name}.devices.json`);
}

export class DeviceFile {
  constructor(readonly path: string) {}

  /** No file is no devices. */
  read(): ReadDevices {
    let text: string;
    try {
      if (statSync(this.path).size > MOST_BYTES) return this.unusable('it is far too large');
      text = readFileSync(this.path, 'utf8');
    } catch (error) {
      const code = codeOf(error);
      if (code === 'ENOENT') return { devices: [] };
      return this.unusable(
        code === 'EACCES' ? 'permission denied' : code,
        'make it readable for the user that runs mqtt2exist',
      );
    }
    let content: unknown;
    try {
      content = JSON.parse(text);
    } catch (error) {
      // The parser's words quote the text, and with it a hash.
      const at = /position \d+|line \d+ column \d+/.exec(error instanceof Error ? error.message : '');
      return this.unusable(`it is not JSON${at ? ` (${at[0]})` : ''}`);
    }
    const parsed = fileSchema.safeParse(content);
    if (!parsed.success) {
      const [issue] = parsed.error.issues;
      const place = issue?.path.join('.') ?? '';
      return this.unusable(
        `${place === '' ? '' : `${place}: `}${issue?.message ?? 'it is not of this version'}`,
      );
    }
    return {
      devices: parsed.data.devices.map((device) => ({
        name: device.name,
        passwordHash: device.password_hash,
        rights: { publish: device.publish, subscribe: device.subscribe },
        clientId: device.client_id,
        silentAfterMs: device.silent_after_s === undefined ? undefined : device.silent_after_s * SECOND_MS,
        addedAt: device.added_at,
      })),
    };
  }

  /**
   * Changes the devices; nothing is written where `change` gives back a problem.
   * @param owner whose the file is to be where it is made by root: the daemon must be able to read it
   * @returns the problem of `change`, if any
   * @throws DeviceFileError
   */
  change(
    change: (devices: readonly Device[]) => readonly Device[] | string,
    owner: Owner | undefined,
  ): string | undefined {
    const beside = `${this.path}.new`;
    const descriptor = this.lock(beside);
    try {
      const before = this.read();
      if ('problem' in before) throw new DeviceFileError(`${before.problem}; ${before.hint}`);
      const after = change(before.devices);
      if (typeof after === 'string') {
        rmSync(beside, { force: true });
        return after;
      }
      if (after.length > MOST_DEVICES) throw new DeviceFileError(`no more than ${MOST_DEVICES} devices fit`);
      fchmodSync(descriptor, 0o600);
      writeFileSync(descriptor, textOf(after));
      fsyncSync(descriptor);
      if (owner) chownSync(beside, owner.uid, owner.gid);
      renameSync(beside, this.path);
      syncFolder(path.dirname(this.path));
      return undefined;
    } catch (error) {
      rmSync(beside, { force: true });
      if (error instanceof DeviceFileError) throw error;
      throw new DeviceFileError(`${this.path} cannot be written: ${codeOf(error)}`, { cause: error });
    } finally {
      closeSync(descriptor);
    }
  }

  /** The new file is the lock too: two commands at once would undo each other's change. */
  private lock(beside: string): number {
    for (const isSecondTry of [false, true]) {
      try {
        return openSync(beside, 'wx', 0o600);
      } catch (error) {
        const code = codeOf(error);
        if (code !== 'EEXIST' || isSecondTry) {
          const why = code === 'EEXIST' ? 'another command is changing it' : code;
          throw new DeviceFileError(`${this.path} cannot be written: ${why}`, { cause: error });
        }
        const { mtimeMs } = statSync(beside, { throwIfNoEntry: false }) ?? {};
        // Left by a command that was killed.
        if (mtimeMs !== undefined && Date.now() - mtimeMs > STALE_MS) rmSync(beside, { force: true });
      }
    }
    throw new DeviceFileError(`${this.path} cannot be written`);
  }

  private unusable(why: string, hint = 'mend it, or move it away and add the devices anew'): ReadDevices {
    return { problem: `the accounts of devices in ${this.path} cannot be used: ${why}`, hint };
  }
}

const STALE_MS = 10_000;

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

function textOf(devices: readonly Device[]): string {
  const content: z.input<typeof fileSchema> = {
    version: 1,
    devices: devices.map(({ name, passwordHash, rights, clientId, silentAfterMs, addedAt }) => ({
      name,
      password_hash: passwordHash,
      publish: [...rights.publish],
      subscribe: [...rights.subscribe],
      ...(clientId !== undefined && { client_id: clientId }),
      ...(silentAfterMs !== undefined && { silent_after_s: silentAfterMs / SECOND_MS }),
      added_at: addedAt,
    })),
  };
  return `${JSON.stringify(content, null, 2)}\n`;
}

/** A rename stays only once its folder is synced. */
function syncFolder(folder: string): void {
  const descriptor = openSync(folder, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}
