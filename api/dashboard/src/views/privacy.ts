// What releases may tell of a user, what was spent on it, what is suppressed and why, and what an auditor can check.
import * as api from '../api';
import {appPath, Context} from '../context';
import {Child, h, styled} from '../dom';
import {ago, moment, number, period as periodText, plain, title as titleOf} from '../format';
import {greatest, parseMetrics, Sample, sum} from '../ops';
import {card, csvOf, definitionOf, failed, intervalName, sentence, table, tableBehind} from '../parts';
import type {Budget, BudgetMonth, Check, Guarantees, Health} from '../types';

const attempt = async <T>(promise: Promise<T>): Promise<T | api.Problem> => promise.catch((error: unknown) => error instanceof api.Problem ? error : new api.Problem(0, 'unknown', String(error)));
const is = (value: unknown): value is api.Problem => value instanceof api.Problem;

const rounded = (value: number) => value < 100 ? value.toFixed(1) : plain(Math.round(value));

// What an epsilon bounds, without the word.
function odds(epsilon: number): string {
    const factor = Math.exp(epsilon);
    return factor < 1e6 ? `Whatever is published is at most ${plain(Number(factor.toPrecision(2)))} times likelier with this user's data than without it`
        : 'The bound is too weak to say anything in numbers by itself';
}

function guarantees(given: Guarantees): HTMLElement {
    const rows: [string, string, number][] = [['One day', 'all events of one user id in one day', given.user_day.epsilon],
        ['One month', 'all events of one user id in one calendar month', given.user_month.epsilon], ['13 months', 'the same over 13 months', given.user_13_months.epsilon]];
    return h('ul', {class: 'promises'}, rows.map(([name, what, epsilon]) => h('li', {}, h('p', {class: 'big'}, 'ε ', rounded(epsilon)), h('p', {}, h('strong', {}, name)),
        h('p', {class: 'hint'}, what), h('p', {class: 'hint'}, `${odds(epsilon)}, but for a chance of one in a billion.`))));
}

function meter(month: BudgetMonth): Child {
    if (month.used_ratio === null)
        return h('span', {class: 'hint'}, 'unprotected: no bound');
    const used = `${(month.used_ratio * 100).toFixed(1)} %`;
    return h('span', {class: 'meter', role: 'img', 'aria-label': `${used} of the month's budget is reserved`}, styled(h('span', {class: month.used_ratio > 1 ? 'over' : ''}), {width: `${Math.min(100, month.used_ratio * 100)}%`}));
}

function months(budget: Budget): HTMLElement {
    return table('Budget by month', [
        {label: 'Month', cell: (month: BudgetMonth) => periodText(month.month, 'month')},
        {label: 'Reserved', cell: month => meter(month)},
        {label: 'Of the budget', number: true, cell: month => month.used_ratio === null ? '–' : `${(month.used_ratio * 100).toFixed(1)} %`},
        {label: 'ε a user-month', number: true, cell: month => month.guarantees ? rounded(month.guarantees.user_month.epsilon) : 'no bound'},
        {label: 'ε with all apps', number: true, cell: month => month.population.epsilon === null ? `no bound (${month.population.apps} apps)` : `${rounded(month.population.epsilon)} (${month.population.apps})`},
        {label: 'Releases', number: true, cell: month => plain(month.families.reduce((total, family) => total + family.releases, 0))},
        {label: 'Refused', number: true, cell: month => month.refused.length ? h('strong', {}, String(month.refused.length)) : '0'},
    ], budget.months);
}

function plan(budget: Budget): Child {
    if (budget.plan === null)
        return null;
    const funded = budget.plan.families.filter(family => family.funded), not = budget.plan.families.filter(family => !family.funded);
    return card({label: 'What the budget is spent on, and what is suppressed'},
        h('p', {class: 'hint'}, `${sentence(definitionOf('suppressed')?.text ?? '')} Values under the threshold are suppressed: the noise would be as large as they are.`),
        table('What the budget is spent on', [
            {label: 'Numbers', cell: (family: typeof funded[0]) => sentence(family.text)},
            {label: 'Share', number: true, cell: family => `${(family.share * 100).toFixed(0)} %`},
            {label: '95 % interval', cell: family => (counted(family.numbers) as typeof family.numbers).map(entry => h('div', {}, `${titleOf(entry.metric)}: ±${plain(entry.half_width)}`))},
            {label: 'Shown from', cell: family => counted(family.numbers).map(entry => h('div', {}, plain(entry.shown_from!)))},
            {label: 'Released by', cell: family => [...new Set(family.numbers.flatMap(entry => entry.intervals))].map(intervalName).join(', ')},
        ], funded),
        not.length > 0 && h('p', {class: 'notice'}, h('strong', {}, 'Not released: '), not.map(family => titleOf(family.family).toLowerCase()).join(', '), '. ', sentence(not[0].why ?? '')));
}

function refusals(budget: Budget): Child {
    const all = budget.months.flatMap(month => month.refused);
    return all.length === 0 ? null : card({label: 'Refused periods'}, h('p', {class: 'hint'}, 'They were due, and are never released.'), table('Refused periods', [
        {label: 'Period', cell: (refusal: typeof all[0]) => periodText(refusal.period, refusal.interval)},
        {label: 'Numbers', cell: refusal => [titleOf(refusal.family), refusal.item && ` (${refusal.item})`]},
        {label: 'Why', cell: refusal => sentence(refusal.reason)}], all.slice(0, 200)));
}

const fact = (name: string, ...value: Child[]) => h('div', {class: 'fact'}, h('h3', {}, name), value);
const unread = (problem: api.Problem, scope: string): Child => h('p', {class: 'hint'}, problem.status === 403 || problem.status === 401 ? `This key may not read it: that takes the scope ${scope}.`
    : problem.status === 404 ? 'This installation does not tell it here.' : sentence(problem.message));

function checkText(check: Check | undefined, health: Health): Child {
    return check ? [h('p', {}, h('span', {class: `status ${check.status}`}, check.status), ' ', check.message), h('p', {class: 'hint'}, `asked at ${health.timestamp.slice(11, 19)} UTC`)] : h('p', {class: 'hint'}, 'This installation does not tell it here.');
}

function keysFact(context: Context, health: Health | api.Problem, samples: Sample[] | api.Problem): Child {
    const end = is(samples) ? null : greatest(samples, 'throng_key_epoch_end_timestamp_seconds');
    return fact('Keys', is(health) ? unread(health, 'ops') : checkText(health.checks.keys, health),
        end !== null && end > 0 && h('p', {class: 'hint'}, `The present epoch ends ${moment(new Date(end * 1000).toISOString(), context.catalogue.time_zone)}; its key is overwritten then.`),
        h('p', {class: 'hint'}, `Users are linked for at most ${context.catalogue.linkable_days} days of absence.`));
}

function selfTestFact(health: Health | api.Problem, samples: Sample[] | api.Problem): Child {
    const good = is(samples) ? null : sum(samples, 'throng_selftest_ok');
    return fact('Self-test of the anonymization', is(health) ? unread(health, 'ops') : health.checks.self_test ? checkText(health.checks.self_test, health)
        : good !== null ? h('p', {}, h('span', {class: `status ${good > 0 ? 'pass' : 'fail'}`}, good > 0 ? 'pass' : 'fail')) : h('p', {class: 'hint'}, 'This installation does not tell it here.'));
}

function checkpointFact(context: Context, checkpoint: string | api.Problem, samples: Sample[] | api.Problem): Child {
    const at = is(samples) ? null : greatest(samples, 'throng_checkpoint_timestamp_seconds');
    const [origin, size, root] = is(checkpoint) ? [] : checkpoint.split('\n');
    return fact('Newest checkpoint of the audit log', is(checkpoint) ? unread(checkpoint, 'audit')
        : [h('p', {}, `${number(Number(size) || 0, 'events')} entries of `, h('code', {}, origin)), h('p', {class: 'hash'}, h('code', {}, root))],
    at !== null && at > 0 && h('p', {class: 'hint'}, `signed ${moment(new Date(at * 1000).toISOString(), context.catalogue.time_zone)}, ${ago(Date.now() - at * 1000)} ago`));
}

// Of all apps. Who opts out in the beacon sends nothing, and cannot be counted.
function optOutFact(samples: Sample[] | api.Problem): Child {
    const dropped = is(samples) ? null : ['gpc', 'dnt', 'consent'].reduce((total, reason) => total + (sum(samples, 'throng_events_refused_total', {reason}) ?? 0), 0);
    return fact('Opt-outs', is(samples) ? unread(samples, 'ops') : h('p', {}, `${plain(dropped ?? 0)} events dropped, unread, since the daemons started`),
        h('p', {class: 'hint'}, 'They came with Global Privacy Control or Do Not Track, or without the consent that their app asks for. Browsers whose beacon knows of an opt-out send nothing: nobody can count them.'));
}

// Sums of values have thresholds of their counts, in units that say nothing here.
const counted = (numbers: {shown_from: number | null}[]) => numbers.filter(entry => entry.shown_from !== null);

export async function privacy(context: Context): Promise<Node> {
    const [budget, health, ops, checkpoint] = await Promise.all([attempt(api.get<Budget>(appPath(context, 'budget'))), attempt(api.getAlways<Health>('/health', [503])),
        attempt(api.text('/metrics/ops')), attempt(api.text('/log/checkpoint'))]);
    if (is(budget))
        return failed(budget, context.again);
    const samples = is(ops) ? ops : parseMetrics(ops), latest = budget.months[0], given = budget.plan?.guarantees ?? latest?.guarantees ?? null;
    context.downloads.push({label: 'Budget by month', name: `${budget.app}-budget.csv`, text: () => csvOf(['month', 'preset', 'rho_total', 'rho_reserved', 'used_ratio', 'epsilon_user_month', 'refused'],
        budget.months.map(month => [month.month, month.preset, month.rho_total, month.rho_reserved, month.used_ratio, month.guarantees?.user_month.epsilon, month.refused.length]))});
    const mixed = latest && latest.population.protection !== 'dp' && budget.protection === 'dp';
    return h('div', {class: 'stack'},
        card({label: 'What is promised', class: 'promise'}, h('p', {class: 'lead'}, budget.explanation), given && guarantees(given),
            mixed && h('p', {class: 'notice alarm'}, `Another app of the population “${budget.population}” publishes without protection. If the same people use both, there is no bound for them together.`)),
        card({label: 'Spent, by month'}, h('p', {class: 'hint'}, 'A month reserves the whole cost of what will be released of it; what would not fit is refused, visibly.'), months(budget),
            latest && tableBehind('Releases of the newest month', () => table('Releases of the newest month', [
                {label: 'Numbers', cell: (family: typeof latest.families[0]) => sentence(family.text)}, {label: 'Status', cell: family => titleOf(family.status)},
                {label: 'Releases', number: true, cell: family => plain(family.releases)}, {label: 'Refused', number: true, cell: family => plain(family.refused)}], latest.families))),
        plan(budget), refusals(budget),
        card({label: 'What can be checked'}, h('div', {class: 'facts-grid'}, keysFact(context, health, samples), selfTestFact(health, samples), checkpointFact(context, checkpoint, samples), optOutFact(samples)),
            h('p', {class: 'hint'}, 'Every number of this page names its leaf in the audit log. ', h('code', {}, 'throng-verify'), ' checks the log, and that the numbers are its, without asking this server.')));
}
