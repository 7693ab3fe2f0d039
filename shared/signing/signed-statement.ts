import * as v from 'valibot';
import { type Bytes, fromBase64Url, toBase64Url, utf8 } from '../bytes.ts';
import { ShoalError } from '../errors.ts';

/**
 * A statement is JSON text with an Ed25519 signature over exactly the bytes that are shipped, so nothing has to be put into
 * a canonical form before it can be verified. The kind is part of what is signed: a lease can never be passed off as a receipt.
 */
export type StatementKind =
  | 'hello'
  | 'tab-key'
  | 'lease'
  | 'envelope'
  | 'signal'
  | 'commit'
  | 'check-commit'
  | 'check-reveal'
  | 'receipt'
  | 'log-head'
  | 'tab-owner';

/** 32 bytes as base64url. */
export const key32 = v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{43}$/));
/** 64 bytes as base64url. */
const signature64 = v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{86}$/));

export const signed = v.strictObject({
  payload: v.pipe(v.string(), v.maxLength(1_000_000)),
  key: key32,
  signature: signature64,
});
export type Signed = v.InferOutput<typeof signed>;

export interface Signer {
  /** Ed25519 public key, base64url of 32 bytes. */
  readonly publicKey: string;
  sign(kind: StatementKind, payload: string): Promise<Signed>;
}

function signedBytes(kind: StatementKind, payload: string): Bytes {
  return utf8(`shoal/${kind}/v1\n${payload}`);
}

export function signerOf(privateKey: CryptoKey, publicKey: string): Signer {
  return {
    publicKey,
    async sign(kind, payload) {
      const signature = await crypto.subtle.sign('Ed25519', privateKey, signedBytes(kind, payload));
      return { payload, key: publicKey, signature: toBase64Url(new Uint8Array(signature)) };
    },
  };
}

/** A new identity. The private key cannot leave this runtime unless `extractable`. */
export async function generateSigningKeys(extractable = false): Promise<{ pair: CryptoKeyPair; publicKey: string }> {
  const pair = (await crypto.subtle.generateKey('Ed25519', extractable, ['sign', 'verify'])) as CryptoKeyPair;
  const raw = (await crypto.subtle.exportKey('raw', pair.publicKey)) as ArrayBuffer;
  return { pair, publicKey: toBase64Url(new Uint8Array(raw)) };
}

const IMPORTED_KEYS_KEPT = 256;
const imported = new Map<string, Promise<CryptoKey>>();

/** Importing costs as much as half a verification, and the same few keys come again and again. */
function importVerifyKey(key: string): Promise<CryptoKey> {
  let found = imported.get(key);
  if (found === undefined) {
    found = crypto.subtle.importKey('raw', fromBase64Url(key), 'Ed25519', true, ['verify']);
    if (imported.size >= IMPORTED_KEYS_KEPT) imported.delete(imported.keys().next().value ?? '');
    imported.set(key, found);
    found.catch(() => imported.delete(key));
  }
  return found;
}

export async function isSignedBy(kind: StatementKind, statement: Signed): Promise<boolean> {
  try {
    const key = await importVerifyKey(statement.key);
    return await crypto.subtle.verify(
      'Ed25519',
      key,
      fromBase64Url(statement.signature),
      signedBytes(kind, statement.payload),
    );
  } catch {
    return false; // A malformed key or signature is no signature.
  }
}

/**
 * Verifies, then parses. Throws `integrity_failed` when the signature does not hold, the signer is not `by`, or the payload is not of
 * the schema's shape.
 */
export async function openStatement<T>(
  kind: StatementKind,
  schema: v.GenericSchema<unknown, T>,
  statement: Signed,
  by: string | null,
): Promise<T> {
  if (by !== null && statement.key !== by) {
    throw new ShoalError('integrity_failed', `The ${kind} is signed by another key than the expected one.`);
  }
  if (!(await isSignedBy(kind, statement))) {
    throw new ShoalError('integrity_failed', `The signature of the ${kind} does not hold.`);
  }
  return parsePayload(kind, schema, statement);
}

/** Parses a payload whose signature was verified, or is the reader's own. */
export function parsePayload<T>(kind: StatementKind, schema: v.GenericSchema<unknown, T>, statement: Signed): T {
  let value: unknown;
  try {
    value = JSON.parse(statement.payload);
  } catch {
    value = undefined;
  }
  const parsed = v.safeParse(schema, value);
  if (!parsed.success) throw new ShoalError('integrity_failed', `The ${kind} is not of the agreed shape.`);
  return parsed.output;
}
