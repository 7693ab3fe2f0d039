import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { ROOT } from '../paths.ts';

export interface RouterOptions {
  readonly port: number;
  readonly inspectorPort: number;
  /** Where the objects keep their state. */
  readonly stateFolder: string;
  /** Variables file with the router's secret. */
  readonly secretFile: string;
  readonly onLog: (line: string) => void;
}

export interface RunningRouter {
  readonly url: string;
  /** Resolves when the process has ended, by whatever cause. */
  readonly ended: Promise<void>;
  stop(): Promise<void>;
}

const READY_DEADLINE_MS = 60_000;
const STOP_DEADLINE_MS = 5_000;

/** Without these, `wrangler dev` looks for the internet at every start and records every request in a trace store. */
const QUIET = {
  CLOUDFLARE_CF_FETCH_ENABLED: 'false',
  WRANGLER_HIDE_BANNER: 'true',
  WRANGLER_SEND_METRICS: 'false',
  WRANGLER_SEND_ERROR_REPORTS: 'false',
  X_LOCAL_OBSERVABILITY: 'false',
};

/** `wrangler dev`: what ships, on this machine. Ready when it answers `/healthz`. Throws with the last lines of its log. */
export async function startRouter(options: RouterOptions): Promise<RunningRouter> {
  const url = `http://localhost:${options.port}`;
  const args = [
    join(ROOT, 'node_modules', 'wrangler', 'bin', 'wrangler.js'),
    'dev',
    ...['--port', String(options.port), '--inspector-port', String(options.inspectorPort)],
    ...['--persist-to', options.stateFolder, '--env-file', options.secretFile],
    ...['--show-interactive-dev-session=false', '--log-level=log'],
  ];
  const child = spawn(process.execPath, args, {
    cwd: ROOT,
    env: { ...process.env, ...QUIET, NO_COLOR: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: process.platform !== 'win32', // Its own group, so that a stop reaches the runtime below it too.
  });
  const lines: string[] = [];
  const keep = (chunk: Buffer) => {
    for (const line of chunk.toString().split('\n')) {
      if (line.trim() === '') continue;
      lines.push(line);
      if (lines.length > 100) lines.shift();
      options.onLog(line);
    }
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  const ended = once(child, 'exit').then(() => undefined);
  try {
    await untilReady(url, child);
  } catch (cause) {
    await stopProcess(child, ended);
    throw new Error(
      `The router did not start: ${cause instanceof Error ? cause.message : cause}\n${lines.slice(-15).join('\n')}`,
    );
  }
  return { url, ended, stop: () => stopProcess(child, ended) };
}

async function untilReady(url: string, child: ChildProcess): Promise<void> {
  const until = Date.now() + READY_DEADLINE_MS;
  while (Date.now() < until) {
    if (child.exitCode !== null) throw new Error(`it ended with status ${child.exitCode}`);
    const response = await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(2000) }).catch(() => null);
    if (response?.ok === true) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`it was not ready within ${READY_DEADLINE_MS / 1000} s`);
}

/** SIGTERM to wrangler lets it stop the runtime; what is left after the deadline is killed with its whole group. */
async function stopProcess(child: ChildProcess, ended: Promise<void>): Promise<void> {
  if (child.exitCode !== null || child.pid === undefined) return;
  child.kill('SIGTERM');
  const deadline = new Promise<'late'>((resolve) => setTimeout(() => resolve('late'), STOP_DEADLINE_MS).unref());
  if ((await Promise.race([ended, deadline])) !== 'late') return;
  if (process.platform === 'win32') spawn('taskkill', ['/pid', String(child.pid), '/T', '/F']);
  else process.kill(-child.pid, 'SIGKILL');
  await ended;
}
