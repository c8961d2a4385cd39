// What a view knows, and how it reads series for the range, interval and comparison that its reader chose.
import * as api from './api';
import type {Download} from './parts';
import {addDays, addPeriods, countPeriods, startOf} from './periods';
import type {Range, State} from './state';
import type {Catalogue, Funding, Interval, Metric, Period, Row, Series} from './types';

export interface Context {
    state: State;
    catalogue: Catalogue;
    range: Range;
    downloads: Download[];
    go(change: Partial<State>): void; // to another state of the page
    again(): void; // read anew
    alive(): boolean; // whether the view is still the one that is shown
}

export interface Loaded {
    interval: Period | null; // null: it is not released
    why: string | null;
    series: Series | null;
    before: Map<string, Row[]>; // rows of the period before, by the period of the range that they stand beside
    periods: string[];
    error: unknown;
    coarser: boolean; // not as short as was wanted
}

export interface Question {
    label: string;
    path: string; // behind /v1/apps/{app}/
    query?: Record<string, string | undefined>;
    intervals: Funding[];
    wanted?: Period;
    compare?: boolean;
}

const ORDER: Period[] = ['day', 'week', 'month'];

export function wantedInterval(context: Context, long = 100): Period {
    if (context.state.interval !== 'auto')
        return context.state.interval;
    return context.range.days <= long ? 'day' : 'week';
}

// The wanted interval or the next longer one that is released, else a shorter one.
export function chooseInterval(intervals: Funding[], wanted: Period): {interval: Period | null; why: string | null} {
    const funded = (interval: Interval) => intervals.some(entry => entry.interval === interval && entry.funded);
    const from = ORDER.indexOf(wanted);
    const found = [...ORDER.slice(from), ...ORDER.slice(0, from).reverse()].find(funded) ?? null;
    return {interval: found, why: found === null ? intervals.find(entry => entry.why)?.why ?? null : null};
}

export const appPath = (context: Context, path: string) => `/v1/apps/${context.catalogue.app}/${path}`;

function continuous(rows: Row[], interval: Period): string[] {
    const periods: string[] = [];
    if (rows.length === 0)
        return periods;
    const first = rows[0].period!, last = rows[rows.length - 1].period!;
    for (let period = first; period <= last && periods.length < 2000; period = addPeriods(period, interval, 1))
        periods.push(period);
    return periods;
}

export async function load(context: Context, question: Question): Promise<Loaded> {
    const wanted = question.wanted ?? wantedInterval(context);
    const {interval, why} = chooseInterval(question.intervals, wanted);
    const loaded: Loaded = {interval, why, series: null, before: new Map(), periods: [], error: null, coarser: interval !== wanted};
    if (interval === null)
        return loaded;
    const base = appPath(context, question.path), from = startOf(context.range.from, interval), {to} = context.range;
    const path = api.url(base, {...question.query, interval, from, to});
    const download = (label: string, of: string): Download =>
        ({label, name: `${context.catalogue.app}-${label}-${interval}.csv`.replace(/[^a-z0-9.-]+/gi, '-').toLowerCase(), path: of});
    context.downloads.push(download(question.label, path));
    // Days are compared with the same weekdays.
    const periods = countPeriods(from, to, interval), count = interval === 'day' ? Math.ceil(periods / 7) * 7 : periods;
    const compare = context.state.compare && question.compare !== false;
    const pathBefore = api.url(base, {...question.query, interval, from: addPeriods(from, interval, -count), to: addDays(addPeriods(from, interval, periods - count), -1)});
    if (compare)
        context.downloads.push(download(`${question.label}, range before`, pathBefore));
    try {
        const [series, before] = await Promise.all([api.series(path), compare ? api.series(pathBefore) : null]);
        loaded.series = series;
        loaded.periods = continuous(series.rows, interval);
        for (const row of before?.rows ?? []) {
            const beside = addPeriods(row.period!, interval, count);
            loaded.before.set(beside, [...loaded.before.get(beside) ?? [], row]);
        }
    } catch (error) {
        loaded.error = error;
    }
    return loaded;
}

export const metricOf = (context: Context, name: string): Metric | undefined => context.catalogue.metrics.find(metric => metric.metric === name);

export function loadMetric(context: Context, metric: Metric, label: string, more: Partial<Question> = {}): Promise<Loaded> {
    return load(context, {label, path: `metrics/${metric.metric}`, intervals: metric.intervals, ...more});
}

// Rows by period, of those that match.
export function byPeriod(rows: Row[], matches: (row: Row) => boolean = () => true): Map<string, Row> {
    return new Map(rows.filter(matches).map(row => [row.period!, row]));
}
