/**
 * Tells systemd how the service is (sd_notify), through its own command: Node has no datagram sockets.
 */
import { execFile } from 'node:child_process';

export class ServiceManager {
  private watchdog: NodeJS.Timeout | undefined;

  constructor(private readonly env: Readonly<Record<string, string | undefined>>) {}

  ready(): void {
    this.notify('--ready');
    const periodMs = Number(this.env['WATCHDOG_USEC'] ?? 0) / 1_000;
    if (!(periodMs > 0)) return;
    this.watchdog = setInterval(() => {
      this.notify('WATCHDOG=1');
    }, periodMs / 2);
    this.watchdog.unref();
  }

  stopping(): void {
    clearInterval(this.watchdog);
    this.notify('STOPPING=1');
  }

  /** A service manager that does not listen is no reason to stop working. */
  private notify(word: string): void {
    if (this.env['NOTIFY_SOCKET'] === undefined) return;
    execFile('systemd-notify', [word], { timeout: 5_000 }, () => undefined);
  }
}
