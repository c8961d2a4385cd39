// Outcomes by engagement tier: means with their intervals, the difference to the first tier with the joint one, and how values spread.
import {linesCard, most, moved, periodLine, periodPicker, rowBefore, Subject, suppressedHint, troubleOf, wasText} from '../cards';
import {Context, load, Loaded} from '../context';
import {Child, h, styled} from '../dom';
import {interval as intervalText, number, plain} from '../format';
import {flagsOf, loadNotes} from '../notes';
import {card, infoButton, leafCode, leafOf, named, nothing, notice, noticeOf, select, suppressedMark, table, tableBehind, valueCell} from '../parts';
import type {Bounded, Outcome, Row} from '../types';

const at = (value: number, low: number, high: number) => `${high > low ? Math.max(0, Math.min(100, (value - low) / (high - low) * 100)).toFixed(2) : 50}%`;

// A dot with its interval on a scale that all tiers share, and a ring where it was before.
function dot(value: Bounded, before: Bounded | null, low: number, high: number, colour: number): HTMLElement {
    if (value.value === null)
        return h('span', {class: 'dots hatched', 'aria-hidden': 'true'});
    const from = value.low ?? value.value, to = value.high ?? value.value;
    return h('span', {class: `dots s${colour}`, 'aria-hidden': 'true'},
        styled(h('span', {class: 'whisker'}), {left: at(from, low, high), width: `calc(${at(to, low, high)} - ${at(from, low, high)})`}),
        before?.value != null && styled(h('span', {class: 'ring'}), {left: at(before.value, low, high)}),
        styled(h('span', {class: 'dot'}), {left: at(value.value, low, high)}));
}

function difference(row: Row, unit: string, first: boolean): Child {
    if (first)
        return h('span', {class: 'hint'}, 'others are compared with this tier');
    const value = row.difference;
    if (!value)
        return null;
    if (value.value === null)
        return ['difference ', suppressedMark()];
    const open = value.low === null || value.high === null || (value.low <= 0 && value.high >= 0);
    return [h('strong', {}, `${value.value > 0 ? '+' : ''}${number(value.value, unit)}`), ' ', h('small', {class: 'bounds'}, intervalText(value, unit)),
        value.reliability !== 'exact' && open && h('span', {class: 'hint'}, ' — may as well be none')];
}

function spread(row: Row): Child {
    const bins = row.distribution ?? [], top = Math.max(1, ...bins.map(bin => bin.users ?? 0));
    if (bins.length === 0)
        return null;
    const label = bins.map(bin => `${plain(bin.from)} to ${plain(bin.to)}: ${bin.users ?? 'suppressed'}`).join('; ');
    return h('span', {class: 'spread', role: 'img', 'aria-label': `How values spread: ${label}`, title: label}, bins.map(bin =>
        styled(h('span', {class: bin.users === null ? 'hatched' : ''}), {height: bin.users === null ? '100%' : `${Math.max(3, bin.users / top * 100)}%`})));
}

function tiersOf(context: Context, loaded: Loaded, outcome: Outcome, rows: Row[]): HTMLElement {
    const beside = rows.map(row => context.state.compare ? rowBefore(context, loaded, row.period!, entry => entry.tier === row.tier) : null);
    const values = [...rows, ...beside].filter((row): row is Row => row !== null && row.value !== null), low = Math.min(...values.map(row => row.low ?? row.value!)), high = most(values);
    const margin = (high - low) * .08 || .5, names = new Map(outcome.tiers.map(tier => [tier.name, tier]));
    return h('ol', {class: 'tiers'}, rows.map((row, i) => {
        const tier = names.get(row.tier!), all = row.tier === 'all';
        return h('li', {class: all ? 'all' : ''},
            h('div', {class: 'tier-name'}, h('strong', {}, all ? 'All users' : named(row.tier!, tier?.title)), h('span', {class: 'hint'}, all ? 'together' : `from ${tier?.sessions_from ?? 0} sessions a week`),
                row.users && h('span', {class: 'hint'}, row.users.value === null ? 'too few users' : `${number(row.users.value, 'users')} users`)),
            dot(row, beside[i], low - margin, high + margin, all ? 5 : i - 1),
            h('div', {class: 'tier-value'}, row.value === null ? suppressedMark() : [h('strong', {}, number(row.value, outcome.unit)), h('small', {class: 'bounds'}, intervalText(row, outcome.unit)),
                context.state.compare && h('small', {class: 'bounds'}, wasText(context, beside[i], outcome.unit), moved(context, loaded, row, beside[i], outcome.unit))]),
            h('div', {class: 'tier-difference'}, all ? null : difference(row, outcome.unit, row.tier === outcome.tiers[0]?.name)),
            spread(row));
    }));
}

export async function outcomes(context: Context): Promise<Node> {
    const all = context.catalogue.outcomes, outcome = all.find(entry => entry.outcome === context.state.metric) ?? all[0];
    if (outcome === undefined)
        return nothing('No outcomes', 'The app declares none. ', h('code', {}, 'outcomes'), ' in its definition compares a measure between those who come more and less often.');
    const title = named(outcome.outcome, outcome.title);
    const [notes, loaded] = await Promise.all([loadNotes(context), load(context, {label: title, path: `outcomes/${outcome.outcome}`, intervals: outcome.intervals, wanted: 'month'})]);
    const subject: Subject = {title, metric: 'outcome', definition: outcome.definition, unit: outcome.unit};
    const chosen = all.length > 1 ? select('Outcome', all.map(entry => [entry.outcome, named(entry.outcome, entry.title)]), outcome.outcome, metric => context.go({metric, period: ''})) : null;
    const {period, picker} = periodPicker(context, loaded), rows = (loaded.series?.rows ?? []).filter(row => row.period === period), trouble = troubleOf(context, loaded);
    const info = infoButton({...subject, zone: context.catalogue.time_zone, protection: loaded.series?.protection, row: rows[0]});
    if (trouble !== null)
        return h('div', {class: 'stack'}, h('div', {class: 'bar-row'}, chosen), card({label: title, class: 'empty', info}, trouble));
    const keyed = outcome.tiers.map(tier => ({key: tier.name, title: named(tier.name, tier.title), matches: (row: Row) => row.tier === tier.name}));
    return h('div', {class: 'stack'}, h('div', {class: 'bar-row'}, chosen, picker), notice(loaded.series?.correlation, 'strong'),
        card({label: title, info}, h('p', {class: 'hint'}, `Mean over users of each one's ${outcome.aggregate} of ${outcome.measure} in the month${outcome.unit ? `, in ${outcome.unit}` : ''}: ${periodLine(context, loaded, period)}.`),
            tiersOf(context, loaded, outcome, rows), suppressedHint(loaded, rows), !/not shown/.test(loaded.series!.notice ?? '') && noticeOf(loaded.series!.notice),
            h('footer', {class: 'card-foot'}, tableBehind(title, () => table(title, [
                {label: 'Tier', cell: (row: Row) => row.tier},
                {label: 'Mean', number: true, cell: row => valueCell(row, outcome.unit)},
                ...context.state.compare ? [{label: 'Range before', number: true, cell: (row: Row) => valueCell(rowBefore(context, loaded, period, entry => entry.tier === row.tier), outcome.unit)}] : [],
                {label: 'Users', number: true, cell: row => valueCell(row.users, 'users')},
                {label: 'Difference to the first tier', number: true, cell: row => valueCell(row.difference, outcome.unit)},
                {label: 'Audit leaf', cell: row => leafCode(row.audit_leaf)},
            ], rows)), rows[0] && leafOf(rows[0]))),
        keyed.length > 1 && linesCard(context, `${title} by tier over time`, subject, loaded, keyed, flagsOf(context, loaded, notes)));
}
