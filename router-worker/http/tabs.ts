import type { Hono } from 'hono';
import { toBase64Url } from '../../shared/bytes.ts';
import { ShoalError } from '../../shared/errors.ts';
import { type RouterKeys, routerKeys } from '../keys/router-keys.ts';
import { poolStub } from '../pool/pool-address.ts';
import { NETWORK_HEADER } from '../pool/pool-object.ts';
import type { AppEnv } from './context.ts';

/** Where tabs connect. */
export function tabRoutes(app: Hono<AppEnv>): void {
  app.get('/v1/tabs/socket', async (c) => {
    if (c.req.header('upgrade')?.toLowerCase() !== 'websocket') {
      throw new ShoalError('invalid_value', 'This address speaks WebSocket: tabs connect to it from /join.');
    }
    const keys = await routerKeys(c.env.SHOAL_ROUTER_SECRET);
    const request = new Request(c.req.raw);
    request.headers.set(NETWORK_HEADER, await networkDigest(keys, c.req.header('cf-connecting-ip') ?? ''));
    return poolStub(c.env).fetch(request);
  });
}

/** Tabs behind one prefix (IPv4 /24, IPv6 /48) may well belong to one person. Only a keyed digest of it is kept. */
async function networkDigest(keys: RouterKeys, address: string): Promise<string> {
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
