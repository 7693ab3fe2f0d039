import * as v from 'valibot';
import { type Bytes, concatBytes, fromBase64Url, fromUtf8, randomBytes, sha256, toBase64Url, utf8 } from '../bytes.ts';
import { ShoalError } from '../errors.ts';
import { MAX_ENVELOPE_BYTES } from '../limits.ts';
import { base64Url, key32 } from '../protocol/fields.ts';
import { type Lease, lease as leaseSchema } from '../protocol/lease.ts';
import { hasFormOfKind, type SealedBody, sealedBody } from '../protocol/sealed-body.ts';
import { openStatement, type Signed, type Signer, signed } from '../signing/signed-statement.ts';
import { hpkeOpen, hpkeSeal, type SecretExporter } from './hpke.ts';

/**
 * A subtask's body is sealed once, under a random body key; the body key is wrapped for each reader with HPKE, bound to that
 * reader's lease. So a check or another attempt costs one wrap and the body itself is never sealed again.
 *
 * Wire: u32 length of the header ‖ header (JSON, {@link Wrap}) ‖ sealed body.
 */

/** The part of an envelope that differs from reader to reader. */
export const wrap = v.strictObject({
  lease: signed,
  /** HPKE encapsulated key. */
  enc: key32,
  /** The wrapped body key: 16 bytes and a tag. */
  wrapped: base64Url(64),
  /** HPKE base mode does not say who sealed: the client that the lease names signs lease, enc and body. */
  sender: signed,
});
export type Wrap = v.InferOutput<typeof wrap>;

const senderClaim = v.object({ lease: key32, enc: key32, body: key32 });

const BODY_NONCE = new Uint8Array(12); // The body key is used for exactly one message.
const BODY_AAD = utf8('shoal/body/v1');

/** Binds a wrap to every term of its lease: version, task, subtask, attempt, epoch, tab, role, class, sampling. */
async function wrapInfo(statement: Signed): Promise<Bytes> {
  return concatBytes(utf8('shoal/wrap/v1\n'), await sha256(utf8(statement.payload)));
}

export async function leaseDigest(statement: Signed): Promise<string> {
  return toBase64Url(await sha256(utf8(statement.payload)));
}

export interface BodySeal {
  /** The sealed body and its SHA-256, base64url. */
  readonly sealed: Bytes;
  readonly digest: string;
  /** Wraps the body key for the reader that a lease names. */
  wrapFor(statement: Signed, lease: Lease, sender: Signer): Promise<{ wrap: Wrap; exporter: SecretExporter }>;
}

export async function sealBody(body: SealedBody): Promise<BodySeal> {
  const rawKey = randomBytes(16);
  const key = await crypto.subtle.importKey('raw', rawKey, 'AES-GCM', false, ['encrypt']);
  const sealed = new Uint8Array(
    await crypto.subtle.encrypt(
      { name: 'AES-GCM', iv: BODY_NONCE, additionalData: BODY_AAD },
      key,
      utf8(JSON.stringify(body)),
    ),
  );
  const bodyHash = await sha256(sealed);
  const digest = toBase64Url(bodyHash);
  return {
    sealed,
    digest,
    async wrapFor(statement, lease, sender) {
      const info = await wrapInfo(statement);
      const { enc, ciphertext, exporter } = await hpkeSeal(fromBase64Url(lease.sealTo), info, bodyHash, rawKey);
      const encText = toBase64Url(enc);
      const claim = JSON.stringify({ lease: await leaseDigest(statement), enc: encText, body: digest });
      return {
        wrap: {
          lease: statement,
          enc: encText,
          wrapped: toBase64Url(ciphertext),
          sender: await sender.sign('envelope', claim),
        },
        exporter,
      };
    },
  };
}

export function encodeEnvelope(header: Wrap, sealed: Bytes): Bytes {
  const json = utf8(JSON.stringify(header));
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, json.byteLength);
  return concatBytes(length, json, sealed);
}

/** Splits an envelope without opening it. Throws `sealed_body_invalid`. */
export function decodeEnvelope(envelope: Bytes): { wrap: Wrap; sealed: Bytes } {
  if (envelope.byteLength < 4 || envelope.byteLength > MAX_ENVELOPE_BYTES) throw invalid('its size is out of bounds');
  const length = new DataView(envelope.buffer, envelope.byteOffset).getUint32(0);
  if (length > envelope.byteLength - 4) throw invalid('its header is cut');
  let header: unknown;
  try {
    header = JSON.parse(fromUtf8(envelope.subarray(4, 4 + length)));
  } catch {
    throw invalid('its header is not JSON');
  }
  const parsed = v.safeParse(wrap, header);
  if (!parsed.success) throw invalid('its header is not of the agreed shape');
  return { wrap: parsed.output, sealed: envelope.slice(4 + length) };
}

function invalid(why: string): ShoalError {
  return new ShoalError('sealed_body_invalid', `The sealed envelope was refused: ${why}.`);
}

export interface OpenedEnvelope {
  readonly lease: Lease;
  readonly statement: Signed;
  readonly body: SealedBody;
  readonly sealed: Bytes;
  readonly exporter: SecretExporter;
}

export interface EnvelopeReader {
  /** Identity of the tab that opens. */
  readonly tab: string;
  readonly router: string;
  /** The private half of a key that this tab published; `null` when unknown or already used. */
  takeKey(sealTo: string): CryptoKeyPair | null;
  /** Now by the router's clock, ms. */
  now(): number;
}

/**
 * Opens an envelope: the lease is the router's, for this tab, in time; the sender is the one that the lease names; the body is
 * the one that the sender signed, and its parameters are the lease's. Throws `sealed_body_invalid` or `integrity_failed`.
 */
export async function openEnvelope(envelope: Bytes, reader: EnvelopeReader): Promise<OpenedEnvelope> {
  const { wrap: header, sealed } = decodeEnvelope(envelope);
  const lease = await openStatement('lease', leaseSchema, header.lease, reader.router);
  if (lease.tab !== reader.tab) throw invalid('its lease is for another tab');
  if (lease.expiresAt < reader.now()) throw invalid('its lease has expired');

  const bodyHash = await sha256(sealed);
  const digest = toBase64Url(bodyHash);
  const claim = await openStatement('envelope', senderClaim, header.sender, lease.client);
  if (claim.lease !== (await leaseDigest(header.lease)) || claim.enc !== header.enc || claim.body !== digest) {
    throw invalid('its sender signed something else');
  }

  const pair = reader.takeKey(lease.sealTo);
  if (pair === null) throw invalid('the key that it is sealed to is unknown or already used');
  let body: unknown;
  let exporter: SecretExporter;
  try {
    const opened = await hpkeOpen(
      pair,
      fromBase64Url(header.enc),
      await wrapInfo(header.lease),
      bodyHash,
      fromBase64Url(header.wrapped),
    );
    exporter = opened.exporter;
    const key = await crypto.subtle.importKey('raw', opened.plaintext, 'AES-GCM', false, ['decrypt']);
    const plain = await crypto.subtle.decrypt(
      { name: 'AES-GCM', iv: BODY_NONCE, additionalData: BODY_AAD },
      key,
      sealed,
    );
    body = JSON.parse(fromUtf8(new Uint8Array(plain)));
  } catch {
    throw invalid('it does not open with the leased key');
  }
  const parsed = v.safeParse(sealedBody, body);
  if (!parsed.success) throw invalid('its content is not of the agreed shape');
  if (parsed.output.kind !== lease.kind) throw invalid('it is of another kind than its lease');
  if (!hasFormOfKind(parsed.output)) throw invalid('its content has not the form of its kind');
  if (JSON.stringify(sortedEntries(parsed.output.sampling)) !== JSON.stringify(sortedEntries(lease.sampling))) {
    throw invalid('its sampling differs from the lease');
  }
  return { lease, statement: header.lease, body: parsed.output, sealed, exporter };
}

function sortedEntries(values: Readonly<Record<string, number>>): [string, number][] {
  return Object.entries(values).sort(([a], [b]) => (a < b ? -1 : 1));
}
