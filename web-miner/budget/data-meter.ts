/** Bytes of one day by the device's calendar, as they are kept from one visit to the next. */
export interface DataOfDay {
  /** `2026-11-22` by the device's clock. */
  readonly day: string;
  readonly bytes: number;
}

export const NO_DATA: DataOfDay = { day: '', bytes: 0 };

/** The calendar day of an instant, by the device's clock. */
export function dayOf(now: number): string {
  const at = new Date(now);
  const two = (figure: number) => String(figure).padStart(2, '0');
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
}

export function addBytes(data: DataOfDay, bytes: number, now: number): DataOfDay {
  const day = dayOf(now);
  return { day, bytes: (data.day === day ? data.bytes : 0) + bytes };
}

export function bytesToday(data: DataOfDay, now: number): number {
  return data.day === dayOf(now) ? data.bytes : 0;
}
