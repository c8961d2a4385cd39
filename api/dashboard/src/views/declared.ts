// What the app declares by name: features and goals, each with its share over time and in a period.
import {Entry, linesCard, periodLine, periodPicker, rankedList, rankedTable, rowBefore, seriesCard, Subject, suppressedHint, troubleOf} from '../cards';
import {Context, load, Loaded, metricOf} from '../context';
import {Child, h} from '../dom';
import {flagsOf, loadNotes} from '../notes';
import {card, infoButton, named, nothing, valueCell} from '../parts';
import type {Item, Metric, Row} from '../types';
import {subjectOf} from './overview';

const loadAll = (context: Context, metric: Metric): Promise<Loaded> => load(context, {label: named(metric.metric), path: `metrics/${metric.metric}`, intervals: metric.intervals});

// How many there were, beside each share.
function besides(counts: Loaded, period: string, item: string, unit: string): Child {
    const row = counts.series?.rows.find(entry => entry.period === period && entry.item === item);
    return row?.value != null && [' · ', h('span', {class: 'beside-count'}, valueCell({...row, reliability: 'exact'}, unit), ` ${unit}`)];
}

async function declared(context: Context, rate: string, count: string, label: string, word: string): Promise<HTMLElement> {
    const rates = metricOf(context, rate), counts = metricOf(context, count);
    if (rates === undefined || counts === undefined || rates.items.length === 0)
        return nothing(`No ${word}s`, 'The app declares none. ', h('code', {}, `${word}s`), ' in its definition does; they count from their declaration on.');
    const [notes, shares, numbers] = await Promise.all([loadNotes(context), loadAll(context, rates), loadAll(context, counts)]);
    const subject: Subject = {...subjectOf(rates), title: label};
    const titles = (items: Item[]) => items.map(item => ({key: item.name, title: named(item.name, item.title), matches: (row: Row) => row.item === item.name}));
    const keyed = titles(rates.items.filter(item => item.funded)), trouble = troubleOf(context, shares);
    const unfundedItems = rates.items.filter(item => !item.funded);
    const info = infoButton({...subject, zone: context.catalogue.time_zone, protection: shares.series?.protection});
    if (trouble !== null)
        return card({label, class: 'empty', info}, trouble);
    const {period, picker} = periodPicker(context, shares);
    const entries = keyed.map(({key, title, matches}): Entry | null => {
        const row = shares.series!.rows.find(entry => entry.period === period && matches(entry));
        return row ? {key, title, row, before: rowBefore(context, shares, period, matches), beside: besides(numbers, period, key, counts.unit)} : null;
    }).filter((entry): entry is Entry => entry !== null);
    return h('div', {class: 'stack'},
        linesCard(context, label, subject, shares, keyed, flagsOf(context, shares, notes)),
        card({label: `${label} in one period`, info, aside: picker}, h('p', {class: 'hint'}, periodLine(context, shares, period)),
            rankedList(context, label, subject, shares, entries), suppressedHint(shares, entries.map(entry => entry.row)),
            unfundedItems.length > 0 && h('p', {class: 'notice'}, `Not released, for the privacy budget has no share for them: ${unfundedItems.map(item => named(item.name, item.title)).join(', ')}.`),
            h('footer', {class: 'card-foot'}, rankedTable(context, `${label} in one period`, subject, entries))));
}

export const features = (context: Context): Promise<Node> => declared(context, 'feature_adoption', 'feature_users', 'Feature adoption', 'feature');

export async function goals(context: Context): Promise<Node> {
    const completion = metricOf(context, 'completion_rate');
    const [main, rate] = await Promise.all([declared(context, 'goal_rate', 'goal_sessions', 'Goal rate', 'goal'), completion ? loadAll(context, completion) : null]);
    return h('div', {class: 'stack'}, main, completion && rate && seriesCard({context, subject: subjectOf(completion), loaded: rate, hero: rate.interval !== null}));
}
