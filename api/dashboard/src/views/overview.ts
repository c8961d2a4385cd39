// The main numbers: one in large, the others as cards. A card's number leads to it in large.
import {seriesCard, Subject} from '../cards';
import {Context, loadMetric, metricOf} from '../context';
import {h} from '../dom';
import {flagsOf, loadNotes} from '../notes';
import {nothing, named, select, unfunded, card, infoButton} from '../parts';
import {writeState} from '../state';
import type {Metric} from '../types';

const CARDS = ['active_users', 'new_users', 'returning_users', 'page_views', 'sessions', 'engaged_time', 'bounce_rate', 'stickiness', 'growth_rate'];
const APART = ['retention', 'retention_on_or_after', 'session_durations'];

export const subjectOf = (metric: Metric): Subject =>
    ({title: named(metric.metric, metric.title), metric: metric.metric, definition: metric.definition, unit: metric.unit});

// Those that are one number a period, what the app releases first.
function choices(metrics: Metric[]): [string, string][] {
    const single = metrics.filter(metric => metric.items.length === 0 && !APART.includes(metric.metric));
    const funded = (metric: Metric) => metric.intervals.some(entry => entry.funded && !entry.interval.startsWith('rolling'));
    return [...single.filter(funded), ...single.filter(metric => !funded(metric))]
        .map(metric => [metric.metric, named(metric.metric, metric.title) + (funded(metric) ? '' : ' (not released)')]);
}

export async function overview(context: Context): Promise<Node> {
    const {metrics} = context.catalogue;
    const hero = metricOf(context, context.state.metric) ?? metricOf(context, 'active_users');
    const cards = CARDS.map(name => metricOf(context, name)).filter((metric): metric is Metric => metric !== undefined && metric !== hero);
    if (hero === undefined)
        return nothing('This app has no numbers');
    const chosen = select('Number', choices(metrics), hero.metric, metric => context.go({metric: metric === 'active_users' ? '' : metric}));
    const [notes, [main, ...rest]] = await Promise.all([loadNotes(context), Promise.all([hero, ...cards].map(metric => loadMetric(context, metric, subjectOf(metric).title)))]);
    return h('div', {class: 'stack'},
        main.interval === null && main.error === null ? card({class: 'hero empty', label: subjectOf(hero).title, aside: chosen,
            info: infoButton({...subjectOf(hero), zone: context.catalogue.time_zone})}, unfunded(main.why))
            : seriesCard({context, subject: subjectOf(hero), loaded: main, hero: true, aside: chosen, flags: flagsOf(context, main, notes)}),
        h('div', {class: 'grid'}, cards.map((metric, i) => ({metric, loaded: rest[i]})).sort((a, b) => Number(a.loaded.why !== null) - Number(b.loaded.why !== null)).map(({metric, loaded}) => seriesCard({context, subject: subjectOf(metric), loaded,
            href: writeState({...context.state, metric: metric.metric === 'active_users' ? '' : metric.metric})}))));
}
