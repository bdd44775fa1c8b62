/**
 * A login on its way from `mqtt2exist login` to the daemon: a file beside the database, which only its one writer,
 * the daemon, may write. Whether the daemon runs makes no difference: it looks every second, and at its start.
 *
 * The file is whole or not there, and durable before the command says so. The daemon removes it once the login is
 * in the database; its id tells one that was taken up already, should the removal have been lost.
 */
import {
  chmodSync,
  chownSync,
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import type { Issued } from '../core/authorization.ts';
import type { EpochMs } from '../core/time.ts';
import { LOGIN_FILE, exists, syncFolder } from './files.ts';
import type { Issuer } from './login-store.ts';

export interface FiledLogin extends Issuer {
  readonly id: string;
  readonly issued: Issued & { readonly refresh: string };
  readonly issuedAt: EpochMs;
}

const token = z.string().regex(/^[\x21-\x7e]{1,4096}$/);

const filed = z.strictObject({
  version: z.literal(1),
  id: z.string().min(1),
  url: z.string(),
  client_id: z.string(),
  access_token: token,
  refresh_token: token,
  scope: z.string(),
  expires_in_ms: z.number().min(0).nullable(),
  issued_ms: z.int(),
});

export class LoginFile {
  private readonly file: string;

  constructor(private readonly folder: string) {
    this.file = path.join(folder, LOGIN_FILE);
  }

  get isThere(): boolean {
    return exists(this.file);
  }

  read(): FiledLogin | { readonly problem: string } | undefined {
    if (!this.isThere) return undefined;
    try {
      const read = filed.parse(JSON.parse(readFileSync(this.file, 'utf8')));
      const { access_token: access, refresh_token: refresh, scope, expires_in_ms: expiresInMs } = read;
      return {
        id: read.id,
        url: read.url,
        clientId: read.client_id,
        issued: { access, refresh, scope, ...(expiresInMs !== null && { expiresInMs }) },
        issuedAt: read.issued_ms as EpochMs,
      };
    } catch (error) {
      // The daemon took it up just now.
      if (!exists(this.file)) return undefined;
      // What is wrong with its content is not repeated: it has tokens in it.
      const code = error instanceof Error && 'code' in error ? String(error.code) : 'it is damaged';
      return {
        problem: `the login in ${this.file} cannot be read (${code}): run \`mqtt2exist login\` again`,
      };
    }
  }

  /** Before the user is sent away: whether it can be written here at all. @throws Error of the file system */
  prepare(owner?: { readonly uid: number; readonly gid: number }): void {
    if (!exists(this.folder)) {
      mkdirSync(this.folder, { recursive: true, mode: 0o700 });
      if (owner) chownSync(this.folder, owner.uid, owner.gid);
    }
    closeSync(openSync(this.beside, 'w', 0o600));
    rmSync(this.beside);
  }

  /** Durable when it returns. `owner` of the file, where another than who runs the command shall read it. */
  write(login: FiledLogin, owner?: { readonly uid: number; readonly gid: number }): void {
    const { issued } = login;
    const content: z.input<typeof filed> = {
      version: 1,
      id: login.id,
      url: login.url,
      client_id: login.clientId,
      access_token: issued.access,
      refresh_token: issued.refresh,
      scope: issued.scope,
      expires_in_ms: issued.expiresInMs ?? null,
      issued_ms: login.issuedAt,
    };
    rmSync(this.beside, { force: true });
    const descriptor = openSync(this.beside, 'wx', 0o600);
    try {
      writeSync(descriptor, JSON.stringify(content));
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    chmodSync(this.beside, 0o600);
    if (owner) chownSync(this.beside, owner.uid, owner.gid);
    renameSync(this.beside, this.file);
    syncFolder(this.folder);
  }

  /** Where it cannot be removed, its id tells that it was taken up. */
  clear(): void {
    try {
      rmSync(this.file, { force: true });
      syncFolder(this.folder);
    } catch {
      // Nothing depends on it any more.
    }
  }

  private get beside(): string {
    return `${this.file}.new`;
  }
}
