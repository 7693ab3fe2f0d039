import { type DBSchema, openDB } from 'idb';
import { createStoredIdentity, identityFrom, type StoredIdentity, type TabIdentity } from './tab-identity.ts';

interface IdentityDb extends DBSchema {
  identity: { key: 'tab'; value: StoredIdentity };
}

/** This profile's identity as it was kept at an earlier visit; null where there was none, or the browser keeps nothing. */
export async function keptIdentity(): Promise<TabIdentity | null> {
  try {
    const db = await openIdentities();
    const found = await db.get('identity', 'tab');
    db.close();
    return found === undefined ? null : identityFrom(found);
  } catch {
    return null;
  }
}

function openIdentities() {
  return openDB<IdentityDb>('shoal', 1, {
    upgrade(database) {
      database.createObjectStore('identity');
    },
  });
}

/**
 * This profile's identity, made at the first visit. Where the browser keeps nothing (a private window, storage switched off) the tab gets one for
 * as long as it lives: `kept` says which.
 */
export async function loadIdentity(): Promise<{ readonly identity: TabIdentity; readonly kept: boolean }> {
  try {
    const db = await openIdentities();
    const found = await db.get('identity', 'tab');
    if (found !== undefined) return { identity: identityFrom(found), kept: true };
    const fresh = await createStoredIdentity();
    // Another page of this profile may have been faster: the first identity stays.
    const write = db.transaction('identity', 'readwrite');
    const first = await write.store.get('tab');
    if (first === undefined) await write.store.put(fresh, 'tab');
    await write.done;
    return { identity: identityFrom(first ?? fresh), kept: true };
  } catch {
    return { identity: identityFrom(await createStoredIdentity()), kept: false };
  }
}
