import {
  type Bytes,
  concatBytes,
  equalBytes,
  fromBase64Url,
  randomBytes,
  toBase64Url,
  utf8,
} from '../../shared/bytes.ts';
import { ShoalError } from '../../shared/errors.ts';
import type { TaskTail } from '../../shared/protocol/fields.ts';
import { type Signer, signerOf } from '../../shared/signing/signed-statement.ts';
import { MAX_POOLS } from '../pool/rendezvous.ts';

/** The router's keys, all derived from one secret, so that an operator has one thing to keep and to rotate. */
export interface RouterKeys {
  readonly signer: Signer;
  /** HMAC-SHA-256 of a labelled text: names that nobody outside can guess or forge. */
  mac(label: string, text: string): Promise<Bytes>;
}

const MIN_SECRET_BYTES = 32;
/** PKCS #8 prefix of an Ed25519 private key (RFC 8410 §7); the 32-byte seed follows. */
const PKCS8_ED25519 = new Uint8Array([0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20]);

let cached: { readonly secret: string; readonly keys: Promise<RouterKeys> } | null = null;

/** Throws `router_not_configured` when the secret is missing or too short. */
export function routerKeys(secret: string | undefined): Promise<RouterKeys> {
  if (secret === undefined || secret === '') {
    throw new ShoalError('router_not_configured', 'The router has no secret.');
  }
  if (cached?.secret !== secret) cached = { secret, keys: derive(secret) };
  return cached.keys;
}

async function derive(secret: string): Promise<RouterKeys> {
  let material: Bytes;
  try {
    material = fromBase64Url(secret);
  } catch (cause) {
    throw new ShoalError('router_not_configured', "The router's secret is not base64url.", { cause });
  }
  if (material.byteLength < MIN_SECRET_BYTES) {
    throw new ShoalError('router_not_configured', "The router's secret is shorter than 32 bytes.");
  }
  const base = await crypto.subtle.importKey('raw', material, 'HKDF', false, ['deriveBits']);
  const part = async (label: string) => {
    const params = { name: 'HKDF', hash: 'SHA-256', salt: new Uint8Array(0), info: utf8(`shoal/router/${label}`) };
    return new Uint8Array(await crypto.subtle.deriveBits(params, base, 256));
  };
  const pkcs8 = concatBytes(PKCS8_ED25519, await part('signing'));
  const privateKey = await crypto.subtle.importKey('pkcs8', pkcs8, 'Ed25519', true, ['sign']);
  const { x } = (await crypto.subtle.exportKey('jwk', privateKey)) as JsonWebKey;
  if (x === undefined) throw new ShoalError('router_not_configured', 'The signing key could not be derived.');
  const hmac = { name: 'HMAC', hash: 'SHA-256' };
  const macKey = await crypto.subtle.importKey('raw', await part('mac'), hmac, false, ['sign']);
  return {
    signer: signerOf(privateKey, x),
    async mac(label, text) {
      return new Uint8Array(await crypto.subtle.sign('HMAC', macKey, utf8(`${label}\n${text}`)));
    },
  };
}

/**
 * Task ids: 16 bytes that name the session object, masked ‖ 10 random bytes ‖ 8 bytes of MAC. A forged id reaches no object. The mask is of the router and of
 * these random bytes: tabs see ids, and are to learn neither which tasks belong together nor which are of the network's own sessions. The last byte of the MAC
 * masks the number of the pool that has the task, and the others bind it: of pool 0 it is the plain MAC.
 */
const SESSION_BYTES = 16;
const RANDOM_BYTES = 10;
const MAC_BYTES = 8;

/** Name of the session object for this seed: unguessable and of fixed size, whatever the seed holds. */
export async function sessionNameOf(keys: RouterKeys, seed: string): Promise<string> {
  return toBase64Url((await keys.mac('session', seed)).subarray(0, SESSION_BYTES));
}

/** `pool`: number of the pool that will have the task. */
export async function newTaskTail(keys: RouterKeys, sessionName: string, pool = 0): Promise<TaskTail> {
  const random = randomBytes(RANDOM_BYTES);
  const named = concatBytes(await masked(keys, fromBase64Url(sessionName), random), random);
  return toBase64Url(concatBytes(named, await boundTo(keys, named, pool, await plainMac(keys, named))));
}

/** Where a task is: its session object by name, its pool by number. Throws `task_not_found` for an id that this router did not make. */
export async function placeOfTask(
  keys: RouterKeys,
  tail: TaskTail,
): Promise<{ readonly session: string; readonly pool: number }> {
  let bytes: Bytes;
  try {
    bytes = fromBase64Url(tail);
  } catch {
    throw unknownTask(); // Of the right letters, but not a canonical text of whole bytes.
  }
  const named = bytes.subarray(0, SESSION_BYTES + RANDOM_BYTES);
  const mac = bytes.subarray(SESSION_BYTES + RANDOM_BYTES);
  const plain = await plainMac(keys, named);
  const pool = (mac.at(-1) ?? 0) ^ (plain.at(-1) ?? 0);
  if (pool >= MAX_POOLS || !equalBytes(await boundTo(keys, named, pool, plain), mac)) throw unknownTask();
  const name = await masked(keys, named.subarray(0, SESSION_BYTES), named.subarray(SESSION_BYTES));
  return { session: toBase64Url(name), pool };
}

/** The name of the session object that holds a task. Throws `task_not_found` for an id that this router did not make. */
export async function sessionOfTask(keys: RouterKeys, tail: TaskTail): Promise<string> {
  return (await placeOfTask(keys, tail)).session;
}

async function plainMac(keys: RouterKeys, named: Bytes): Promise<Bytes> {
  return (await keys.mac('task', toBase64Url(named))).subarray(0, MAC_BYTES);
}

async function boundTo(keys: RouterKeys, named: Bytes, pool: number, plain: Bytes): Promise<Bytes> {
  if (pool === 0) return plain;
  const bound = await keys.mac('task', `${toBase64Url(named)} ${pool}`);
  return concatBytes(bound.subarray(0, MAC_BYTES - 1), new Uint8Array([(plain.at(-1) ?? 0) ^ pool]));
}

/** Twice is the name itself again. */
async function masked(keys: RouterKeys, name: Bytes, random: Bytes): Promise<Bytes> {
  const mask = await keys.mac('session-mask', toBase64Url(random));
  return name.map((byte, at) => byte ^ (mask[at] ?? 0));
}

/** The pass that the operator gives to its guards: whoever has the router's secret can make it. */
export async function guardPass(keys: RouterKeys): Promise<string> {
  return toBase64Url((await keys.mac('guard', 'v1')).subarray(0, 24));
}

/** What the operator shows to change the standing of a tab. */
export async function operatorPass(keys: RouterKeys): Promise<string> {
  return toBase64Url((await keys.mac('operator', 'v1')).subarray(0, 24));
}

/** Compares in a time that tells nothing of the right pass. */
export async function isOperatorPass(keys: RouterKeys, pass: string): Promise<boolean> {
  return equalBytes(utf8(await operatorPass(keys)), utf8(pass));
}

/** Compares in a time that tells nothing of the right pass. */
export async function isGuardPass(keys: RouterKeys, pass: string): Promise<boolean> {
  return equalBytes(utf8(await guardPass(keys)), utf8(pass));
}

/** The secret of a task's draw of checkers: committed to in its lease, opened in its receipt. */
export async function drawSecret(keys: RouterKeys, tail: TaskTail): Promise<string> {
  return toBase64Url(await keys.mac('draw', tail));
}

export function unknownTask(): ShoalError {
  return new ShoalError('task_not_found', 'There is no task with this id.');
}

/** Lets its bearer act for a task: send the envelope, wrap a key, open a link. */
export async function taskToken(keys: RouterKeys, tail: TaskTail): Promise<string> {
  return toBase64Url((await keys.mac('task-token', tail)).subarray(0, 24));
}

/** Compares in a time that tells nothing of the right token. */
export async function isTaskToken(keys: RouterKeys, tail: TaskTail, token: string): Promise<boolean> {
  return equalBytes(utf8(await taskToken(keys, tail)), utf8(token));
}
