import { ShoalError } from '../errors.ts';
import { isLocal } from '../is-local.ts';

/** Longest address, characters: what servers and proxies take without asking. */
const MAX_URL_LENGTH = 2048;

/**
 * Last labels of names that mean something inside a network only, or nothing at all: RFC 6761, 6762, 7686, 8375, ICANN's `internal`, and what home routers and clusters
 * are known to use.
 */
const INSIDE = new Set([
  ...['localhost', 'local', 'localdomain', 'internal', 'intranet', 'private', 'lan', 'home', 'corp', 'svc'],
  ...['test', 'invalid', 'onion', 'arpa'],
]);

/**
 * The address that events are sent to, as it will be used. `https` and a public name: no address of the network in any notation, for there is no telling what it leads to, no
 * name of the inside, no credentials. `routerHost` is the router's own, that calls nothing of itself; a router on this machine may call this machine. Throws `invalid_value`
 * with the reason.
 */
export function parseWebhookAddress(text: string, routerHost: string | null): string {
  const url = text.length <= MAX_URL_LENGTH && URL.canParse(text) ? new URL(text) : null;
  if (url === null) throw refused('it is no address');
  if (url.username !== '' || url.password !== '') throw refused('it has a user name or a password');
  if (url.hash !== '') throw refused('it has a fragment');
  const isInDevelopment = routerHost !== null && isLocal(routerHost);
  if (isInDevelopment && isLocal(url.hostname) && /^https?:$/.test(url.protocol)) return url.href;
  if (url.protocol !== 'https:') throw refused('it must begin with https://');
  // The parser has made one notation of all: 127.1, 0x7f000001, 2130706433 and the like are four numbers by now.
  if (/^[\d.]+$/.test(url.hostname) || url.hostname.startsWith('[')) throw refused('it must have a name, not a number');
  const labels = url.hostname.replace(/\.$/, '').split('.');
  const last = labels.at(-1) ?? '';
  if (labels.length < 2 || labels.includes('') || INSIDE.has(last)) throw refused('its name is not public');
  if (url.hostname.replace(/\.$/, '') === routerHost) throw refused('it is the router itself');
  return url.href;
}

function refused(why: string): ShoalError {
  return new ShoalError('invalid_value', `The field 'webhook.url' has a value that is not allowed: ${why}.`, {
    param: 'webhook.url',
  });
}
