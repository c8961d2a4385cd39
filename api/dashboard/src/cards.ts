// Cards of series: one line with its headline, several lines, and a period's classes ranked. Every number has its interval, its
// meaning and its leaf beside it.
import {chart, Line} from './chart';
import {byPeriod, Context, Loaded} from './context';
import {Child, h, styled} from './dom';
import {interval as intervalText, number, period as periodText, plain, title as titleOf} from './format';
import {Flag, notesList} from './notes';
import {addPeriods} from './periods';
import {card, change, changeChip, changeSize, Column, failed, helpSuppressed, infoButton, leafCode, leafOf, entryOf, nothing, openPopover, select, sentence, suppressedMark, table, tableBehind,
    unfunded, valueCell} from './parts';
import type {Bounded, Reference, Row} from './types';

export interface Subject {
    title: string;
    metric: string;
    definition: Reference;
    unit: string;
}

export function troubleOf(context: Context, loaded: Loaded): HTMLElement | null {
    if (loaded.error !== null)
        return failed(loaded.error, context.again);
    if (loaded.interval === null)
        return unfunded(loaded.why);
    if (loaded.series === null || loaded.series.rows.length === 0)
        return nothing('Nothing released in this range', 'Numbers appear once a whole period is over and its late events are in. Another range may have some.');
    return null;
}

function meaning(context: Context, subject: Subject, loaded: Loaded, row: Row | null, part: Bounded | null = null, title = subject.title, more: Child[] = []) {
    return {title, definition: subject.definition, unit: subject.unit, metric: subject.metric, row, number: part ?? row,
        protection: loaded.series?.protection ?? context.catalogue.protection, zone: context.catalogue.time_zone, more};
}

const versus = (interval: string) => `on the ${interval} before`;

// The row that one of a period is compared with: of the range before, or of the period just before it.
export function rowBefore(context: Context, loaded: Loaded, period: string, matches: (row: Row) => boolean = () => true): Row | null {
    if (context.state.compare)
        return loaded.before.get(period)?.find(matches) ?? null;
    const last = addPeriods(period, loaded.interval!, -1);
    return loaded.series?.rows.find(row => row.period === last && matches(row)) ?? null;
}

export const versusOf = (context: Context, loaded: Loaded) => context.state.compare ? 'on the range before' : versus(loaded.interval!);

// A period, and the one of the range before that its numbers stand beside.
export function periodLine(context: Context, loaded: Loaded, period: string): string {
    const beside = loaded.before.get(period)?.[0]?.period, own = periodText(period, loaded.interval!);
    return !context.state.compare ? own : beside ? `${own}, beside ${periodText(beside, loaded.interval!)}` : `${own}; the range before has no numbers`;
}

// How a number moved, where the two intervals allow to say so.
export function moved(context: Context, loaded: Loaded, now: Bounded, before: Bounded | null | undefined, unit: string): Child {
    const found = change(now, before), text = versusOf(context, loaded);
    if (found === null || !found.clear || (found.ratio !== null && Math.abs(found.ratio) < .005))
        return null;
    return h('span', {class: found.difference > 0 ? 'moved up' : 'moved down', title: text + (now.reliability === 'exact' ? '' : ': more than the noise explains')},
        ` ${found.difference > 0 ? '▲' : '▼'} ${changeSize(found, unit)}`, h('span', {class: 'sr'}, ` ${text}`));
}

// The same number of the range before, with its interval: nothing unless its reader compares.
export function wasText(context: Context, before: Bounded | null | undefined, unit: string, metric = ''): Child {
    if (!context.state.compare)
        return null;
    return h('span', {class: 'was'}, before?.value == null ? before ? 'before: suppressed' : 'before: no number'
        : `before: ${number(before.value, unit, metric)}` + (before.reliability === 'exact' ? '' : ` (${intervalText(before, unit, metric)})`));
}

const beforeColumn = <T>(context: Context, subject: Subject, of: (row: T) => Row | null | undefined): Column<T>[] => !context.state.compare ? []
    : [{label: 'Range before', number: true, cell: row => valueCell(of(row), subject.unit, subject.metric)}];

function seriesTable(context: Context, label: string, subject: Subject, loaded: Loaded, rows: Row[]): HTMLElement {
    return table(`${label} by ${loaded.interval}`, [
        {label: 'Period', cell: row => periodText(row.period!, loaded.interval!)},
        {label: 'Value', number: true, cell: row => row.value === null ? suppressedMark() : number(row.value, subject.unit, subject.metric)},
        {label: '95 % interval', number: true, cell: row => row.value === null ? '' : intervalText(row, subject.unit, subject.metric)},
        {label: 'Reliability', cell: row => row.reliability},
        ...beforeColumn<Row>(context, subject, row => rowBefore(context, loaded, row.period!)),
        {label: 'Audit leaf', cell: row => leafCode(row.audit_leaf)},
    ] as Column<Row>[], [...rows].reverse());
}

const suppressedCount = (rows: Row[]) => rows.filter(row => row.reliability === 'suppressed').length;

export function suppressedHint(loaded: Loaded, rows: Row[]): HTMLElement | null {
    const count = suppressedCount(rows), said = loaded.series?.notice ?? null;
    if (count === 0)
        return null;
    if (said !== null && /not shown/.test(said))
        return helpSuppressed(said.replace(/^(\d+ of \d+) values are/, '$1 values of this range are'));
    const longer = loaded.interval === 'month' ? 'whole numbers in place of breakdowns' : 'weeks or months in place of shorter periods, and whole numbers in place of breakdowns';
    return helpSuppressed(`${count} of ${rows.length} values are not shown: too few people are behind them. What helps: ${longer}; a larger audience helps most.`);
}

// The sum of what adds up over periods; independent noise adds by squares.
function sumOf(subject: Subject, rows: Row[]): Child {
    if (!['new_users', 'sessions', 'engaged_sessions', 'page_views', 'events'].includes(subject.metric) || rows.some(row => row.value === null) || rows.length < 2)
        return null;
    const sum = rows.reduce((total, row) => total + row.value!, 0);
    const half = Math.sqrt(rows.reduce((total, row) => total + Math.max((row.high ?? row.value!) - row.value!, row.value! - (row.low ?? row.value!)) ** 2, 0));
    return h('span', {class: 'sum'}, `${number(sum, subject.unit)} in the range`, half > 0 && ` (±${plain(Math.ceil(half))})`);
}

export interface SeriesCard {
    context: Context;
    subject: Subject;
    loaded: Loaded;
    hero?: boolean;
    aside?: Child;
    href?: string;
    marks?: Set<string>;
    flags?: Flag[];
}

// One metric: newest value, its change, the line with its band, and the table.
export function seriesCard({context, subject, loaded, hero, aside, href, marks, flags}: SeriesCard): HTMLElement {
    const rows = loaded.series?.rows ?? [], newest = rows[rows.length - 1] ?? null;
    const heading = {class: hero ? 'hero' : 'stat', label: subject.title, aside};
    const trouble = troubleOf(context, loaded);
    if (trouble !== null)
        return card({...heading, class: heading.class + ' empty', info: infoButton(meaning(context, subject, loaded, null))}, trouble);
    const map = byPeriod(rows), before = rowBefore(context, loaded, newest.period!);
    const rest = `By ${loaded.interval}${loaded.coarser ? ', the shortest that is released' : ''} · newest: ${periodText(newest.period!, loaded.interval!)}`;
    const readout = h('p', {class: 'readout'}, rest);
    readout.setAttribute('aria-live', 'polite');
    const lines: Line[] = [{label: 'This range', points: loaded.periods.map(period => map.get(period) ?? null), colour: 0}];
    if (context.state.compare && loaded.before.size > 0)
        lines.push({label: 'Range before', points: loaded.periods.map(period => loaded.before.get(period)?.[0] ?? null), colour: 5, dashed: true, unbanded: !hero});
    const data = tableBehind(subject.title, () => seriesTable(context, subject.title, subject, loaded, rows));
    const more = loaded.series?.notice ? [h('p', {class: 'hint'}, loaded.series.notice)] : [];
    const headline = h('div', {class: 'headline'},
        h('p', {class: 'big'}, newest.value === null ? suppressedMark() : href
            ? h('a', {href, title: `${subject.title} in large`}, number(newest.value, subject.unit, subject.metric)) : number(newest.value, subject.unit, subject.metric)),
        h('div', {class: 'beside'}, h('p', {class: 'bounds'}, newest.value === null ? 'too few people to tell from noise' : intervalText(newest, subject.unit, subject.metric)),
            changeChip(newest, before, versusOf(context, loaded), subject.unit, subject.metric)));
    return card({...heading, info: infoButton(meaning(context, subject, loaded, newest, null, subject.title, more))}, headline,
        chart({label: `${subject.title} by ${loaded.interval}`, periods: loaded.periods, interval: loaded.interval!, unit: subject.unit, metric: subject.metric, lines,
            height: hero ? 300 : 84, spark: !hero, readout, rest, marks, flags}),
        readout,
        hero && lines.length > 1 && legend(lines),
        flags && notesList(flags),
        hero && sumOf(subject, rows), hero && suppressedHint(loaded, rows),
        h('footer', {class: 'card-foot'}, data, leafOf(newest)));
}

export function legend(lines: Line[]): HTMLElement {
    return h('ul', {class: 'legend'}, lines.map(line => h('li', {}, h('span', {class: `key s${line.colour}${line.dashed ? ' dashed' : ''}`, 'aria-hidden': 'true'}), line.label)),
        lines.some(line => line.before) && h('li', {class: 'hint'}, 'dashed: the range before'));
}

// Several lines of one metric: features, goals, classes.
export function linesCard(context: Context, label: string, subject: Subject, loaded: Loaded, keyed: {key: string; title: string; matches: (row: Row) => boolean}[],
    flags: Flag[] = []): HTMLElement {
    const trouble = troubleOf(context, loaded);
    if (trouble !== null)
        return card({label, class: 'empty', info: infoButton(meaning(context, subject, loaded, null, null, label))}, trouble);
    const rows = loaded.series!.rows, last = rows[rows.length - 1].period!;
    const rest = `By ${loaded.interval} · newest: ${periodText(last, loaded.interval!)}`;
    const readout = h('p', {class: 'readout', 'aria-live': 'polite'}, rest);
    const lines: Line[] = keyed.slice(0, 5).map((entry, i) => {
        const map = byPeriod(rows, entry.matches);
        const points = loaded.periods.map(period => map.get(period) ?? null), none = points.every(point => point?.value == null);
        return {label: entry.title + (none ? ' (suppressed)' : ''), colour: i, points,
            ...(loaded.before.size === 0 ? {} : {before: loaded.periods.map(period => rowBefore(context, loaded, period, entry.matches))})};
    });
    return card({label, info: infoButton(meaning(context, subject, loaded, null, null, label))},
        chart({label: `${label} by ${loaded.interval}`, periods: loaded.periods, interval: loaded.interval!, unit: subject.unit, metric: subject.metric, lines, height: 260,
            readout, rest, flags}),
        readout, legend(lines), notesList(flags),
        h('footer', {class: 'card-foot'}, tableBehind(label, () => table(label, [
            {label: 'Period', cell: (row: Row) => periodText(row.period!, loaded.interval!)},
            {label: 'Of', cell: row => keyed.find(entry => entry.matches(row))?.title ?? ''},
            {label: 'Value', number: true, cell: row => valueCell(row, subject.unit, subject.metric)},
            {label: 'Reliability', cell: row => row.reliability},
            ...beforeColumn<Row>(context, subject, row => rowBefore(context, loaded, row.period!, keyed.find(entry => entry.matches(row))!.matches)),
            {label: 'Audit leaf', cell: row => leafCode(row.audit_leaf)},
        ], rows.filter(row => keyed.some(entry => entry.matches(row))).reverse()))));
}

// Position of a value on a bar of so much, in per cent.
const share = (value: number, most: number) => `${Math.max(0, Math.min(100, most > 0 ? value / most * 100 : 0)).toFixed(2)}%`;

// A bar with the interval of its value as a lighter range at its end, and a tick where it was before.
export function bar(value: Bounded, most: number, before: Bounded | null = null): HTMLElement {
    const track = h('span', {class: 'bar', 'aria-hidden': 'true'});
    if (value.value === null)
        return h('span', {class: 'bar hatched', 'aria-hidden': 'true'});
    const low = Math.max(0, value.low ?? value.value), high = value.high ?? value.value;
    track.append(styled(h('span', {class: 'fill'}), {width: share(value.value, most)}));
    if (high > low)
        track.append(styled(h('span', {class: 'range'}), {left: share(low, most), width: share(high - low, most)}));
    if (before?.value != null)
        track.append(styled(h('span', {class: 'tick'}), {left: share(before.value, most)}));
    return track;
}

export const most = (values: (Bounded | null | undefined)[]) => Math.max(0, ...values.map(value => value?.high ?? value?.value ?? 0));

// What is not released at all, together: it would stand between numbers otherwise.
export function leftOut(entries: {title: string; why: string | null}[]): HTMLElement | null {
    return entries.length === 0 ? null : card({label: 'Not released', class: 'empty'}, h('ul', {class: 'left-out'}, entries.map(({title, why}) =>
        h('li', {}, h('span', {class: 'swatch hatched', 'aria-hidden': 'true'}), h('strong', {}, title), h('span', {class: 'hint'}, sentence(why ?? 'the app releases nothing of this'))))));
}

export function periodsOf(loaded: Loaded): string[] {
    return [...new Set(loaded.series?.rows.map(row => row.period!) ?? [])].reverse();
}

export function periodPicker(context: Context, loaded: Loaded): {period: string; picker: HTMLElement} {
    const periods = periodsOf(loaded), period = periods.includes(context.state.period) ? context.state.period : periods[0] ?? '';
    const options = periods.slice(0, 120).map((value, i): [string, string] => [value, periodText(value, loaded.interval!) + (i === 0 ? ' (newest)' : '')]);
    return {period, picker: select('Period', options, period, value => context.go({period: value === periods[0] ? '' : value}))};
}

export interface Entry {
    key: string;
    title: string;
    row: Row;
    before?: Row | null;
    beside?: Child;
    code?: boolean;
}

// Values of one period side by side, the largest first; those that are suppressed stand below, and look it.
export function rankedList(context: Context, label: string, subject: Subject, loaded: Loaded, entries: Entry[]): HTMLElement {
    const compared = context.state.compare, largest = most(entries.flatMap(entry => compared ? [entry.row, entry.before] : [entry.row])), top = subject.unit === 'ratio' ? Math.max(1, largest) : largest;
    const shown = entries.filter(entry => entry.row.value !== null).sort((a, b) => b.row.value! - a.row.value!);
    const hidden = entries.filter(entry => entry.row.value === null);
    const line = (entry: Entry) => {
        const button = h('button', {type: 'button', class: 'rank-value', 'aria-haspopup': 'dialog', 'aria-expanded': 'false',
            'aria-label': `${entry.title}: ${entry.row.value === null ? 'suppressed' : number(entry.row.value, subject.unit, subject.metric)}, what it means`},
        entry.row.value === null ? suppressedMark() : number(entry.row.value, subject.unit, subject.metric));
        button.addEventListener('click', () => openPopover(button, entry.title, explainRow(context, subject, loaded, entry)));
        return h('li', {class: entry.row.value === null ? 'hidden-value' : ''},
            h('span', {class: 'rank-name'}, entry.code ? h('code', {}, entry.title) : entry.title),
            button,
            bar(entry.row, top, compared ? entry.before : null),
            entry.row.value !== null && h('span', {class: 'rank-bounds'}, entry.row.reliability === 'exact' ? null : intervalText(entry.row, subject.unit, subject.metric),
                !compared && moved(context, loaded, entry.row, entry.before, subject.unit), entry.beside),
            entry.row.value !== null && compared && h('span', {class: 'rank-bounds'}, wasText(context, entry.before, subject.unit, subject.metric),
                moved(context, loaded, entry.row, entry.before, subject.unit)));
    };
    return h('ol', {class: 'ranks', 'aria-label': label}, shown.map(line), hidden.map(line));
}

function explainRow(context: Context, subject: Subject, loaded: Loaded, entry: Entry): Child[] {
    const {row} = entry;
    return [h('h3', {}, entry.title), h('p', {}, `${subject.title}, ${periodText(row.period ?? row.cohort!, loaded.interval!)}.`),
        h('dl', {class: 'facts'},
            h('dt', {}, 'Value'), h('dd', {}, row.value === null ? 'suppressed: too few people are behind it' : number(row.value, subject.unit, subject.metric)),
            h('dt', {}, '95 % interval'), h('dd', {}, intervalText(row, subject.unit, subject.metric)),
            h('dt', {}, 'Reliability'), h('dd', {}, row.reliability),
            h('dt', {}, 'Audit leaf'), h('dd', {}, h('code', {class: 'leaf'}, row.audit_leaf), entryOf(row)),
            context.state.compare && entry.before && [h('dt', {}, 'Range before'), h('dd', {}, `${periodText(entry.before.period!, loaded.interval!)}: `,
                entry.before.value === null ? 'suppressed' : `${number(entry.before.value, subject.unit, subject.metric)} (${intervalText(entry.before, subject.unit, subject.metric)})`),
            h('dt', {}, 'Its leaf'), h('dd', {}, h('code', {class: 'leaf'}, entry.before.audit_leaf), entryOf(entry.before))],
            h('dt', {}, 'Definition'), h('dd', {}, h('code', {}, `${(loaded.series?.definition ?? subject.definition).id} v${(loaded.series?.definition ?? subject.definition).version}`)),
            h('dt', {}, 'Time zone'), h('dd', {}, context.catalogue.time_zone))];
}

export function rankedTable(context: Context, label: string, subject: Subject, entries: Entry[]): HTMLElement {
    return tableBehind(label, () => table(label, [
        {label: titleOf('name'), cell: (entry: Entry) => entry.title},
        {label: 'Value', number: true, cell: entry => valueCell(entry.row, subject.unit, subject.metric)},
        {label: 'Reliability', cell: entry => entry.row.reliability},
        ...beforeColumn<Entry>(context, subject, entry => entry.before),
        {label: 'Audit leaf', cell: entry => leafCode(entry.row.audit_leaf)},
    ], entries));
}
