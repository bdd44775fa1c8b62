/**
 * Announces services in the local network (mDNS) through Avahi's own command. Where that is not there, nothing is
 * announced, and only the debug log says so.
 *
 * States of a service: running (a child lives as long as the announcement does) → waiting (the child ended: Avahi is not
 * up, say; the pauses grow) → running → … → stopped. Where there is no such command: stopped at once.
 */
import { spawn, type ChildProcess } from 'node:child_process';

export interface Service {
  /** For people; Avahi picks another one where it is taken. */
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
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 600_000;
/** A child that lived so long was well: the next pause is short again. */
const WELL_MS = 60_000;
/** One that does not end when it is told to is killed. */
const STOP_PATIENCE_MS = 500;
const MOST_OUTPUT = 1_000;

export class Announcer {
  private announcements: Announcement[] = [];

  constructor(private readonly parts: AnnouncerParts) {}

  start(services: readonly Service[]): void {
    this.announcements = services.map((service) => new Announcement(this.parts, service));
    for (const announcement of this.announcements) announcement.start();
  }

  async stop(): Promise<void> {
    const stopped = this.announcements.map((announcement) => announcement.stop());
    this.announcements = [];
    await Promise.all(stopped);
  }
}

class Announcement {
  private child: ChildProcess | undefined;
  private pauseMs = FIRST_PAUSE_MS;
  private cancel: (() => void) | undefined;
  private isStopping = false;

  constructor(
    private readonly parts: AnnouncerParts,
    private readonly service: Service,
  ) {}

  start(): void {
    const { parts, service } = this;
    const { name, type, port } = service;
    const startedMs = parts.monotonicMs();
    const child = spawn(COMMAND, ['-s', name, type, String(port)], {
      // Its words are looked at: they must not be in another language.
      env: { ...parts.env, LC_ALL: 'C' },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.child = child;
    let output = '';
    let isAnnounced = false;
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      output = `${output}${text}`.slice(-MOST_OUTPUT);
      const [, as] = /Established under name '(.*)'/.exec(output) ?? [];
      if (as === undefined || isAnnounced) return;
      isAnnounced = true;
      parts.log('info', 'announced in the local network', { name: as, type, port });
    });
    child.once('error', (error) => {
      this.child = undefined;
      const isMissing = 'code' in error && error.code === 'ENOENT';
      const reason = isMissing ? `there is no ${COMMAND} here` : error.message;
      parts.log('debug', 'not announced in the local network', { type, port, reason });
    });
    child.once('close', (code, signal) => {
      // It could not be started: that was told above.
      if (this.child !== child) return;
      this.child = undefined;
      if (this.isStopping) return;
      if (parts.monotonicMs() - startedMs >= WELL_MS) this.pauseMs = FIRST_PAUSE_MS;
      const reason = output.trim().split('\n').at(-1) ?? '';
      const ended = signal ?? code;
      parts.log('debug', 'no longer announced in the local network', { type, port, ended, reason });
      this.cancel = parts.after(this.pauseMs, () => {
        this.start();
      });
      this.pauseMs = Math.min(this.pauseMs * 2, LONGEST_PAUSE_MS);
    });
  }

  async stop(): Promise<void> {
    this.isStopping = true;
    this.cancel?.();
    const { child } = this;
    if (!child) return;
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
}
