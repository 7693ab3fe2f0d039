import { type DBSchema, openDB } from 'idb';
import * as v from 'valibot';
import { type BudgetSettings, budgetSettings, DEFAULT_BUDGET } from '../budget/budget-settings.ts';
import { type DataOfDay, NO_DATA } from '../budget/data-meter.ts';

/** A database of its own: the one of the identity must never be in the way of an upgrade. */
interface BudgetDb extends DBSchema {
  kept: { key: 'budget' | 'data'; value: unknown };
}

const dataOfDay = v.object({ day: v.string(), bytes: v.pipe(v.number(), v.finite(), v.minValue(0)) });

/** What the owner allows, and the bytes of the day; the defaults where the browser keeps nothing. */
export async function loadBudget(): Promise<{ readonly settings: BudgetSettings; readonly data: DataOfDay }> {
  try {
    const db = await open();
    const settings = v.safeParse(budgetSettings, await db.get('kept', 'budget'));
    const data = v.safeParse(dataOfDay, await db.get('kept', 'data'));
    db.close();
    return {
      settings: settings.success ? settings.output : DEFAULT_BUDGET,
      data: data.success ? data.output : NO_DATA,
    };
  } catch {
    return { settings: DEFAULT_BUDGET, data: NO_DATA };
  }
}

/** False where the browser keeps nothing: the choice lasts as long as the page. */
export function keepBudget(settings: BudgetSettings): Promise<boolean> {
  return put('budget', settings);
}

export function keepData(data: DataOfDay): Promise<boolean> {
  return put('data', data);
}

async function put(key: 'budget' | 'data', value: unknown): Promise<boolean> {
  try {
    const db = await open();
    await db.put('kept', value, key);
    db.close();
    return true;
  } catch {
    return false;
  }
}

function open() {
  return openDB<BudgetDb>('shoal-budget', 1, {
    upgrade(database) {
      database.createObjectStore('kept');
    },
  });
}
