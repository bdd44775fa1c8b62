/**
 * Announces services in the local network (mDNS) through Avahi's own command. Where that is not there, nothing is
 * announced, and only the debug log says so.
 *
 * A child does not outlive us, however we end: it would go on announcing a broker that is gone. So a guard beside it
 * waits on a pipe whose other end is ours.
 *
 * States of a service: running (a child lives as long as the announcement does) → waiting (the child ended, or could not
 * be started: Avahi is not up, say; the pauses grow) → running → … → stopped. Where there is no such command: stopped at
 * once.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { Socket } from 'node:net';

export interface Service {
  /** For people; where it is taken, a number is put behind it. */
  readonly name: string;
  readonly type: `_${string}._tcp`;
  readonly port: number;
}

export interface AnnouncerParts {
  readonly env: NodeJS.ProcessEnv;
  readonly monotonicMs: () => number;
  /** @returns what takes the task back */
  readonly after: (delayMs: number, task: () => void) => () => void;
  readonly log: (
    level: 'debug' | 'info',
    message: string,
    fields?: Readonly<Record<string, unknown>>,
  ) => void;
}

const COMMAND = 'avahi-publish';
/**
 * Becomes the command, beside a guard that reads from the pipe: a line tells it that the command has ended, the end of
 * the pipe without one that we have. It holds nothing else open, and needs no program but the shell.
 */
const GUARDED = `(read -r _ <&3 || kill -9 $$) >/dev/null 2>&1 & exec ${COMMAND} "$@" 3<&-`;
const PIPE = 3;
/** As shells tell that a command is not there, or cannot be run. */
const NOT_FOUND = 127;
const NOT_RUNNABLE = 126;
const NOT_HERE = `there is no ${COMMAND} here`;
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 600_000;
/** A child that lived so long was well: the next pause is short again. */
const WELL_MS = 60_000;
/** One that does not end when it is told to is killed. */
const STOP_PATIENCE_MS = 500;
const MOST_OUTPUT = 1_000;
/** A label of DNS has 63 bytes. */
const LONGEST_NAME = 63;

export class Announcer {
  private announcements: readonly Announcement[] = [];

  constructor(private readonly parts: AnnouncerParts) {}

  start(services: readonly Service[]): void {
    this.announcements = services.map((service) => new Announcement(this.parts, service));
    for (const announcement of this.announcements) announcement.start();
  }

  async stop(): Promise<void> {
    await Promise.all(this.announcements.map((announcement) => announcement.stop()));
  }
}

class Announcement {
  private child: ChildProcess | undefined;
  /** Grows with each name that another service of this machine has. */
  private number = 1;
  private pauseMs = FIRST_PAUSE_MS;
  private cancel: (() => void) | undefined;
  private isStopping = false;

  constructor(
    private readonly parts: AnnouncerParts,
    private readonly service: Service,
  ) {}

  start(): void {
    try {
      this.watch(this.spawn());
    } catch (error) {
      // Some of what the system refuses is thrown, such as that there is no memory for a process.
      this.notStarted(String(error));
    }
  }

  async stop(): Promise<void> {
    this.isStopping = true;
    this.cancel?.();
    const { child } = this;
    // One that has ended says so once only, and may be closed much later: when nobody holds its output any more.
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_PATIENCE_MS);
      const done = (): void => {
        clearTimeout(timer);
        resolve();
      };
      child.once('exit', done);
      child.once('error', done);
      child.kill('SIGTERM');
    });
  }

  private spawn(): ChildProcess {
    const { type, port } = this.service;
    return spawn('/bin/sh', ['-c', GUARDED, COMMAND, '-s', this.name, type, String(port)], {
      // Its words are looked at: they must not be in another language.
      env: { ...this.parts.env, LC_ALL: 'C' },
      stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    });
  }

  private watch(child: ChildProcess): void {
    const { parts } = this;
    const { type, port } = this.service;
    const startedMs = parts.monotonicMs();
    this.child = child;
    let output = '';
    let announcedAs: string | undefined;
    // There is none where no pipe could be made for it.
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      output = `${output}${text}`.slice(-MOST_OUTPUT);
      // Of several the last: Avahi picks another one where somebody in the network has it.
      const name = [...output.matchAll(/Established under name '(.*)'\n/g)].at(-1)?.[1];
      if (name === undefined || name === announcedAs) return;
      announcedAs = name;
      parts.log('info', 'announced in the local network', { name, type, port });
    });
    child.once('error', (error) => {
      this.child = undefined;
      this.notStarted(String(error));
    });
    const pipe = child.stdio[PIPE];
    // A guard may go with its command.
    pipe?.on('error', () => undefined);
    child.once('exit', () => {
      // What the guard would end has ended: the number may be another process's soon.
      if (pipe instanceof Socket) pipe.end('\n');
    });
    child.once('close', (code, signal) => {
      // It could not be started: that was told above.
      if (this.child !== child) return;
      this.child = undefined;
      if (this.isStopping) return;
      if (code === NOT_FOUND || code === NOT_RUNNABLE) {
        this.notStarted(code === NOT_FOUND ? NOT_HERE : `${COMMAND} cannot be run`);
        return;
      }
      if (parts.monotonicMs() - startedMs >= WELL_MS) this.pauseMs = FIRST_PAUSE_MS;
      // Avahi picks no other name where it is this machine that has it already.
      if (output.includes('Local name collision')) this.number += 1;
      const reason = output.trim().split('\n').at(-1) ?? '';
      const ended = signal ?? code;
      parts.log('debug', 'no longer announced in the local network', { type, port, ended, reason });
      this.startLater();
    });
  }

  private notStarted(reason: string): void {
    const { type, port } = this.service;
    this.parts.log('debug', 'not announced in the local network', { type, port, reason });
    if (reason !== NOT_HERE) this.startLater();
  }

  private startLater(): void {
    if (this.isStopping) return;
    this.cancel = this.parts.after(this.pauseMs, () => {
      this.start();
    });
    this.pauseMs = Math.min(this.pauseMs * 2, LONGEST_PAUSE_MS);
  }

  private get name(): string {
    const end = this.number === 1 ? '' : ` #${this.number}`;
    const name = Buffer.from(this.service.name).subarray(0, LONGEST_NAME - end.length);
    // Of a character that was cut through nothing stays.
    return `${name.toString().replace(/\uFFFD$/u, '')}${end}`;
  }
}
