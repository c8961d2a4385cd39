// Numbers and dates for people. Every number of the page is written here.
import type {Bounded, Interval} from './types';

const LOCALE = 'en-GB';
const whole = new Intl.NumberFormat(LOCALE, {maximumFractionDigits: 0});
const tenths = new Intl.NumberFormat(LOCALE, {maximumFractionDigits: 1, minimumFractionDigits: 1});
const fine = new Intl.NumberFormat(LOCALE, {maximumSignificantDigits: 3});
const short = new Intl.NumberFormat(LOCALE, {notation: 'compact', maximumSignificantDigits: 3});

function duration(value: number): string {
    const seconds = Math.round(value);
    if (Math.abs(value) < 10)
        return tenths.format(value) + ' s';
    if (Math.abs(seconds) < 60)
        return seconds + ' s';
    if (Math.abs(seconds) < 3600)
        return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, '0')} s`;
    return `${Math.floor(seconds / 3600)} h ${String(Math.floor(seconds / 60) % 60).padStart(2, '0')} min`;
}

const COUNTS = ['users', 'visitors', 'sessions', 'events', 'entities', 'pairs'];
const isShare = (unit: string, metric: string) => unit === 'ratio' && metric !== 'interaction_frequency';

// A number in its unit. metric tells ratios that are shares from those that are not.
export function number(value: number, unit: string, metric = ''): string {
    return written(value, unit, metric).replace(/^-(?=0(\.0)?( |$))/, '').replace(/^-/, '−');
}

function written(value: number, unit: string, metric: string): string {
    if (isShare(unit, metric))
        return tenths.format(value * 100) + ' %';
    if (unit === 'seconds' || unit === 's')
        return duration(value);
    if (COUNTS.includes(unit))
        return whole.format(value);
    return fine.format(value) + (unit && unit !== 'ratio' ? ' ' + unit : '');
}

export function axis(value: number, unit: string, metric = ''): string {
    if (isShare(unit, metric))
        return fine.format(value * 100) + ' %';
    if (unit === 'seconds' || unit === 's')
        return value === 0 ? '0' : value < 120 ? `${fine.format(value)} s` : `${fine.format(value / 60)} min`;
    return Math.abs(value) < 1000 ? String(+value.toPrecision(3)) : Math.abs(value) < 100000 ? whole.format(value) : short.format(value);
}

export const plain = (value: number) => Number.isInteger(value) ? whole.format(value) : fine.format(value);
export const percent = (ratio: number) => tenths.format(ratio * 100) + ' %';

export function interval(number_: Bounded, unit: string, metric = ''): string {
    if (number_.value === null)
        return 'suppressed';
    if (number_.reliability === 'exact')
        return 'exact';
    if (number_.low === null || number_.high === null)
        return 'no bound: the noise leaves it open';
    return `${number(number_.low, unit, metric)} to ${number(number_.high, unit, metric)}`;
}

export function signed(ratio: number): string {
    return (ratio > 0 ? '+' : ratio < 0 ? '−' : '±') + tenths.format(Math.abs(ratio) * 100) + ' %';
}

const day = new Intl.DateTimeFormat(LOCALE, {timeZone: 'UTC', day: 'numeric', month: 'short', year: 'numeric'});
const dayOnly = new Intl.DateTimeFormat(LOCALE, {timeZone: 'UTC', day: 'numeric', month: 'short'});
const month = new Intl.DateTimeFormat(LOCALE, {timeZone: 'UTC', month: 'long', year: 'numeric'});
const monthOnly = new Intl.DateTimeFormat(LOCALE, {timeZone: 'UTC', month: 'short', year: 'numeric'});
const weekday = new Intl.DateTimeFormat(LOCALE, {timeZone: 'UTC', weekday: 'short', day: 'numeric', month: 'short', year: 'numeric'});
const instant = (date: string) => new Date(date + 'T00:00:00Z');

export const date = (value: string) => day.format(instant(value));

// A period by its first day, as long as its name must be.
export function period(value: string, of: Interval): string {
    if (of === 'month')
        return month.format(instant(value));
    return of === 'week' ? 'week of ' + day.format(instant(value)) : weekday.format(instant(value));
}

export function periodShort(value: string, of: Interval): string {
    return (of === 'month' ? monthOnly : dayOnly).format(instant(value));
}

// A moment, in a time zone, which its reader sees beside it.
export function moment(value: string, zone: string): string {
    return new Intl.DateTimeFormat(LOCALE, {timeZone: zone, dateStyle: 'medium', timeStyle: 'short'}).format(new Date(value));
}

export function clock(value: string, zone: string): string {
    return new Intl.DateTimeFormat(LOCALE, {timeZone: zone, timeStyle: 'medium'}).format(new Date(value));
}

export function ago(ms: number): string {
    const seconds = Math.max(0, Math.round(ms / 1000));
    for (const [unit, length] of [['day', 86400], ['hour', 3600], ['minute', 60]] as const) {
        if (seconds >= length * 2 || (seconds >= length && length > 60))
            return `${Math.floor(seconds / length)} ${unit}${Math.floor(seconds / length) === 1 ? '' : 's'}`;
    }
    return `${seconds} s`;
}

// active_users: Active users.
export function title(name: string): string {
    const words = name.replace(/[_-]/g, ' ');
    return words.charAt(0).toUpperCase() + words.slice(1);
}

export function bytes(value: number): string {
    for (const [unit, size] of [['GiB', 2 ** 30], ['MiB', 2 ** 20], ['KiB', 1024]] as const) {
        if (value >= size)
            return `${fine.format(value / size)} ${unit}`;
    }
    return `${value} bytes`;
}
