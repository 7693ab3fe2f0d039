import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Bytes, toHex, utf8 } from '../bytes.ts';
import { emptyRoot, leafHash, nodeHash, provesConsistency, provesInclusion, rootOf } from './merkle-tree.ts';

/** The definitions of RFC 9162 §2.1, word for word: slow, and obviously right. */
const hash = (...parts: Uint8Array[]): Bytes => {
  const digest = createHash('sha256');
  for (const part of parts) digest.update(part);
  return new Uint8Array(digest.digest());
};

const split = (n: number): number => {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
};

function mth(d: readonly Bytes[]): Bytes {
  if (d.length === 0) return hash();
  if (d.length === 1) return hash(new Uint8Array([0]), d[0]!);
  const k = split(d.length);
  return hash(new Uint8Array([1]), mth(d.slice(0, k)), mth(d.slice(k)));
}

function path(m: number, d: readonly Bytes[]): Bytes[] {
  if (d.length === 1) return [];
  const k = split(d.length);
  return m < k ? [...path(m, d.slice(0, k)), mth(d.slice(k))] : [...path(m - k, d.slice(k)), mth(d.slice(0, k))];
}

function subproof(m: number, d: readonly Bytes[], b: boolean): Bytes[] {
  if (m === d.length) return b ? [] : [mth(d)];
  const k = split(d.length);
  return m <= k
    ? [...subproof(m, d.slice(0, k), b), mth(d.slice(k))]
    : [...subproof(m - k, d.slice(k), false), mth(d.slice(0, k))];
}

const entries = (n: number): Bytes[] => Array.from({ length: n }, (_, i) => utf8(`entry ${i}`));
const MOST = 33;

function flipped(hashes: readonly Bytes[], at: number): Bytes[] {
  const copies = hashes.map((one) => one.slice());
  const changed = copies[at % copies.length]!;
  changed[at % changed.length]! ^= 1;
  return copies;
}

describe('the Merkle tree of RFC 9162', () => {
  it('has the roots that Certificate Transparency publishes for its eight test entries', async () => {
    const published = [
      '',
      '00',
      '10',
      '2021',
      '3031',
      '40414243',
      '5051525354555657',
      '606162636465666768696a6b6c6d6e6f',
    ];
    const d = published.map((hex) => Uint8Array.from(hex.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16)));
    expect(toHex(await emptyRoot())).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
    expect(toHex(await leafHash(new Uint8Array(0)))).toBe(
      '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
    );
    expect(toHex(await rootOf(d))).toBe('5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328');
  });

  it('has the root that the definition gives, for every size', async () => {
    for (let n = 0; n <= MOST; n++) expect(await rootOf(entries(n))).toEqual(mth(entries(n)));
  });

  it('cannot pass a node off as an entry', async () => {
    const [a, b] = [await leafHash(utf8('a')), await leafHash(utf8('b'))];
    const joined = new Uint8Array([...a, ...b]);
    expect(await nodeHash(a, b)).not.toEqual(await leafHash(joined));
  });
});

describe('a proof of inclusion', () => {
  it('holds for every entry of every tree, at its own place only', async () => {
    for (let size = 1; size <= MOST; size++) {
      const d = entries(size);
      const root = mth(d);
      for (let index = 0; index < size; index++) {
        const claim = { leaf: await leafHash(d[index]!), index, size, root, path: path(index, d) };
        expect(await provesInclusion(claim), `${index} of ${size}`).toBe(true);
        expect(await provesInclusion({ ...claim, index: (index + 1) % size }), `${index} of ${size}`).toBe(size === 1);
      }
    }
  });

  it('does not hold when one bit, the length, the size or the entry is another', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 2, max: 200 }), fc.nat(), fc.nat(), async (size, which, at) => {
        const d = entries(size);
        const index = which % size;
        const claim = { leaf: await leafHash(d[index]!), index, size, root: mth(d), path: path(index, d) };
        expect(await provesInclusion(claim)).toBe(true);
        for (const change of [
          { path: flipped(claim.path, at) },
          { path: claim.path.slice(1) },
          { path: claim.path.slice(0, -1) },
          { path: [...claim.path, claim.root] },
          { leaf: await leafHash(utf8('never logged')) },
          { root: await leafHash(claim.root) },
          { size: index },
          { size: 4 * size },
          { index: -1 },
          { size: Number.NaN },
        ]) {
          expect(await provesInclusion({ ...claim, ...change })).toBe(false);
        }
      }),
      { numRuns: 60, seed: 7 },
    );
  });
});

describe('a claim that no proof can hold', () => {
  const root = mth(entries(1));
  const claim = { leaf: root, index: 0, size: 1, root, path: [] };

  it('is an entry beyond the end', async () => {
    expect(await provesInclusion(claim)).toBe(true);
    expect(await provesInclusion({ ...claim, index: 1 })).toBe(false);
  });

  it('is a log that became shorter and kept its root', async () => {
    expect(await provesConsistency({ from: { size: 2, root }, to: { size: 1, root }, path: [] })).toBe(false);
  });

  it('is an empty log with a root of its own, or a proof where none is needed', async () => {
    const empty = { size: 0, root: mth([]) };
    const to = { size: 1, root };
    expect(await provesConsistency({ from: empty, to, path: [] })).toBe(true);
    expect(await provesConsistency({ from: { size: 0, root }, to, path: [] })).toBe(false);
    expect(await provesConsistency({ from: empty, to, path: [root] })).toBe(false);
    expect(await provesConsistency({ from: to, to, path: [] })).toBe(true);
    expect(await provesConsistency({ from: to, to, path: [root] })).toBe(false);
  });
});

describe('a proof of consistency', () => {
  it('holds between any two sizes of one log', async () => {
    for (let later = 0; later <= MOST; later++) {
      const d = entries(later);
      const to = { size: later, root: mth(d) };
      for (let earlier = 0; earlier <= later; earlier++) {
        const from = { size: earlier, root: mth(d.slice(0, earlier)) };
        const proof = earlier === 0 ? [] : subproof(earlier, d, true);
        expect(await provesConsistency({ from, to, path: proof }), `${earlier} of ${later}`).toBe(true);
      }
    }
  });

  it('cannot be made for a log in which one earlier entry was changed, left out or moved', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 80 }),
        fc.nat(80),
        fc.nat(),
        fc.constantFrom('changed', 'left out', 'moved'),
        async (earlier, more, which, how) => {
          const honest = entries(earlier + more);
          const at = which % earlier;
          const rewritten =
            how === 'changed'
              ? honest.with(at, utf8('another'))
              : how === 'left out'
                ? honest.toSpliced(at, 1)
                : [...honest.toSpliced(at, 1), honest[at]!];
          if (how === 'moved' && at === honest.length - 1) return; // It went where it was.
          const from = { size: earlier, root: mth(honest.slice(0, earlier)) };
          const to = { size: rewritten.length, root: mth(rewritten) };
          if (to.size >= earlier) {
            // The best that the router can do is the honest proof of the rewritten log, or that of the true one.
            for (const d of [rewritten, honest.slice(0, rewritten.length)]) {
              const proof = d.length < earlier ? [] : subproof(earlier, d, true);
              expect(await provesConsistency({ from, to, path: proof })).toBe(false);
            }
          } else expect(await provesConsistency({ from, to, path: [] })).toBe(false);
        },
      ),
      { numRuns: 150, seed: 7 },
    );
  });

  it('does not hold with one bit changed, or hashes too few or too many', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 2, max: 120 }), fc.nat(), fc.nat(), async (later, which, at) => {
        const earlier = 1 + (which % (later - 1));
        const d = entries(later);
        const claim = {
          from: { size: earlier, root: mth(d.slice(0, earlier)) },
          to: { size: later, root: mth(d) },
          path: subproof(earlier, d, true),
        };
        expect(await provesConsistency(claim)).toBe(true);
        for (const proof of [
          flipped(claim.path, at),
          claim.path.slice(1),
          claim.path.slice(0, -1),
          [...claim.path, claim.to.root],
          [],
        ]) {
          expect(await provesConsistency({ ...claim, path: proof })).toBe(false);
        }
        expect(await provesConsistency({ ...claim, from: claim.to, to: claim.from })).toBe(false);
        expect(await provesConsistency({ ...claim, to: { ...claim.to, size: 4 * later } })).toBe(false);
      }),
      { numRuns: 60, seed: 7 },
    );
  });
});
