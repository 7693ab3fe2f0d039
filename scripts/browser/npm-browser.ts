import { execFile } from 'node:child_process';
import { createReadStream, createWriteStream, existsSync } from 'node:fs';
import { chmod, mkdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { createBrotliDecompress } from 'node:zlib';
import { CACHE, ROOT } from '../paths.ts';

const PACKAGE = join(ROOT, 'node_modules', '@sparticuz', 'chromium');

/** Archives of the package, and the folder that each is unpacked into; `null` for the executable itself. */
const PARTS = [
  { file: 'chromium.br', folder: null },
  { file: 'al2023.tar.br', folder: 'al2023' },
  { file: 'swiftshader.tar.br', folder: '.' },
  { file: 'fonts.tar.br', folder: 'fonts' },
] as const;

/**
 * The headless Chromium that `@sparticuz/chromium` carries, unpacked once into `.cache/`: it needs glibc and nothing else, no root and no download
 * from outside the registry.
 */
export async function unpackNpmBrowser(
  say: (line: string) => void,
): Promise<{ readonly executable: string; readonly env: Record<string, string> }> {
  const { version } = JSON.parse(await readFile(join(PACKAGE, 'package.json'), 'utf8')) as { version: string };
  const home = join(CACHE, `chromium-${version}`);
  const executable = join(home, 'chromium');
  if (!existsSync(executable)) {
    say('No installed browser was found: unpacking the one from npm (once, about 5 s).');
    const staging = `${home}.${process.pid}.partial`;
    await rm(staging, { recursive: true, force: true });
    try {
      await Promise.all(PARTS.map((part) => unpack(part.file, part.folder, staging)));
      await rename(staging, home).catch((cause) => {
        if (!existsSync(executable)) throw cause; // Another process was faster.
      });
    } finally {
      await rm(staging, { recursive: true, force: true });
    }
  }
  return {
    executable,
    env: { LD_LIBRARY_PATH: join(home, 'al2023', 'lib'), FONTCONFIG_PATH: join(home, 'fonts', 'fonts') },
  };
}

async function unpack(file: string, folder: string | null, home: string): Promise<void> {
  const source = createReadStream(join(PACKAGE, 'bin', file));
  const target = join(home, folder === null ? 'chromium' : `${file}.tar`);
  await mkdir(dirname(target), { recursive: true });
  await pipeline(source, createBrotliDecompress(), createWriteStream(target));
  if (folder === null) {
    await chmod(target, 0o755);
    return;
  }
  const into = join(home, folder);
  await mkdir(into, { recursive: true });
  await promisify(execFile)('tar', ['-xf', target, '-C', into]);
  await rm(target);
}
