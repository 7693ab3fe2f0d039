import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import workerd from 'workerd';
import { DIST, ROOT } from '../paths.ts';
import { freePort } from '../router/free-port.ts';

const run = promisify(execFile);
const COMPATIBILITY_DATE = '2026-10-20';

export interface RawWorkerd {
  readonly url: string;
  /** CPU time of the process so far, ms (Linux); null elsewhere. */
  cpuMs(): Promise<number | null>;
  stop(): Promise<void>;
}

export interface RawWorker {
  readonly name: string;
  /** Entry of the Worker. */
  readonly main: string;
  readonly objects: readonly { readonly binding: string; readonly className: string }[];
  readonly secret: string | null;
  readonly assets: boolean;
}

/** Serves a Worker with the `workerd` binary alone: no `wrangler dev` in front, whose proxy costs more than what is measured. */
export async function serveRaw(worker: RawWorker, port: number): Promise<RawWorkerd> {
  const folder = await mkdtemp(join(tmpdir(), 'shoal-bench-'));
  const bundle = await bundleWorker(worker, folder);
  const storage = join(folder, 'storage');
  await mkdir(storage);
  const chosen = await freePort(port);
  const config = join(folder, 'config.capnp');
  await writeFile(config, capnp(worker, bundle, storage, chosen));
  const child = spawn(workerd.default, ['serve', '--experimental', config], { stdio: ['ignore', 'ignore', 'inherit'] });
  const url = `http://localhost:${chosen}`;
  for (let i = 0; ; i++) {
    const reached = await fetch(url, { signal: AbortSignal.timeout(1000) }).then(
      () => true,
      (cause: unknown) => !String(cause).includes('fetch failed'),
    );
    if (reached) break;
    if (i > 100 || child.exitCode !== null) throw new Error(`workerd did not start ${worker.name}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return {
    url,
    cpuMs: () => cpuMsOf(child.pid ?? 0),
    async stop() {
      child.kill('SIGTERM');
      await once(child, 'exit');
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function bundleWorker(worker: RawWorker, folder: string): Promise<string> {
  const toml = join(folder, 'wrangler.toml');
  const bindings = worker.objects.map(
    ({ binding, className }) => `[[durable_objects.bindings]]\nname = "${binding}"\nclass_name = "${className}"\n`,
  );
  const classes = worker.objects.map(({ className }) => `"${className}"`).join(', ');
  await writeFile(
    toml,
    `name = "bench"\nmain = ${JSON.stringify(worker.main)}\ncompatibility_date = "${COMPATIBILITY_DATE}"\ncompatibility_flags = ["nodejs_compat", "enable_request_signal"]\nsend_metrics = false\n${bindings.join('')}[[migrations]]\ntag = "v1"\nnew_sqlite_classes = [${classes}]\n`,
  );
  const out = join(folder, 'bundle');
  const wrangler = join(ROOT, 'node_modules', 'wrangler', 'bin', 'wrangler.js');
  const args = [wrangler, 'deploy', '--dry-run', '--minify', '--outdir', out, '--config', toml];
  await run(process.execPath, args, {
    env: {
      ...process.env,
      WRANGLER_SEND_METRICS: 'false',
      WRANGLER_HIDE_BANNER: 'true',
      CLOUDFLARE_CF_FETCH_ENABLED: 'false',
    },
  });
  const name = worker.main.split('/').at(-1)?.replace(/\.ts$/, '.js') ?? '';
  await readFile(join(out, name));
  return `bundle/${name}`; // The configuration embeds files by paths relative to itself.
}

function capnp(worker: RawWorker, bundle: string, storage: string, port: number): string {
  const quote = JSON.stringify;
  const bindings = [
    ...worker.objects.map(
      ({ binding, className }) => `( name = "${binding}", durableObjectNamespace = "${className}" )`,
    ),
    ...(worker.secret === null ? [] : [`( name = "SHOAL_ROUTER_SECRET", text = ${quote(worker.secret)} )`]),
    // The engines of a bench write one fixed text: the network's own questions would find that out.
    '( name = "SHOAL_NETWORK_TASKS", text = "off" )',
    ...(worker.assets ? ['( name = "ASSETS", service = "assets" )'] : []),
  ];
  const namespaces = worker.objects.map(
    ({ className }) => `( className = "${className}", uniqueKey = "${className}", enableSql = true )`,
  );
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    ( name = "main", worker = (
        modules = [ ( name = "worker", esModule = embed ${quote(bundle)} ) ],
        compatibilityDate = "${COMPATIBILITY_DATE}",
        compatibilityFlags = [ "nodejs_compat", "enable_request_signal" ],
        bindings = [ ${bindings.join(', ')} ],
        durableObjectNamespaces = [ ${namespaces.join(', ')} ],
        durableObjectStorage = ( localDisk = "storage" )
    ) ),
    ( name = "storage", disk = ( path = ${quote(storage)}, writable = true ) ),
    ( name = "assets", disk = ( path = ${quote(DIST)} ) ),
  ],
  sockets = [ ( name = "http", address = "127.0.0.1:${port}", http = (), service = "main" ) ]
);
`;
}

/** utime + stime of /proc/PID/stat, in clock ticks of 10 ms. */
async function cpuMsOf(pid: number): Promise<number | null> {
  try {
    const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).replace(/^.*\) /, '').split(' ');
    return (Number(fields[11]) + Number(fields[12])) * 10;
  } catch {
    return null;
  }
}
