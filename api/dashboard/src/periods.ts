// Calendar dates as the API writes them, 2026-04-01, and periods of them. Arithmetic is in UTC: a date has no time zone.
import type {Period} from './types';

const DAY_MS = 86400000;
const at = (date: string) => Date.parse(date + 'T00:00:00Z');
const text = (ms: number) => new Date(ms).toISOString().slice(0, 10);

export const seconds = (date: string) => at(date) / 1000;
export const addDays = (date: string, days: number) => text(at(date) + days * DAY_MS);
export const daysBetween = (from: string, to: string) => Math.round((at(to) - at(from)) / DAY_MS);

// The same day of the month, or its last one.
export function addMonths(date: string, months: number): string {
    const then = new Date(at(date)), day = then.getUTCDate();
    then.setUTCDate(1);
    then.setUTCMonth(then.getUTCMonth() + months);
    const last = new Date(Date.UTC(then.getUTCFullYear(), then.getUTCMonth() + 1, 0)).getUTCDate();
    then.setUTCDate(Math.min(day, last));
    return text(then.getTime());
}

export function startOf(date: string, period: Period): string {
    if (period === 'month')
        return date.slice(0, 8) + '01';
    return period === 'day' ? date : addDays(date, -((new Date(at(date)).getUTCDay() + 6) % 7));
}

export function addPeriods(date: string, period: Period, count: number): string {
    return period === 'month' ? addMonths(date, count) : addDays(date, count * (period === 'week' ? 7 : 1));
}

export function countPeriods(from: string, to: string, period: Period): number {
    if (period === 'month')
        return (+to.slice(0, 4) - +from.slice(0, 4)) * 12 + +to.slice(5, 7) - +from.slice(5, 7) + 1;
    return Math.floor(daysBetween(startOf(from, period), to) / (period === 'week' ? 7 : 1)) + 1;
}

// Today in an IANA time zone.
export function today(zone: string): string {
    return new Intl.DateTimeFormat('en-CA', {timeZone: zone, year: 'numeric', month: '2-digit', day: '2-digit'}).format(new Date());
}

export const isDate = (value: string) => /^\d{4}-\d\d-\d\d$/.test(value) && !Number.isNaN(at(value)) && text(at(value)) === value;
