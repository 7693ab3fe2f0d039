/** The part of an address that those behind one line share: IPv4 /24, IPv6 /48. */
export function networkPrefix(address: string): string {
  return address.includes(':') ? expandIpv6(address).slice(0, 3).join(':') : address.split('.').slice(0, 3).join('.');
}

function expandIpv6(address: string): string[] {
  const [left = '', right = ''] = address.toLowerCase().split('::');
  const head = left === '' ? [] : left.split(':');
  const tail = right === '' ? [] : right.split(':');
  const missing = Math.max(0, 8 - head.length - tail.length);
  const groups = address.includes('::') ? [...head, ...Array<string>(missing).fill('0'), ...tail] : head;
  return groups.map((group) => group.padStart(4, '0'));
}
