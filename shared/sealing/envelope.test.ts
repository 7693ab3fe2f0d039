import { beforeAll, describe, expect, it } from 'vitest';
import { type Bytes, randomBytes, toBase64Url } from '../bytes.ts';
import { type Lease, NOT_SAMPLED } from '../protocol/lease.ts';
import type { SealedBody } from '../protocol/sealed-body.ts';
import { generateSigningKeys, type Signed, type Signer, signerOf } from '../signing/signed-statement.ts';
import { decodeEnvelope, encodeEnvelope, openEnvelope, sealBody } from './envelope.ts';
import { generateSealingKeys, type SealingKeys } from './hpke.ts';

async function newSigner(): Promise<Signer> {
  const { pair, publicKey } = await generateSigningKeys();
  return signerOf(pair.privateKey, publicKey);
}

let router: Signer;
let tab: Signer;
let client: Signer;
let keys: SealingKeys;

beforeAll(async () => {
  [router, tab, client] = [await newSigner(), await newSigner(), await newSigner()];
  keys = await generateSealingKeys();
});

const sampling = {
  temperature: 0,
  topP: 1,
  topK: 0,
  minP: 0,
  frequencyPenalty: 0,
  presencePenalty: 0,
  seed: 1,
  maxTokens: 9,
};
const body = (): SealedBody => ({
  v: 1,
  kind: 'chat',
  salt: toBase64Url(randomBytes(16)),
  messages: [{ role: 'user', content: 'Hallo, 世界 🐟' }],
  stop: [],
  sampling,
});

const NOTHING_SAMPLED = { kind: 'embed', sampling: NOT_SAMPLED } as const;

async function leaseFor(part: Partial<Lease> = {}, by: Signer = router): Promise<{ lease: Lease; statement: Signed }> {
  const lease: Lease = {
    v: 3,
    task: 'A'.repeat(46),
    subtask: 0,
    attempt: 1,
    number: 5,
    role: 'answer',
    rung: null,
    tab: tab.publicKey,
    sealTo: keys.publicKey,
    oneTime: true,
    model: 'm',
    variant: 'q8_0',
    class: `cls_${'A'.repeat(22)}`,
    client: client.publicKey,
    nonce: 'A'.repeat(22),
    private: true,
    kind: 'chat',
    sampling,
    draw: 'D'.repeat(43),
    issuedAt: 1_000,
    expiresAt: 9_000,
    ...part,
  };
  return { lease, statement: await by.sign('lease', JSON.stringify(lease)) };
}

async function sealed(part: Partial<Lease> = {}, content = body(), sender = client): Promise<Bytes> {
  const { lease, statement } = await leaseFor(part);
  const seal = await sealBody(content);
  const { wrap } = await seal.wrapFor(statement, lease, sender);
  return encodeEnvelope(wrap, seal.sealed);
}

const reader = (now = 2_000) => ({
  tab: tab.publicKey,
  router: router.publicKey,
  takeKey: (sealTo: string) => (sealTo === keys.publicKey ? keys.pair : null),
  now: () => now,
});

describe('envelope', () => {
  it('opens for the leased tab, with the body and both sides of an exported secret', async () => {
    const content = body();
    const { lease, statement } = await leaseFor();
    const seal = await sealBody(content);
    const { wrap, exporter } = await seal.wrapFor(statement, lease, client);
    const opened = await openEnvelope(encodeEnvelope(wrap, seal.sealed), reader());
    expect(opened.body).toEqual(content);
    expect(opened.lease).toEqual(lease);
    expect(await opened.exporter.exportSecret('x', 32)).toEqual(await exporter.exportSecret('x', 32));
    expect(await opened.exporter.exportSecret('x', 32)).not.toEqual(await opened.exporter.exportSecret('y', 32));
  });

  it('[X2] opens for a tab that embeds', async () => {
    const content = { ...body(), ...NOTHING_SAMPLED };
    expect((await openEnvelope(await sealed(NOTHING_SAMPLED, content), reader())).body).toEqual(content);
  });

  it('[S1] opens one body for several readers, each under its own lease only', async () => {
    const seal = await sealBody(body());
    const other = await generateSealingKeys();
    const first = await leaseFor();
    const second = await leaseFor({ role: 'check', number: 6, sealTo: other.publicKey });
    const { wrap } = await seal.wrapFor(first.statement, first.lease, client);
    const { wrap: checkWrap } = await seal.wrapFor(second.statement, second.lease, client);
    expect(checkWrap.wrapped).not.toBe(wrap.wrapped);
    const swapped = encodeEnvelope({ ...wrap, lease: second.statement }, seal.sealed);
    await expect(openEnvelope(swapped, reader())).rejects.toMatchObject({ code: 'sealed_body_invalid' });
    const checkReader = { ...reader(), takeKey: (sealTo: string) => (sealTo === other.publicKey ? other.pair : null) };
    await expect(openEnvelope(encodeEnvelope(checkWrap, seal.sealed), checkReader)).resolves.toMatchObject({
      lease: { role: 'check' },
    });
  });

  it.each<[string, () => Promise<Bytes>]>([
    ['[L3] for another tab', () => sealed({ tab: 'B'.repeat(43) })],
    ['[L3] whose lease has expired', () => sealed({ expiresAt: 1_999 })],
    [
      '[L3] whose lease is signed by somebody else',
      async () => {
        const { lease, statement } = await leaseFor({}, client);
        const seal = await sealBody(body());
        return encodeEnvelope((await seal.wrapFor(statement, lease, client)).wrap, seal.sealed);
      },
    ],
    [
      '[L4] whose sampling differs from the lease',
      () => sealed({}, { ...body(), sampling: { ...sampling, temperature: 1 } }),
    ],
    ['[L4] [X2] of another kind than its lease', () => sealed({ kind: 'embed' })],
    ['[X2] that samples where nothing is sampled', () => sealed({ kind: 'embed' }, { ...body(), kind: 'embed' })],
    [
      '[X2] that embeds, and has stop strings',
      () => sealed(NOTHING_SAMPLED, { ...body(), ...NOTHING_SAMPLED, stop: ['x'] }),
    ],
    [
      '[X2] that embeds what is no text of a user',
      () => sealed(NOTHING_SAMPLED, { ...body(), ...NOTHING_SAMPLED, messages: [{ role: 'system', content: 'x' }] }),
    ],
    ['[L5] signed by another client than the lease names', async () => sealed({}, body(), await newSigner())],
    [
      '[L5] whose body was exchanged',
      async () => {
        const { wrap } = decodeEnvelope(await sealed());
        return encodeEnvelope(wrap, (await sealBody(body())).sealed);
      },
    ],
    ['[S2] sealed to a key that was used before', () => sealed({ sealTo: toBase64Url(randomBytes(32)) })],
    [
      'whose wrapped key is altered',
      async () => {
        const { wrap, sealed: content } = decodeEnvelope(await sealed());
        return encodeEnvelope(
          { ...wrap, wrapped: wrap.wrapped.replace(/^./, (c) => (c === 'A' ? 'B' : 'A')) },
          content,
        );
      },
    ],
    [
      'whose text has half of a character',
      () => sealed({}, { ...body(), messages: [{ role: 'user', content: 'a\ud800b' }] }),
    ],
    ['that is empty', async () => new Uint8Array(0)],
    ['that is cut', async () => (await sealed()).slice(0, 100)],
    ['that is noise', async () => randomBytes(500)],
  ])('is refused %s', async (_, make) => {
    await expect(openEnvelope(await make(), reader())).rejects.toThrow(/refused|signature|signed/i);
  });

  it('[S1] binds the wrap to every term of the lease', async () => {
    const seal = await sealBody(body());
    const { lease, statement } = await leaseFor();
    const { wrap } = await seal.wrapFor(statement, lease, client);
    for (const part of [
      { task: 'B'.repeat(46) },
      { attempt: 2 },
      { number: 7 },
      { role: 'check' as const },
      { class: `cls_${'B'.repeat(22)}` },
      { model: 'n' },
    ]) {
      const other = await leaseFor(part);
      const moved = encodeEnvelope({ ...wrap, lease: other.statement }, seal.sealed);
      await expect(openEnvelope(moved, reader())).rejects.toMatchObject({ code: 'sealed_body_invalid' });
    }
  });
});
