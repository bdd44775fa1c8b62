/** The calls by which a process changes files, as strace saw them. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** What happened to a file of the watched folder, by its name there; or a line that was told. */
export type Operation =
  | { readonly kind: 'create'; readonly file: string }
  | { readonly kind: 'write'; readonly file: string; readonly at: number; readonly bytes: Buffer }
  | { readonly kind: 'truncate'; readonly file: string; readonly length: number }
  | { readonly kind: 'sync'; readonly file: string }
  | { readonly kind: 'sync-folder' }
  | { readonly kind: 'remove'; readonly file: string }
  | { readonly kind: 'rename'; readonly file: string; readonly to: string }
  | { readonly kind: 'told'; readonly line: string };

const CALLS =
  'openat,open,creat,pwrite64,write,fsync,fdatasync,ftruncate,unlink,unlinkat,rename,renameat,renameat2';

/** Why nothing can be recorded here, where nothing can. */
export const CANNOT_RECORD: string | undefined = ((): string | undefined => {
  const { error, status } = spawnSync('strace', ['-f', '-e', 'trace=none', 'true'], { stdio: 'ignore' });
  if (error) return 'strace is not installed here';
  return status === 0 ? undefined : 'this machine does not let strace watch';
})();

/** Runs the workload for so many rounds under strace. */
export function record(rounds: number, control: boolean): Operation[] {
  const folder = mkdtempSync(path.join(tmpdir(), 'mqtt2exist-recording-'));
  try {
    const data = path.join(folder, 'data');
    mkdirSync(data);
    const [trace, told] = [path.join(folder, 'trace'), path.join(folder, 'told')];
    const workload = ['test/run.mjs', 'test/crash-states/workload.ts', data, told, String(rounds)];
    execFileSync(
      'strace',
      [
        '-f',
        '-y',
        '-xx',
        '-s',
        '70000',
        '-e',
        `trace=${CALLS}`,
        '-e',
        'signal=none',
        '-o',
        trace,
        process.execPath,
      ].concat(workload, control ? ['control'] : []),
      { stdio: ['ignore', 'inherit', 'inherit'] },
    );
    return [...parse(readFileSync(trace, 'latin1'), data, told)];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function* parse(trace: string, data: string, told: string): Generator<Operation> {
  const unfinished = new Map<string, string>();
  const known = new Set<string>();
  const positions = new Map<string, number>();
  const nameOf = (file: string): string | undefined =>
    path.dirname(file) === data && !file.endsWith('-shm') ? path.basename(file) : undefined;
  for (const raw of trace.split('\n')) {
    const [, pid = '', text = ''] = /^(\d+)\s+(.*)$/.exec(raw) ?? [];
    let call = text;
    if (call.endsWith('<unfinished ...>')) {
      unfinished.set(pid, call.slice(0, -'<unfinished ...>'.length));
      continue;
    }
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(call);
    if (resumed) call = `${unfinished.get(pid) ?? ''}${resumed[1] ?? ''}`;
    const [, name = '', args = '', result = ''] = /^(\w+)\((.*?)\s*\)\s+= (-?\d+)/.exec(call) ?? [];
    if (name === '' || result.startsWith('-')) continue;
    const [descriptor] = [...args.matchAll(/^\d+<([^>]*)>/g)].map(([, file = '']) => plain(file));
    const strings = [...args.matchAll(/"((?:\\x[0-9a-f]{2})*)"/g)].map(([, hex = '']) => bytesOf(hex));
    if (name === 'write' && descriptor === told) {
      for (const line of (strings[0] ?? Buffer.alloc(0)).toString().trim().split('\n'))
        yield { kind: 'told', line };
    } else if (name.startsWith('open') || name === 'creat') {
      const file = nameOf(strings[0]?.toString() ?? '');
      if (file === undefined || !args.includes('O_CREAT')) continue;
      if (!known.has(file)) yield { kind: 'create', file };
      known.add(file);
      if (args.includes('O_TRUNC')) yield { kind: 'truncate', file, length: 0 };
      positions.set(file, 0);
    } else if (name === 'pwrite64' || name === 'write') {
      const file = nameOf(descriptor ?? '');
      const bytes = strings[0];
      if (file === undefined || !bytes) continue;
      const position = positions.get(file) ?? 0;
      const at = name === 'pwrite64' ? Number(/(\d+)$/.exec(args)?.[1]) : position;
      if (name === 'write') positions.set(file, position + bytes.length);
      yield { kind: 'write', file, at, bytes };
    } else if (name === 'ftruncate') {
      const file = nameOf(descriptor ?? '');
      if (file !== undefined) yield { kind: 'truncate', file, length: Number(/(\d+)$/.exec(args)?.[1]) };
    } else if (name === 'fsync' || name === 'fdatasync') {
      const file = nameOf(descriptor ?? '');
      if (file !== undefined) yield { kind: 'sync', file };
      else if (descriptor === data) yield { kind: 'sync-folder' };
    } else if (name.startsWith('unlink')) {
      const file = nameOf(strings[0]?.toString() ?? '');
      if (file !== undefined && known.delete(file)) yield { kind: 'remove', file };
    } else if (name.startsWith('rename')) {
      const [file, to] = strings.map((each) => nameOf(each.toString()));
      if (file === undefined || to === undefined) continue;
      known.delete(file);
      known.add(to);
      yield { kind: 'rename', file, to };
    }
  }
}

function bytesOf(hex: string): Buffer {
  return Buffer.from(hex.replaceAll('\\x', ''), 'hex');
}

/** Some versions of strace write the paths of descriptors in hexadecimal too. */
function plain(file: string): string {
  return file.startsWith('\\x') ? bytesOf(file).toString() : file;
}
