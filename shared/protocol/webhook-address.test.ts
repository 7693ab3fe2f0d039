import { describe, expect, it } from 'vitest';
import { ShoalError } from '../errors.ts';
import { parseWebhookAddress } from './webhook-address.ts';

function refusal(url: string, routerHost: string | null = 'shoal.example.org'): string | null {
  try {
    parseWebhookAddress(url, routerHost);
  } catch (cause) {
    if (cause instanceof ShoalError) {
      expect([cause.code, cause.param]).toEqual(['invalid_value', 'webhook.url']);
      return /not allowed: (.*)\.$/.exec(cause.message)?.[1] ?? '';
    }
    throw cause;
  }
  return null;
}

describe('the address of a webhook', () => {
  it.each([
    'https://hooks.example.com/shoal',
    'https://hooks.example.com:8443/shoal?key=1',
    'https://bücher.example/',
    'https://10.example.com/',
    'https://127.0.0.1.example.com/', // A name, whatever it looks like.
  ])('may be %s', (url) => {
    expect(parseWebhookAddress(url, 'shoal.example.org')).toBe(new URL(url).href);
  });

  it.each([
    // Loopback, in the notations that one parser or another takes.
    '127.0.0.1',
    '127.1',
    '127.0.0.1.',
    '0x7f.0.0.1',
    '0x7f000001',
    '2130706433',
    '017700000001',
    '0177.0.0.1',
    '0x7f.1',
    '%31%32%37.0.0.1',
    '１２７.0.0.1',
    '①②⑦.0.0.1',
    '127。0。0。1',
    // This network, private, link-local with the clouds' own services, carriers, benchmarks, multicast, broadcast.
    '0',
    '0.0.0.0',
    '10.0.0.1',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '3232235777',
    '169.254.169.254',
    '0xa9fea9fe',
    '100.64.0.1',
    '198.18.0.1',
    '192.0.0.192',
    '224.0.0.1',
    '255.255.255.255',
    // Public, and yet a number.
    '1.1.1.1',
    // The same of IPv6: loopback, none, mapped, translated, unique local, link-local, multicast, documentation.
    '[::1]',
    '[::]',
    '[0:0:0:0:0:0:0:1]',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    '[::ffff:0:127.0.0.1]',
    '[::127.0.0.1]',
    '[64:ff9b::7f00:1]',
    '[2002:7f00:1::]',
    '[fc00::1]',
    '[fd00:ec2::254]',
    '[fe80::1]',
    '[ff02::1]',
    '[2001:db8::1]',
    '[2606:4700:4700::1111]',
  ])('is no number: %s', (host) => {
    expect(refusal(`https://${host}/`)).toBe('it must have a name, not a number');
  });

  it.each([
    'localhost',
    'LOCALHOST',
    'localhost.',
    'a.localhost',
    'router',
    'printer.local',
    'metadata.google.internal',
    'metadata.google.internal.',
    'api.default.svc',
    'db.cluster.local',
    'nas.lan',
    'box.home.arpa',
    'hidden.onion',
    'hooks.test',
    'hooks..com',
  ])('is no name of the inside: %s', (host) => {
    expect(refusal(`https://${host}/`)).toBe('its name is not public');
  });

  it.each([
    ['http://hooks.example.com/', 'it must begin with https://'],
    ['HTTP://hooks.example.com/', 'it must begin with https://'],
    ['ftp://hooks.example.com/', 'it must begin with https://'],
    ['file:///etc/passwd', 'it must begin with https://'],
    ['data:text/plain,x', 'it must begin with https://'],
    ['javascript:alert(1)', 'it must begin with https://'],
    ['https://me:secret@hooks.example.com/', 'it has a user name or a password'],
    ['https://hooks.example.com@127.0.0.1/', 'it has a user name or a password'],
    ['https://hooks.example.com/#here', 'it has a fragment'],
    ['//hooks.example.com/', 'it is no address'],
    ['hooks.example.com', 'it is no address'],
    ['', 'it is no address'],
    ['https://', 'it is no address'],
    ['https://[::1', 'it is no address'],
    ['https://256.256.256.256/', 'it is no address'],
    ['https://[fe80::1%25eth0]/', 'it is no address'],
    [`https://hooks.example.com/${'x'.repeat(2048)}`, 'it is no address'],
    ['https://shoal.example.org/v1/sessions', 'it is the router itself'],
    ['https://shoal.example.org./v1/sessions', 'it is the router itself'],
  ])('is refused with the reason: %s', (url, why) => {
    expect(refusal(url)).toBe(why);
  });

  it('is of this machine only where the router is on it', () => {
    for (const url of ['http://localhost:9000/hook', 'http://127.0.0.1:9000/hook', 'http://[::1]:9000/hook']) {
      expect(parseWebhookAddress(url, 'localhost')).toBe(url);
      expect(refusal(url)).not.toBe(null);
      expect(refusal(url, null)).not.toBe(null);
    }
    expect(refusal('http://192.168.1.1/', 'localhost')).toBe('it must begin with https://');
    expect(refusal('https://192.168.1.1/', 'localhost')).toBe('it must have a name, not a number');
  });
});
