// Funnels: how far users of a week came, and how the whole conversion went over time.
import {bar, most, moved, periodLine, periodPicker, rowBefore, Subject, seriesCard, suppressedHint, troubleOf, wasText} from '../cards';
import {Context, load, Loaded} from '../context';
import {Child, h} from '../dom';
import {interval as intervalText, number, percent} from '../format';
import {flagsOf, loadNotes} from '../notes';
import {card, infoButton, leafCode, leafOf, named, nothing, select, suppressedMark, table, tableBehind, valueCell} from '../parts';
import type {Bounded, Funnel, Row} from '../types';

// What is exact has no interval beside it: the page says once that all is.
const bounds = (value: Bounded, unit: string): Child => value.reliability === 'exact' ? null : h('small', {class: 'bounds'}, intervalText(value, unit));

type Was = (value: Bounded, before: Bounded | null | undefined, unit: string) => Child;

function conversion(label: string, value: Bounded | null | undefined, before: Bounded | null | undefined, was: Was): Child {
    if (!value)
        return null;
    return h('p', {}, value.value === null ? suppressedMark() : h('strong', {}, percent(value.value)), h('span', {class: 'hint'}, ' ', label),
        value.value !== null && [bounds(value, 'ratio'), was(value, before, 'ratio')]);
}

function steps(context: Context, loaded: Loaded, rows: Row[]): HTMLElement {
    const {compare} = context.state, beside = new Map(compare ? rows.map(row => [row, rowBefore(context, loaded, row.period!, entry => entry.step === row.step)]) : []);
    const top = most([...rows, ...beside.values()]);
    const was: Was = (value, before, unit) => compare && h('small', {class: 'bounds'}, wasText(context, before, unit), moved(context, loaded, value, before, unit));
    return h('ol', {class: 'funnel'}, rows.map(row => h('li', {},
        h('div', {class: 'step-head'}, h('span', {class: 'step-number', 'aria-hidden': 'true'}, row.step), h('span', {class: 'step-name'}, row.label!)),
        h('div', {class: 'step-bar'}, bar(row, top, beside.get(row))),
        h('div', {class: 'step-value'}, row.value === null ? suppressedMark() : [h('strong', {}, number(row.value, 'users')), bounds(row, 'users'), was(row, beside.get(row), 'users')]),
        h('div', {class: 'step-rates'}, row.step === 1 ? h('p', {class: 'hint'}, 'entered the funnel') : [conversion('of the step before', row.from_previous, beside.get(row)?.from_previous, was),
            row.step! > 2 ? conversion('of step 1', row.from_first, beside.get(row)?.from_first, was) : null]))));
}

// The last step's conversion from step 1, as a series of its own.
function overall(loaded: Loaded, last: number): Loaded {
    const rows = (loaded.series?.rows ?? []).filter(row => row.step === last).map((row): Row =>
        ({...row, ...(row.from_first ?? {value: null, low: null, high: null, reliability: 'suppressed'})}));
    const before = new Map([...loaded.before].map(([period, all]) => [period, all.filter(row => row.step === last && row.from_first).map((row): Row => ({...row, ...row.from_first!}))] as const));
    return {...loaded, series: loaded.series && {...loaded.series, rows, notice: null}, before};
}

export async function funnels(context: Context): Promise<Node> {
    const all = context.catalogue.funnels, funnel: Funnel | undefined = all.find(entry => entry.funnel === context.state.metric) ?? all[0];
    if (funnel === undefined)
        return nothing('No funnels', 'The app declares none. ', h('code', {}, 'funnels'), ' in its definition has two to ten steps; they count from their declaration on.');
    const title = named(funnel.funnel, funnel.title);
    const [notes, loaded] = await Promise.all([loadNotes(context), load(context, {label: title, path: `funnels/${funnel.funnel}`, intervals: funnel.intervals, wanted: 'week'})]);
    const subject: Subject = {title, metric: 'funnel', definition: funnel.definition, unit: 'users'};
    const {period, picker} = periodPicker(context, loaded), trouble = troubleOf(context, loaded);
    const chosen = all.length > 1 ? select('Funnel', all.map(entry => [entry.funnel, named(entry.funnel, entry.title)]), funnel.funnel, metric => context.go({metric, period: ''})) : null;
    const rows = (loaded.series?.rows ?? []).filter(row => row.period === period);
    const info = infoButton({...subject, zone: context.catalogue.time_zone, protection: loaded.series?.protection, row: rows[rows.length - 1]});
    if (trouble !== null)
        return h('div', {class: 'stack'}, h('div', {class: 'bar-row'}, chosen), card({label: title, class: 'empty', info}, trouble));
    return h('div', {class: 'stack'}, h('div', {class: 'bar-row'}, chosen, picker),
        card({label: title, info}, h('p', {class: 'hint'}, `Users whose first event of step 1 lies in the week, within ${funnel.window_days} days, in order; other events may lie between.`),
            context.state.compare && h('p', {class: 'hint'}, periodLine(context, loaded, period)), steps(context, loaded, rows), suppressedHint(loaded, rows),
            h('footer', {class: 'card-foot'}, tableBehind(title, () => table(title, [
                {label: 'Step', cell: (row: Row) => `${row.step}. ${row.label}`},
                {label: 'Users', number: true, cell: row => valueCell(row, 'users')},
                ...context.state.compare ? [{label: 'Range before', number: true, cell: (row: Row) => valueCell(rowBefore(context, loaded, period, entry => entry.step === row.step), 'users')}] : [],
                {label: 'From before', number: true, cell: row => valueCell(row.from_previous, 'ratio')},
                {label: 'From step 1', number: true, cell: row => valueCell(row.from_first, 'ratio')},
                {label: 'Audit leaf', cell: row => leafCode(row.audit_leaf)},
            ], rows)), leafOf(rows[0]))),
        seriesCard({context, subject: {...subject, title: `Whole way: step ${funnel.steps.length} from step 1`, unit: 'ratio', metric: 'funnel_conversion'}, loaded: overall(loaded, funnel.steps.length), hero: true, flags: flagsOf(context, loaded, notes)}));
}
