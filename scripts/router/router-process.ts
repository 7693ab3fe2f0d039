import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import { withDeadline } from '../../shared/deadline.ts';
import { ROOT } from '../paths.ts';

export interface RouterOptions {
  readonly port: number;
  readonly inspectorPort: number;
  /** Where the objects keep their state. Wrangler's log and registry go beside it, not into the user's home. */
  readonly stateFolder: string;
  /** Variables file with the router's secret. */
  readonly secretFile: string;
  readonly onLog: (line: string) => void;
  /** Folders that go when the router does, by whatever cause. */
  readonly removeAfterwards?: readonly string[];
  /** Stops the router, at any moment from now on. */
  readonly signal?: AbortSignal;
}

export interface RunningRouter {
  readonly url: string;
  /** Resolves when the process has ended, by whatever cause. */
  readonly ended: Promise<void>;
  stop(): Promise<void>;
}

const READY_DEADLINE_MS = 60_000;
/** Longer than the guard’s own. */
const STOP_DEADLINE_MS = 8_000;

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
  const { signal } = options;
  signal?.throwIfAborted();
  const url = `http://localhost:${options.port}`;
  const args = [
    join(import.meta.dirname, 'router-guard.ts'),
    JSON.stringify(options.removeAfterwards ?? []),
    join(ROOT, 'node_modules', 'wrangler', 'bin', 'wrangler.js'),
    'dev',
    ...['--port', String(options.port), '--inspector-port', String(options.inspectorPort)],
    ...['--persist-to', options.stateFolder, '--env-file', options.secretFile],
    ...['--show-interactive-dev-session=false', '--log-level=log'],
  ];
  const beside = dirname(options.stateFolder);
  const child = spawn(process.execPath, args, {
    cwd: ROOT,
    env: {
      ...process.env,
      ...QUIET,
      NO_COLOR: '1',
      WRANGLER_LOG_PATH: join(beside, 'logs'),
      WRANGLER_REGISTRY_PATH: join(beside, 'registry'),
    },
    stdio: ['pipe', 'pipe', 'pipe'],
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
  signal?.addEventListener('abort', () => void stopProcess(child, ended), { once: true });
  try {
    await untilReady(url, child);
  } catch (cause) {
    await stopProcess(child, ended);
    signal?.throwIfAborted();
    throw new Error(
      `The router did not start: ${cause instanceof Error ? cause.message : cause}\n${lines.slice(-15).join('\n')}`,
    );
  }
  return { url, ended, stop: () => stopProcess(child, ended) };
}

async function untilReady(url: string, child: ChildProcess): Promise<void> {
  const until = Date.now() + READY_DEADLINE_MS;
  while (Date.now() < until) {
    if (hasEnded(child)) throw new Error(`it ended with ${child.exitCode ?? child.signalCode}`);
    const response = await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(2000) }).catch(() => null);
    if (response?.ok === true) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`it was not ready within ${READY_DEADLINE_MS / 1000} s`);
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

/** The guard stops what it guards when its input closes. One that does not is killed with its whole group. */
async function stopProcess(child: ChildProcess, ended: Promise<void>): Promise<void> {
  if (child.pid === undefined || hasEnded(child)) return;
  child.stdin?.destroy();
  if (
    (await withDeadline(
      ended.then(() => true),
      STOP_DEADLINE_MS,
      false,
    )) ||
    hasEnded(child)
  )
    return;
  if (process.platform === 'win32') spawn('taskkill', ['/pid', String(child.pid), '/T', '/F']);
  else process.kill(-child.pid, 'SIGKILL');
  await ended;
}
