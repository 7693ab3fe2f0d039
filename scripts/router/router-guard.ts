import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';

/**
 * Runs `wrangler dev` as long as its own standard input is open. Whoever started it may die by any cause, even without a word: the input closes,
 * and neither the router nor its runtime nor its folder stays behind. Leads a process group of its own, for the last resort.
 *
 *   node router-guard.ts '["folder", …]' PROGRAM ARGUMENT…
 */

const STOP_DEADLINE_MS = 5_000;

const [folders = '[]', program = '', ...args] = process.argv.slice(2);
const wrangler = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'inherit', 'inherit'] });
const ended = once(wrangler, 'exit');

process.stdin.resume();
const noOneIsThere = Promise.race([once(process.stdin, 'end'), once(process.stdin, 'close')]);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined); // Its owner decides.
// The owner's pipes may be closed already.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);

const [status] = await Promise.race([ended, noOneIsThere.then(() => [null])]);
await stop(wrangler);
for (const folder of JSON.parse(folders) as string[]) await rm(folder, { recursive: true, force: true });
if (process.platform !== 'win32') process.kill(-process.pid, 'SIGKILL'); // Whoever is left of the group, and this.
process.exit(typeof status === 'number' ? status : 0);

/** SIGTERM lets wrangler stop the runtime below it; what does not listen is killed. */
async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  child.kill('SIGTERM');
  const late = setTimeout(() => {
    if (process.platform === 'win32') spawn('taskkill', ['/pid', String(child.pid), '/T', '/F']);
    else child.kill('SIGKILL');
  }, STOP_DEADLINE_MS);
  await ended;
  clearTimeout(late);
}
