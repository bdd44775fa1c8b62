/** The brokers that are measured, each as a process of its own. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Daemon, type DaemonOptions } from '../support/daemon.ts';
import { freePort } from '../support/port.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'mqtt2exist-bench-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

const YAML = `attributes:
  presses: { label: Presses, type: integer }
mappings:
  - { topic: "bench/door/+", attribute: presses, count: { each: any } }
`;

export interface Broker {
  readonly port: number;
  readonly pid: number;
  stop(): Promise<void>;
}

export async function startDaemon(name: string, more: Partial<DaemonOptions> = {}): Promise<Broker> {
  const { wrapper = [] } = more;
  const daemon = await Daemon.start({
    folder: path.join(folder, name),
    yaml: YAML,
    existUrl: 'http://127.0.0.1:9',
    flush: 'every: 1h',
    ...more,
  });
  return {
    port: Number(new URL(daemon.brokerUrl).port),
    pid: daemon.pid,
    stop: async () => {
      // A tracer that is ended leaves its child running: end the child, the tracer follows.
      if (wrapper.length > 0) process.kill(childOf(daemon.pid), 'SIGTERM');
      else await daemon.stop();
    },
  };
}

export async function startAedes(): Promise<Broker> {
  const script = path.join(folder, 'aedes.mjs');
  const aedes = import.meta.resolve('aedes');
  writeFileSync(
    script,
    `import { Aedes } from ${JSON.stringify(aedes)}; import { createServer } from 'node:net';
     const broker = await Aedes.createBroker();
     const server = createServer(broker.handle);
     server.listen(0, '127.0.0.1', () => console.log(server.address().port));`,
  );
  const child = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  return brokerOf(child, Number(line.toString()));
}

export async function startMosquitto(): Promise<Broker> {
  const port = await freePort();
  const file = path.join(folder, 'mosquitto.conf');
  writeFileSync(file, `listener ${port} 127.0.0.1\nallow_anonymous true\nmax_inflight_messages 0\n`);
  const child = spawn('mosquitto', ['-c', file], { stdio: ['ignore', 'ignore', 'pipe'] });
  await once(child.stderr, 'data');
  await pause(300);
  return brokerOf(child, port);
}

function brokerOf(child: ChildProcess, port: number): Broker {
  return {
    port,
    pid: child.pid ?? 0,
    stop: async () => {
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    },
  };
}

export function isInstalled(command: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${command}`], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

function childOf(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')[0]);
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
