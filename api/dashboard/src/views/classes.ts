// Active users by dimension: pages and sources, and any dimension that the app declares.
import {Entry, leftOut, linesCard, periodLine, periodPicker, periodsOf, rankedList, rankedTable, rowBefore, Subject, suppressedHint, troubleOf} from '../cards';
import {Context, load, Loaded, metricOf} from '../context';
import {h} from '../dom';
import {flagsOf, loadNotes} from '../notes';
import {card, infoButton, named, nothing, select} from '../parts';
import type {Funding, Item, Metric, Row} from '../types';

interface Dimension {
    item: Item;
    metric: Metric;
    intervals: Funding[];
    subject: Subject;
}

function dimensionsOf(context: Context): Dimension[] {
    const found: Dimension[] = [];
    for (const name of ['dimension_users', 'session_dimension_users']) {
        const metric = metricOf(context, name);
        for (const item of metric?.items ?? []) {
            const intervals = item.funded ? metric!.intervals : metric!.intervals.map(entry => ({...entry, funded: false,
                why: entry.why ?? 'the preset\'s privacy budget has no share for this dimension'}));
            found.push({item, metric: metric!, intervals, subject: {title: named(item.name, item.title), metric: name, definition: metric!.definition, unit: 'users'}});
        }
    }
    return found;
}

// Weeks, or months where the range is long: shorter periods of classes are rarely released, and mostly suppressed.
const loadDimension = (context: Context, dimension: Dimension): Promise<Loaded> => load(context, {label: `Active users by ${dimension.item.name}`,
    path: 'metrics/active_users', query: {by: dimension.item.name}, intervals: dimension.intervals,
    wanted: context.state.interval !== 'auto' ? context.state.interval : context.range.days > 190 ? 'month' : 'week'});

function entriesAt(context: Context, loaded: Loaded, period: string): Entry[] {
    return (loaded.series?.rows ?? []).filter(row => row.period === period).map(row =>
        ({key: row.class!, title: row.class!, row, before: rowBefore(context, loaded, period, entry => entry.class === row.class), code: row.class!.startsWith('/')}));
}

function rankedCard(context: Context, dimension: Dimension, loaded: Loaded, chosen: string): HTMLElement {
    const trouble = troubleOf(context, loaded), subject = dimension.subject;
    const info = infoButton({title: `Active users by ${subject.title.toLowerCase()}`, definition: subject.definition, unit: 'users', zone: context.catalogue.time_zone,
        protection: loaded.series?.protection});
    if (trouble !== null)
        return card({label: subject.title, class: 'empty', info}, trouble);
    const periods = periodsOf(loaded), period = periods.includes(chosen) ? chosen : periods[0], entries = entriesAt(context, loaded, period);
    return card({label: subject.title, info, aside: h('span', {class: 'hint'}, periodLine(context, loaded, period))},
        rankedList(context, subject.title, {...subject, title: 'Active users'}, loaded, entries),
        suppressedHint(loaded, entries.map(entry => entry.row)),
        h('footer', {class: 'card-foot'}, rankedTable(context, `Active users by ${dimension.item.name} in one period`, subject, entries)));
}

const isPage = (dimension: Dimension) => /page|screen|path|route|view/.test(dimension.item.name) || (dimension.item.classes ?? []).some(name => name.startsWith('/'));
const isSource = (dimension: Dimension) => /source|referr|campaign|medium|channel|utm/.test(dimension.item.name);

function pathsCard(context: Context, metric: Metric, loaded: Loaded, chosen: string): HTMLElement {
    const subject: Subject = {title: 'Steps from page to page', metric: 'paths', definition: metric.definition, unit: 'pairs'};
    const info = infoButton({...subject, zone: context.catalogue.time_zone, protection: loaded.series?.protection}), trouble = troubleOf(context, loaded);
    if (trouble !== null)
        return card({label: subject.title, class: 'empty', info}, trouble);
    const periods = periodsOf(loaded), period = periods.includes(chosen) ? chosen : periods[0];
    const entries = loaded.series!.rows.filter(row => row.period === period)
        .map((row): Entry => ({key: `${row.from} ${row.to}`, title: `${row.from} → ${row.to}`, row, code: true,
            before: rowBefore(context, loaded, period, entry => entry.from === row.from && entry.to === row.to)}))
        .sort((a, b) => (b.row.value ?? -1) - (a.row.value ?? -1));
    const top = entries.slice(0, 8);
    return card({label: subject.title, info, aside: h('span', {class: 'hint'}, periodLine(context, loaded, period))},
        rankedList(context, subject.title, subject, loaded, top),
        h('footer', {class: 'card-foot'}, rankedTable(context, subject.title, subject, entries)));
}

export async function pages(context: Context): Promise<Node> {
    const dimensions = dimensionsOf(context), shown = [...dimensions.filter(isPage), ...dimensions.filter(entry => !isPage(entry) && isSource(entry))];
    const paths = metricOf(context, 'paths');
    if (shown.length === 0)
        return nothing('No pages and no sources', 'The app declares no dimension over its routes or over where visits come from. ',
            h('code', {}, 'dimensions'), ' in its definition does; it counts from its declaration on.');
    const [all, steps] = await Promise.all([Promise.all(shown.map(dimension => loadDimension(context, dimension))),
        paths ? load(context, {label: 'Steps from page to page', path: 'metrics/paths', intervals: paths.intervals, wanted: 'week'}) : null]);
    const first = all.find(loaded => loaded.series?.rows.length) ?? all[0];
    const {period, picker} = periodPicker(context, first);
    return h('div', {class: 'stack'}, h('div', {class: 'bar-row'}, picker, h('p', {class: 'hint'}, 'Who has several in a period counts in the first declared one.')),
        h('div', {class: 'grid two'}, shown.map((dimension, i) => all[i].why === null && rankedCard(context, dimension, all[i], period)),
            paths && steps && steps.why === null && pathsCard(context, paths, steps, period)),
        leftOut([...shown.map((dimension, i) => ({title: dimension.subject.title, why: all[i].why})), ...steps ? [{title: 'Steps from page to page', why: steps.why}] : []].filter(entry => entry.why !== null)));
}

// The classes that were largest lately: those have lines.
function leading(loaded: Loaded): string[] {
    const sums = new Map<string, number>();
    for (const row of loaded.series?.rows ?? [])
        sums.set(row.class!, (sums.get(row.class!) ?? 0) + (row.value ?? 0));
    return [...sums].filter(([, sum]) => sum > 0).sort((a, b) => b[1] - a[1]).map(([name]) => name);
}

function itemsCard(context: Context, metric: Metric, loaded: Loaded, label: string): HTMLElement {
    const subject: Subject = {title: label, metric: metric.metric, definition: metric.definition, unit: metric.unit};
    const info = infoButton({...subject, zone: context.catalogue.time_zone, protection: loaded.series?.protection}), trouble = troubleOf(context, loaded);
    if (trouble !== null)
        return card({label, class: 'empty', info}, trouble);
    const period = periodsOf(loaded)[0];
    const titles = new Map(metric.items.map(item => [item.name, named(item.name, item.title)]));
    const entries = loaded.series!.rows.filter(row => row.period === period).map((row: Row): Entry =>
        ({key: row.item!, title: titles.get(row.item!) ?? row.item!, row, before: rowBefore(context, loaded, period, entry => entry.item === row.item)}));
    return card({label, info, aside: h('span', {class: 'hint'}, periodLine(context, loaded, period))}, rankedList(context, label, subject, loaded, entries),
        h('footer', {class: 'card-foot'}, rankedTable(context, label, subject, entries)));
}

export async function breakdowns(context: Context): Promise<Node> {
    const dimensions = dimensionsOf(context);
    if (dimensions.length === 0)
        return nothing('No dimensions', 'The app declares none. ', h('code', {}, 'dimensions'), ' in its definition breaks active users down by a property; it counts from its declaration on.');
    const chosen = dimensions.find(dimension => dimension.item.name === context.state.metric) ?? dimensions.find(dimension => dimension.item.funded) ?? dimensions[0];
    const segments = metricOf(context, 'segment_users'), entities = metricOf(context, 'entity_count');
    const [notes, loaded, segment, entity] = await Promise.all([loadNotes(context), loadDimension(context, chosen),
        segments ? load(context, {label: 'Segments', path: 'metrics/segment_users', intervals: segments.intervals}) : null,
        entities ? load(context, {label: 'Entities', path: 'metrics/entity_count', intervals: entities.intervals}) : null]);
    const {period, picker} = periodPicker(context, loaded);
    const dimension = select('Dimension', dimensions.map(entry => [entry.item.name, entry.subject.title + (entry.item.funded ? '' : ' (not released)')]), chosen.item.name,
        metric => context.go({metric, period: ''}));
    const keyed = leading(loaded).map(name => ({key: name, title: name, matches: (row: Row) => row.class === name}));
    return h('div', {class: 'stack'}, h('div', {class: 'bar-row'}, dimension, loaded.series?.rows.length ? picker : null),
        keyed.length > 0 && linesCard(context, `Active users by ${chosen.subject.title.toLowerCase()}`, {...chosen.subject, title: 'Active users'}, loaded, keyed, flagsOf(context, loaded, notes)),
        rankedCard(context, chosen, loaded, period),
        h('div', {class: 'grid two'}, segments && segment && segment.why === null && itemsCard(context, segments, segment, 'Segments'),
            entities && entity && entity.why === null && itemsCard(context, entities, entity, 'Entities')),
        leftOut([{title: 'Segments', why: segment?.why ?? null}, {title: 'Entities', why: entity?.why ?? null}].filter(entry => entry.why !== null)));
}
