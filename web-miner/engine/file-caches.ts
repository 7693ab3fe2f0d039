/**
 * web-llm fetches a model's files by address and keeps them in the browser's Cache storage. Here it finds them there at once: while a model loads, caches named
 * `webllm/…` show the files of the verified download. So nothing is fetched by the package, nothing is stored twice, and it works where storage is forbidden.
 */

/** An origin that cannot exist (RFC 2606): what is not shown here is not fetched either. */
const ORIGIN = 'https://model.invalid';
const SCOPE = 'webllm/';
/** web-llm 0.2.79 asks for the older name; folders of today may have only the newer. */
const SAME_FILE: ReadonlyMap<string, string> = new Map([
  ['ndarray-cache.json', 'tensor-cache.json'],
  ['tensor-cache.json', 'ndarray-cache.json'],
]);

const shown = new Map<string, ReadonlyMap<string, Blob>>();
let hidden: PropertyDescriptor | 'inherited' | null = null;

export interface ShownFiles {
  /** What every file's address begins with. */
  readonly base: string;
  /** From now on the files are gone: whoever still asks for one gets an `AbortError`. */
  hide(): void;
}

/** Shows the files until {@link ShownFiles.hide}. */
export function showFiles(files: ReadonlyMap<string, Blob>): ShownFiles {
  const base = `${ORIGIN}/${crypto.randomUUID()}/resolve/main/`;
  shown.set(base, files);
  if (hidden === null) {
    hidden = Object.getOwnPropertyDescriptor(globalThis, 'caches') ?? 'inherited';
    Object.defineProperty(globalThis, 'caches', { configurable: true, value: withShownFiles(globalThis.caches) });
  }
  return {
    base,
    hide() {
      if (!shown.delete(base) || shown.size > 0 || hidden === null) return;
      Reflect.deleteProperty(globalThis, 'caches');
      if (hidden !== 'inherited') Object.defineProperty(globalThis, 'caches', hidden);
      hidden = null;
    },
  };
}

/** The browser's own storage, except for the caches of web-llm. */
function withShownFiles(
  real: CacheStorage | undefined,
): Pick<CacheStorage, 'open' | 'has' | 'delete' | 'keys' | 'match'> {
  const storage = () => {
    if (real === undefined) throw new DOMException('This page may not store anything.', 'SecurityError');
    return real;
  };
  return {
    open: async (name) => (name.startsWith(SCOPE) ? shownCache() : storage().open(name)),
    has: async (name) => name.startsWith(SCOPE) || storage().has(name),
    delete: async (name) => !name.startsWith(SCOPE) && storage().delete(name),
    keys: async () => storage().keys(),
    match: async (request, options) => storage().match(request, options),
  };
}

function shownCache(): Cache {
  const refuse = async (): Promise<never> => {
    throw new Error('The model has no such file, and nothing is fetched for it.');
  };
  return {
    match: async (request) => {
      const file = find(addressOf(request));
      return file === undefined ? undefined : new Response(file);
    },
    matchAll: async () => [],
    keys: async () => [...shown].flatMap(([base, files]) => [...files.keys()].map((name) => new Request(base + name))),
    add: refuse,
    addAll: refuse,
    put: refuse,
    delete: async () => false,
  };
}

function find(address: string): Blob | undefined {
  for (const [base, files] of shown) {
    if (!address.startsWith(base)) continue;
    const name = address.slice(base.length);
    return files.get(name) ?? files.get(SAME_FILE.get(name) ?? '');
  }
  throw new DOMException('The model is not being loaded any more.', 'AbortError');
}

function addressOf(request: RequestInfo | URL): string {
  return request instanceof Request ? request.url : String(request);
}
