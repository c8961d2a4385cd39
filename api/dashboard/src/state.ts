// What the page shows is in the address's fragment, so that a link keeps the view. A key never is.
import {addDays, addMonths, daysBetween, isDate} from './periods';
import type {Period} from './types';

export const RANGES: [string, string][] = [['4w', '4 weeks'], ['3m', '3 months'], ['6m', '6 months'], ['13m', '13 months'],
    ['custom', 'Dates']];

export interface State {
    view: string;
    app: string;
    range: string;
    from: string; // of a custom range
    to: string;
    interval: Period | 'auto';
    compare: boolean;
    metric: string; // or the dimension, funnel, outcome that a view is of
    period: string; // of views that show one: '' is the newest
    kind: string; // of retention
}

const INITIAL: State = {view: 'overview', app: '', range: '3m', from: '', to: '', interval: 'auto', compare: false, metric: '',
    period: '', kind: ''};

const NAME = /^[a-z][a-z0-9_-]{0,62}$/;

export function readState(hash: string): State {
    const [path, query = ''] = hash.replace(/^#\/?/, '').split('?');
    const given = new URLSearchParams(query), state = {...INITIAL};
    const named = (name: string) => NAME.test(given.get(name) ?? '') ? given.get(name)! : '';
    const dated = (name: string) => isDate(given.get(name) ?? '') ? given.get(name)! : '';
    state.view = NAME.test(path) ? path : INITIAL.view;
    state.app = named('app');
    state.metric = named('metric');
    state.kind = named('kind');
    state.period = dated('period');
    state.from = dated('from');
    state.to = dated('to');
    state.compare = given.get('compare') === '1';
    const interval = given.get('interval');
    state.interval = interval === 'day' || interval === 'week' || interval === 'month' ? interval : 'auto';
    const range = given.get('range') ?? INITIAL.range;
    state.range = RANGES.some(([name]) => name === range) ? range : INITIAL.range;
    if (state.range === 'custom' && (!state.from || !state.to || state.from > state.to))
        state.range = INITIAL.range;
    return state;
}

export function writeState(state: State): string {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(state) as [keyof State, string | boolean][]) {
        if (name !== 'view' && value !== INITIAL[name] && !((name === 'from' || name === 'to') && state.range !== 'custom'))
            query.set(name, value === true ? '1' : String(value));
    }
    const text = query.toString();
    return `#/${state.view}` + (text ? '?' + text : '');
}

export interface Range {
    from: string;
    to: string; // included
    days: number;
}

// The range that the state means, when anchor is the last day that can have numbers.
export function rangeOf(state: State, anchor: string): Range {
    let from = state.from, to = state.to;
    if (state.range !== 'custom') {
        to = anchor;
        from = state.range === '4w' ? addDays(to, -27) : addDays(addMonths(to, -parseInt(state.range, 10)), 1);
    }
    return {from, to, days: daysBetween(from, to) + 1};
}
