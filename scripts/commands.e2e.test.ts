import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ROOT } from './paths.ts';
import { HAS_WEBRTC } from './testing/running-network.ts';

let temporary: string;
let children: ChildProcess[];
beforeEach(async () => {
  temporary = await mkdtemp(join(tmpdir(), 'shoal-commands-'));
  children = [];
});
afterEach(async () => {
  for (const child of children) if (child.exitCode === null) child.kill('SIGKILL');
  await rm(temporary, { recursive: true, force: true });
});

interface Running {
  readonly child: ChildProcess;
  /** What was printed so far. */
  output(): string;
  /** Resolves when the text was printed; rejects when the program ends before. */
  printed(text: string): Promise<void>;
  ended(): Promise<{ readonly status: number | null; readonly output: string }>;
}

/** A command of the project, in a temporary folder of its own. */
function start(script: string, args: readonly string[], env: Record<string, string> = {}): Running {
  const child = spawn(process.execPath, [join(ROOT, 'scripts', script), ...args], {
    env: { ...process.env, TMPDIR: temporary, NO_COLOR: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  let output = '';
  const listeners = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      for (const listener of listeners) listener();
    });
  }
  const exit = once(child, 'close');
  return {
    child,
    output: () => output,
    printed: (text) =>
      new Promise((resolve, reject) => {
        const look = () => output.includes(text) && resolve();
        listeners.add(look);
        void exit.then(() => reject(new Error(`ended before it printed "${text}":\n${output}`)));
        look();
      }),
    ended: async () => {
      await exit;
      return { status: child.exitCode, output };
    },
  };
}

const lastLine = (output: string) => JSON.parse(output.trimEnd().split('\n').at(-1) ?? '') as Record<string, unknown>;

describe('npm run demo', () => {
  it.runIf(HAS_WEBRTC)('holds every step with the newcomer’s own text, and leaves no litter', async () => {
    const { status, output } = await start('demo.ts', ['What is', 'the capital of France?']).ended();
    expect(lastLine(output), output).toMatchObject({ name: 'demo', held: true, failed: [] });
    expect(status).toBe(0);
    expect(output.match(/> What is the capital of France\?/g)).toHaveLength(3);
    expect(output.match(/The capital of France is Paris\./g)).toHaveLength(3);
    expect(output).toContain('tiny demonstration model');
    expect(await readdir(temporary)).toEqual([]);
  });

  it('stops at once, without litter, when interrupted', async () => {
    const demo = start('demo.ts', []);
    await demo.printed('router at ');
    const url = /http:\/\/localhost:\d+/;
    demo.child.kill('SIGINT');
    const { status, output } = await demo.ended();
    expect(status).toBe(130);
    expect(await readdir(temporary)).toEqual([]);
    await expect(fetch(`${url.exec(output)?.[0]}/healthz`)).rejects.toThrow();
  });

  it('leaves no router and no folder of its own behind when it is killed without a word', async () => {
    const demo = start('demo.ts', []);
    await demo.printed('router at ');
    demo.child.kill('SIGKILL');
    const { output } = await demo.ended();
    const url = /http:\/\/localhost:\d+/.exec(output)?.[0];
    const isUp = () =>
      fetch(`${url}/healthz`).then(
        () => true,
        () => false,
      );
    await expect.poll(isUp, { timeout: 15_000 }).toBe(false);
    const own = async () => (await readdir(temporary)).filter((name) => name.startsWith('shoal-'));
    await expect.poll(own, { timeout: 15_000 }).toEqual([]);
  });

  it('says which models there are when it is asked for another', async () => {
    const { status, output } = await start('demo.ts', ['--model', 'nobody', 'x']).ended();
    expect(status).toBe(1);
    expect(output).toContain('shoal-pup-3m');
    expect(output).not.toContain('    at ');
    expect(await readdir(temporary)).toEqual([]);
  });
});

describe('npm start', () => {
  it('moves on from a taken port and says so, names the pages and a curl, and stops', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const taken = typeof address === 'object' && address !== null ? address.port : 0;
    const router = start('start.ts', [], { PORT: String(taken) });
    await router.printed('Stop with Ctrl-C.');
    router.child.kill('SIGINT');
    const { status, output } = await router.ended();
    server.close();
    expect(status).toBe(0);
    const [, next] = new RegExp(`Port ${taken} is taken: using (\\d+)\\.`).exec(output) ?? [];
    expect(Number(next)).toBeGreaterThan(taken);
    for (const path of ['/join', '/chat', '/v1/models', '/v1/chat/completions']) {
      expect(output).toContain(`http://localhost:${next}${path}`);
    }
    expect(output).toContain('curl ');
    expect(output).toMatch(/Key +sk-shoal-/);
  });
});

describe('npm run guard', () => {
  it('says what to do when no router answers', async () => {
    const { status, output } = await start('guard.ts', ['--router', 'http://localhost:9'], {
      SHOAL_ROUTER_SECRET: 'dGVzdHMtb25seS10ZXN0cy1vbmx5LXRlc3RzLW9ubHkh',
    }).ended();
    expect([status, output]).toEqual([1, 'No router answers at http://localhost:9. Start one with npm start.\n']);
  });

  it('starts tabs that only check, for the router of npm start, and stops; npm run tab overrules how a tab stands', async () => {
    const router = start('start.ts', []);
    await router.printed('Stop with Ctrl-C.');
    const { output } = router;
    const url = /http:\/\/localhost:\d+/.exec(output())?.[0] ?? '';
    const guard = start('guard.ts', ['--router', url]);
    await guard.printed('One guard checks for');
    const listed = async () => {
      const { data } = (await (await fetch(`${url}/v1/models`)).json()) as {
        data: { id: string; shoal: { variants: { id: string; tabs: number; check_only_tabs: number }[] } }[];
      };
      return data.find(({ id }) => id === 'shoal-pup-3m')?.shoal.variants.find(({ id }) => id === 'q8_0');
    };
    // The page serves as soon as its engine does: the router welcomes it a moment later.
    await expect.poll(listed, { timeout: 60_000 }).toMatchObject({ tabs: 0, check_only_tabs: 1 });
    guard.child.kill('SIGINT');
    expect((await guard.ended()).status).toBe(0);

    const [tab, classId] = ['T'.repeat(43), `cls_${'A'.repeat(22)}`];
    const word = (...args: string[]) => start('tab.ts', [...args, '--router', url]).ended();
    expect((await word('show', tab)).output).toContain('The network has seen nothing of it yet.');
    expect((await word('ban', tab, classId)).output).toContain(`${classId}: banned. The operator`);
    expect((await word('pardon', tab, classId)).output).toContain(`${classId}: new.`);
    const refused = await start('tab.ts', ['ban', tab, classId, '--router', url], {
      SHOAL_ROUTER_SECRET: 'dGVzdHMtb25seS10ZXN0cy1vbmx5LXRlc3RzLW9ubHkh',
    }).ended();
    expect([refused.status, refused.output]).toEqual([1, expect.stringContaining('Only the operator')]);
    router.child.kill('SIGINT');
    await router.ended();
  });
});

describe('npm run tabs', () => {
  it('lends tabs until SIGTERM, and then lets them finish; a word of the old command is told the new one', async () => {
    const router = start('start.ts', []);
    await router.printed('Stop with Ctrl-C.');
    const url = /http:\/\/localhost:\d+/.exec(router.output())?.[0] ?? '';
    const tabs = start('tabs.ts', ['--router', url, '--count', '2', '--model', 'shoal-pup-3m:q8_0']);
    await tabs.printed('2 tabs lend for');
    const answered = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        model: 'shoal-pup-3m',
        messages: [{ role: 'user', content: 'What is the capital of Japan?' }],
      }),
    });
    expect(answered.status).toBe(200);
    tabs.child.kill('SIGTERM');
    const { status, output } = await tabs.ended();
    expect([status, output]).toEqual([0, expect.stringContaining('Finishing what runs.')]);
    expect(output).not.toContain('did not finish in time');
    const moved = await start('tabs.ts', ['show', 'x']).ended();
    expect([moved.status, moved.output]).toEqual([1, expect.stringContaining("For 'show' use npm run tab.")]);
    router.child.kill('SIGINT');
    await router.ended();
  });
});
