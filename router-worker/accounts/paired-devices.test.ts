import { describe, expect, it } from 'vitest';
import { MAX_DEVICES } from '../../shared/limits.ts';
import { routerKeys } from '../keys/router-keys.ts';
import { TEST_SECRET } from '../testing/network.ts';
import { NodeSql } from '../testing/node-sql.ts';
import { PairedDevices } from './paired-devices.ts';
import { mintPairingCode, readPairingCode, shownCode } from './pairing-code.ts';

function anAccount() {
  const clock = { at: 1_000 };
  const { sql } = new NodeSql();
  const devices = new PairedDevices(sql, () => clock.at);
  const offer = (code: string, part: { devices?: number; expiresAt?: number; name?: string } = {}) =>
    devices.offer(code, { owner: 'Ann', name: 'laptop', devices: 1, expiresAt: 61_000, ...part });
  return { clock, sql, devices, offer };
}
const tabsOf = (devices: PairedDevices) => devices.all().map(({ tab }) => tab);

describe('a code of pairing', () => {
  it('[O6] is read as people type it, and nothing else is', async () => {
    const keys = await routerKeys(TEST_SECRET);
    const code = await mintPairingCode(keys);
    expect(code).toMatch(/^[0-9A-HJKMNP-TV-Z]{12}$/);
    expect(shownCode(code)).toBe(`${code.slice(0, 4)}-${code.slice(4, 8)}-${code.slice(8)}`);
    const typed = [shownCode(code).toLowerCase(), ` ${code} `, code.replaceAll('0', 'o').replaceAll('1', 'l')];
    for (const text of typed) expect(await readPairingCode(keys, text)).toBe(code);
    const guesses = [...code].map(
      (letter, at) => code.slice(0, at) + (letter === 'A' ? 'B' : 'A') + code.slice(at + 1),
    );
    for (const wrong of [...guesses, '', code.slice(1), `${code}0`, 'U'.repeat(12), 'x'.repeat(10_000)]) {
      await expect(readPairingCode(keys, wrong), wrong).rejects.toMatchObject({ code: 'pairing_not_found' });
    }
  });
});

describe('the devices of an account', () => {
  it('[O6] come by a code that is used once, in its time; the same tab may say it again', () => {
    const { clock, devices, offer } = anAccount();
    offer('one');
    expect(devices.pairing('one')).toEqual({ owner: 'Ann', name: 'laptop', devices: 1, expiresAt: 61_000 });
    const first = devices.redeem('one', 'tab a');
    expect(first).toMatchObject({ tab: 'tab a', owner: 'Ann', name: 'laptop', pairedAt: 1_000 });
    clock.at = 90_000;
    expect(devices.redeem('one', 'tab a')).toEqual(first);
    expect(() => devices.redeem('one', 'tab b')).toThrow('unknown, was used, or is over');
    offer('two', { expiresAt: 90_000 });
    expect(() => devices.redeem('two', 'tab b')).toThrow('unknown, was used, or is over');
    expect(() => devices.pairing('never made')).toThrow('unknown, was used, or is over');
    expect(tabsOf(devices)).toEqual(['tab a']);
  });

  it('[O6] are as many as the code says, and none comes back by the code it came by once it was removed', () => {
    const { devices, offer } = anAccount();
    offer('room', { devices: 3 });
    for (const tab of ['a', 'b', 'b']) devices.redeem('room', tab);
    expect(devices.pairing('room').devices).toBe(1);
    expect([devices.remove('a'), devices.remove('a')]).toEqual([true, false]);
    expect(() => devices.redeem('room', 'a')).toThrow('unknown, was used, or is over');
    expect([tabsOf(devices), devices.get('a')]).toEqual([['b'], null]);
    offer('again');
    const { order } = devices.redeem('again', 'a');
    devices.remove('a');
    offer('once more');
    expect(devices.redeem('once more', 'a').order).not.toBe(order); // The ledger does every order once.
  });

  it('[O6] are bounded, and so are codes that are open', () => {
    const { clock, devices, offer } = anAccount();
    offer('many', { devices: MAX_DEVICES + 1 });
    for (let i = 0; i < MAX_DEVICES; i++) devices.redeem('many', `tab ${i}`);
    expect(() => devices.redeem('many', 'one more')).toThrow('256 devices');
    for (let i = 1; i < 16; i++) offer(`code ${i}`);
    expect(() => offer('one more')).toThrow('16 codes are open');
    clock.at = 61_000;
    offer('one more', { expiresAt: 70_000 });
  });
});
