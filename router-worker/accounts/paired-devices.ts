import { randomBytes, toBase64Url } from '../../shared/bytes.ts';
import { ShoalError } from '../../shared/errors.ts';
import { MAX_DEVICES } from '../../shared/limits.ts';
import { unknownCode } from './pairing-code.ts';

/** Codes of one account that may be open at a time. */
const MAX_OPEN_PAIRINGS = 16;

/** A code that an account gave out. */
export interface Pairing {
  /** How the account is named to whoever is asked to pair. */
  readonly owner: string;
  /** Of the devices that it pairs, for their list. */
  readonly name: string;
  /** Devices that it still pairs. */
  readonly devices: number;
  readonly expiresAt: number;
}

/** A tab that is an account's. */
export interface Device {
  readonly tab: string;
  /** Of this pairing: the ledger is told under it. */
  readonly order: string;
  readonly owner: string;
  readonly name: string;
  readonly pairedAt: number;
}

interface PairingRow extends Record<string, SqlStorageValue> {
  readonly owner: string;
  readonly name: string;
  readonly devices: number;
  readonly expires_at: number;
}

interface DeviceRow extends Record<string, SqlStorageValue> {
  readonly tab: string;
  readonly by_order: string;
  readonly owner: string;
  readonly name: string;
  readonly paired_at: number;
  readonly code: string;
}

/**
 * The devices of one account, and the codes by which more of them come. Synchronous, every step one transaction of its object; what is refused is refused before
 * anything is written.
 */
export class PairedDevices {
  readonly #sql: SqlStorage;
  readonly #now: () => number;

  constructor(sql: SqlStorage, now: () => number) {
    this.#sql = sql;
    this.#now = now;
    sql.exec(`
      CREATE TABLE IF NOT EXISTS pairing (
        code TEXT PRIMARY KEY, owner TEXT NOT NULL, name TEXT NOT NULL, devices INTEGER NOT NULL, expires_at INTEGER NOT NULL
      );
      CREATE TABLE IF NOT EXISTS device (
        number INTEGER PRIMARY KEY, tab TEXT NOT NULL UNIQUE, by_order TEXT NOT NULL, owner TEXT NOT NULL, name TEXT NOT NULL,
        paired_at INTEGER NOT NULL, code TEXT NOT NULL
      );
    `);
  }

  /** Keeps a code by its digest. Throws `overloaded` where too many are open. */
  offer(code: string, pairing: Pairing): void {
    this.#sql.exec('DELETE FROM pairing WHERE expires_at <= ? OR devices = 0', this.#now());
    if (this.#count('pairing') >= MAX_OPEN_PAIRINGS) {
      throw new ShoalError(
        'overloaded',
        `${MAX_OPEN_PAIRINGS} codes are open: use them, or wait until they are over.`,
        {
          retryAfterMs: 60_000,
        },
      );
    }
    this.#sql.exec(
      'INSERT INTO pairing (code, owner, name, devices, expires_at) VALUES (?, ?, ?, ?, ?)',
      ...[code, pairing.owner, pairing.name, pairing.devices, pairing.expiresAt],
    );
  }

  /** Throws `pairing_not_found` for a code that is unknown, was used, or is over. */
  pairing(code: string): Pairing {
    const [row] = this.#sql
      .exec<PairingRow>('SELECT * FROM pairing WHERE code = ? AND devices > 0 AND expires_at > ?', code, this.#now())
      .toArray();
    if (row === undefined) throw unknownCode();
    return { owner: row.owner, name: row.name, devices: row.devices, expiresAt: row.expires_at };
  }

  /** One use of a code. A tab that is the account's already costs none, and stays as it is. Throws `pairing_not_found` or `too_many_devices`. */
  redeem(code: string, tab: string): Device {
    const before = this.get(tab);
    if (before !== null) return before;
    const { owner, name } = this.pairing(code);
    if (this.#count('device') >= MAX_DEVICES) {
      throw new ShoalError('too_many_devices', `The account has ${MAX_DEVICES} devices: no more at a time.`);
    }
    const device: Device = {
      tab,
      order: `pair:${toBase64Url(randomBytes(16))}`,
      owner,
      name,
      pairedAt: this.#now(),
    };
    this.#sql.exec('UPDATE pairing SET devices = devices - 1 WHERE code = ?', code);
    this.#sql.exec(
      'INSERT INTO device (tab, by_order, owner, name, paired_at, code) VALUES (?, ?, ?, ?, ?, ?)',
      ...[tab, device.order, owner, name, device.pairedAt, code],
    );
    return device;
  }

  get(tab: string): Device | null {
    return this.#devices('WHERE tab = ?', tab)[0] ?? null;
  }

  /** In the order in which they came. */
  all(): Device[] {
    return this.#devices('ORDER BY number');
  }

  /** False where it is none. The code that it came by is over: else it could come back by itself. */
  remove(tab: string): boolean {
    if (this.get(tab) === null) return false;
    this.#sql.exec('DELETE FROM pairing WHERE code IN (SELECT code FROM device WHERE tab = ?)', tab);
    this.#sql.exec('DELETE FROM device WHERE tab = ?', tab);
    return true;
  }

  #devices(where: string, ...values: SqlStorageValue[]): Device[] {
    return this.#sql
      .exec<DeviceRow>(`SELECT * FROM device ${where}`, ...values)
      .toArray()
      .map(({ tab, by_order: order, owner, name, paired_at: pairedAt }) => ({ tab, order, owner, name, pairedAt }));
  }

  #count(table: 'pairing' | 'device'): number {
    return this.#sql.exec<{ n: number }>(`SELECT COUNT(*) AS n FROM ${table}`).one().n;
  }
}
