// Trend, anomalies and forecast, as the API computes them of released numbers.
import * as api from '../api';
import {legend} from '../cards';
import {chart, Line} from '../chart';
import {appPath, byPeriod, Context, load, metricOf} from '../context';
import {Child, h, styled} from '../dom';
import {number, period as periodText, signed} from '../format';
import {flagsOf, loadNotes, notesList} from '../notes';
import {card, csvOf, failed, infoButton, leafCode, named, nothing, noticeOf, table, tableBehind, valueCell} from '../parts';
import type {Bounded, Insight, Insights, Note, Row} from '../types';

const WEEKDAYS = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'];

// The season as it lies around its own mean, which belongs to the level.
function centred(insight: Insight): Insight {
    const {trend, season} = insight;
    if (trend === null || season === null)
        return insight;
    const mean = season.reduce((sum, value) => sum + value, 0) / season.length, level = trend.level + mean;
    return {...insight, season: season.map(value => value - mean), trend: {...trend, level, slope_percent: level > 0 ? trend.slope / level * 100 : null}};
}

function trendText(insight: Insight): Child {
    const {trend} = insight, unit = insight.interval;
    if (trend === null)
        return null;
    const flat = Math.abs(trend.slope_percent ?? 0) < .05;
    return h('p', {class: 'lead'}, 'The level is about ', h('strong', {}, number(trend.level, insight.unit)), flat ? ', and steady.'
        : [', and ', h('strong', {}, trend.slope > 0 ? 'rising' : 'falling'), ` by ${number(Math.abs(trend.slope), '')} a ${unit}`, trend.slope_percent === null ? '' : ` (${signed(trend.slope_percent / 100)})`, '.']);
}

function latestText(insight: Insight, alarm: number): Child {
    const {latest} = insight;
    if (latest === null)
        return null;
    if (latest.value === null)
        return h('p', {}, `The newest value, ${periodText(latest.period, insight.interval)}, is suppressed.`);
    const far = latest.score === null ? '' : `, ${Math.abs(latest.score).toFixed(1)} standard deviations ${latest.score < 0 ? 'below' : 'above'}`;
    return h('p', {class: latest.anomaly ? 'notice alarm' : ''}, `Newest: ${number(latest.value, insight.unit)} where ${number(latest.expected, insight.unit)} was expected${far}. `,
        latest.anomaly ? `That is an anomaly (${alarm} or more).` : 'Nothing unusual.');
}

const lift = (value: number) => Math.abs(value) < .5 ? '0' : `${value > 0 ? '+' : '−'}${number(Math.abs(value), 'users')}`;

function seasonBars(insight: Insight): Child {
    const {season} = insight;
    if (season === null)
        return null;
    const top = Math.max(1e-9, ...season.map(Math.abs));
    return h('figure', {class: 'season'}, h('figcaption', {}, 'How each weekday lies from the level'),
        h('ul', {}, season.map((value, i) => h('li', {}, h('span', {class: 'hint'}, WEEKDAYS[i]),
            h('span', {class: 'lift', 'aria-hidden': 'true'}, styled(h('span', {class: value < 0 ? 'below' : 'above'}), {height: `${Math.abs(value) / top * 50}%`})),
            h('span', {}, lift(value))))));
}

async function insightCard(context: Context, all: Insights, insight: Insight, notes: Note[]): Promise<HTMLElement> {
    const title = named(insight.metric), metric = metricOf(context, insight.metric);
    const loaded = metric ? await load(context, {label: title, path: `metrics/${insight.metric}`, intervals: metric.intervals, wanted: insight.interval, compare: false}) : null;
    const info = infoButton({title, definition: insight.definition, unit: insight.unit, zone: context.catalogue.time_zone, protection: insight.protection,
        more: [h('p', {class: 'hint'}, all.method)]});
    if (insight.explanation !== null && insight.trend === null)
        return card({label: title, info, class: 'empty'}, noticeOf(insight.explanation));
    const rows = loaded?.series?.rows ?? [], map = byPeriod(rows), last = rows.length ? rows[rows.length - 1].period! : '';
    const ahead = insight.forecast.filter(step => step.period > last), periods = [...loaded?.periods ?? [], ...ahead.map(step => step.period)];
    const forecast = new Map<string, Bounded>(ahead.map(step => [step.period, {...step, reliability: 'medium'}]));
    const newest = map.get(last);
    if (newest?.value != null) // where the forecast sets out from
        forecast.set(last, {value: newest.value, low: newest.value, high: newest.value, reliability: 'exact'});
    const lines: Line[] = [{label: 'Released', colour: 0, points: periods.map(period => map.get(period) ?? null)},
        {label: 'Forecast, with its 95 % interval', colour: 1, dashed: true, points: periods.map(period => forecast.get(period) ?? null)}];
    const rest = insight.anomalies.length ? 'Rings: anomalies, with what was expected in the table.' : 'No anomaly among the newest values.';
    const readout = h('p', {class: 'readout', 'aria-live': 'polite'}, rest);
    return card({label: title, info, aside: h('span', {class: 'hint'}, `by ${insight.interval}`)}, trendText(insight), latestText(insight, all.alarm_score),
        periods.length > 0 && chart({label: `${title}, with forecast`, periods, interval: insight.interval, unit: insight.unit, metric: insight.metric, lines, height: 240, readout, rest,
            marks: new Set(insight.anomalies.map(step => step.period)), flags: loaded ? flagsOf(context, loaded, notes) : []}),
        readout, legend(lines), seasonBars(insight),
        h('footer', {class: 'card-foot'}, tableBehind(title, () => h('div', {},
            insight.anomalies.length > 0 && table(`Anomalies of ${title}`, [
                {label: 'Anomaly', cell: step => periodText(step.period, insight.interval)},
                {label: 'Value', number: true, cell: step => step.value === null ? '' : number(step.value, insight.unit)},
                {label: 'Expected', number: true, cell: step => number(step.expected, insight.unit)},
                {label: 'Score', number: true, cell: step => step.score?.toFixed(1)}], insight.anomalies),
            table(`Forecast of ${title}`, [
                {label: 'Forecast for', cell: step => periodText(step.period, insight.interval)},
                {label: 'Value', number: true, cell: step => number(step.value, insight.unit)},
                {label: 'From', number: true, cell: step => number(step.low, insight.unit)},
                {label: 'To', number: true, cell: step => number(step.high, insight.unit)}], insight.forecast),
            table(`Released values of ${title}`, [
                {label: 'Released', cell: (row: Row) => periodText(row.period!, insight.interval)},
                {label: 'Value', number: true, cell: row => valueCell(row, insight.unit)},
                {label: 'Audit leaf', cell: row => leafCode(row.audit_leaf)}], [...rows].reverse())))));
}

export async function insights(context: Context): Promise<Node> {
    let all: Insights, notes: Note[];
    try {
        [all, notes] = await Promise.all([api.get<Insights>(appPath(context, 'insights')), loadNotes(context)]);
    } catch (error) {
        return failed(error, context.again);
    }
    if (all.insights.length === 0)
        return nothing('No insights', 'The app releases none of the numbers that they are made of.');
    const cards = await Promise.all(all.insights.map(insight => insightCard(context, all, centred(insight), notes)));
    context.downloads.push({label: 'Forecasts', name: `${context.catalogue.app}-forecast.csv`, text: () => csvOf(['metric', 'period', 'value', 'low', 'high'],
        all.insights.flatMap(insight => insight.forecast.map(step => [insight.metric, step.period, step.value, step.low, step.high])))});
    context.downloads.push({label: 'Anomalies', name: `${context.catalogue.app}-anomalies.csv`, text: () => csvOf(['metric', 'period', 'value', 'expected', 'score'],
        all.insights.flatMap(insight => insight.anomalies.map(step => [insight.metric, step.period, step.value, step.expected, step.score])))});
    const flags = notes.filter(note => note.day >= context.range.from && note.day <= context.range.to).map(note => ({...note, index: -1}));
    return h('div', {class: 'stack'}, cards, flags.length > 0 && h('div', {class: 'card'}, notesList(flags)), h('p', {class: 'hint method'}, all.method));
}
