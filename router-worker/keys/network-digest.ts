import { toBase64Url } from '../../shared/bytes.ts';
import type { RouterKeys } from './router-keys.ts';

/** Addresses behind one prefix (IPv4 /24, IPv6 /48) may well belong to one person. Only a keyed digest of the prefix is kept. */
export async function networkDigest(keys: RouterKeys, address: string): Promise<string> {
  const prefix = address.includes(':')
    ? expandIpv6(address).slice(0, 3).join(':')
    : address.split('.').slice(0, 3).join('.');
  return toBase64Url((await keys.mac('network', prefix)).subarray(0, 12));
}

function expandIpv6(address: string): string[] {
  const [left = '', right = ''] = address.toLowerCase().split('::');
  const head = left === '' ? [] : left.split(':');
  const tail = right === '' ? [] : right.split(':');
  const missing = Math.max(0, 8 - head.length - tail.length);
  const groups = address.includes('::') ? [...head, ...Array<string>(missing).fill('0'), ...tail] : head;
  return groups.map((group) => group.padStart(4, '0'));
}
