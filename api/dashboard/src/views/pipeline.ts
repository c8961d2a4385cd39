// How the daemons do: for those whose key has the scope ops. Outside of what is promised about persons.
import * as api from '../api';
import type {Context} from '../context';
import {Child, h} from '../dom';
import {ago, bytes, moment, plain, title as titleOf} from '../format';
import {greatest, parseMetrics, Sample, sum} from '../ops';
import {card, csvOf, failed, nothing, table} from '../parts';
import type {Health} from '../types';

const tile = (name: string, value: Child, hint: Child = null, status = '') => h('div', {class: 'tile ' + status}, h('h2', {}, name), h('p', {class: 'big'}, value), hint && h('p', {class: 'hint'}, hint));
const count = (value: number | null) => value === null ? 'not told' : plain(value);

function tiles(context: Context, samples: Sample[]): HTMLElement {
    const lag = sum(samples, 'throng_stream_lag_entries'), spool = sum(samples, 'throng_spool_bytes'), capacity = sum(samples, 'throng_spool_capacity_bytes');
    const release = greatest(samples, 'throng_release_last_success_timestamp_seconds');
    const age = release ? Date.now() - release * 1000 : null;
    return h('div', {class: 'tiles'},
        tile('Lag', count(lag), 'entries of the streams that are not applied yet'),
        tile('Last release', age === null ? 'none yet' : `${ago(age)} ago`, release ? `${moment(new Date(release * 1000).toISOString(), context.catalogue.time_zone)} (${context.catalogue.time_zone})` : null),
        tile('Spool', spool === null ? 'not told' : bytes(spool), capacity === null ? null : `of ${bytes(capacity)}`),
        tile('Entries lost', count(sum(samples, 'throng_entries_lost')), 'gaps in what nodes have numbered'));
}

function events(samples: Sample[]): HTMLElement {
    const results = samples.filter(sample => sample.name === 'throng_events_total');
    return table('Events by result', [
        {label: 'Result', cell: (sample: Sample) => titleOf(sample.labels.result ?? '')}, {label: 'At', cell: sample => sample.labels.daemon ?? ''},
        {label: 'Events since its start', number: true, cell: sample => plain(sample.value)}], results);
}

function rejects(samples: Sample[]): Child {
    const reasons = samples.filter(sample => 'reason' in sample.labels && sample.value > 0).sort((a, b) => b.value - a.value);
    if (reasons.length === 0)
        return nothing('No reasons are told apart', 'Nothing was refused since the daemons started, or this installation counts refusals without their reasons. An app\'s test key has them in the live view.');
    return table('Rejects by reason', [{label: 'Reason', cell: (sample: Sample) => titleOf(sample.labels.reason)}, {label: 'Counted as', cell: sample => sample.labels.result ?? sample.labels.kind ?? sample.name},
        {label: 'Events', number: true, cell: sample => plain(sample.value)}], reasons);
}

function checksTable(health: Health): HTMLElement {
    return table('Checks', [
        {label: 'Check', cell: ([name]: [string, Health['checks'][string]]) => titleOf(name)},
        {label: 'Status', cell: ([, check]) => h('span', {class: `status ${check.status}`}, check.status)},
        {label: 'What it says', cell: ([, check]) => check.message},
        {label: 'Took', number: true, cell: ([, check]) => check.response_time_ms === null ? '' : `${check.response_time_ms} ms`}], Object.entries(health.checks));
}

interface Condition {
    status: string;
    name: string;
    text: string;
}

// What operators are woken for: checks that do not pass, and what the daemons count when something waits for a person.
function conditions(health: Health, samples: Sample[]): Condition[] {
    const counted: [string, string, string][] = [['throng_release_blocked', 'Release blocked', 'apps whose releases wait'], ['throng_silent_nodes', 'Silent nodes', 'nodes send no watermark: no day closes until they do, or are retired'],
        ['throng_entries_lost', 'Entries lost', 'entries that nodes numbered never came']];
    return [...Object.entries(health.checks).filter(([, check]) => check.status !== 'pass').map(([name, check]) => ({status: check.status, name: titleOf(name), text: check.message})),
        ...counted.map(([metric, name, text]) => ({status: 'warn', name, text: `${plain(sum(samples, metric) ?? 0)} ${text}`, value: sum(samples, metric) ?? 0})).filter(entry => entry.value > 0)];
}

export async function pipeline(context: Context): Promise<Node> {
    let health: Health, text: string;
    try {
        [health, text] = await Promise.all([api.getAlways<Health>('/health', [503]), api.text('/metrics/ops')]);
    } catch (error) {
        if (error instanceof api.Problem && error.status === 403)
            return nothing('This key has not the scope ops', 'Lag, checks and rejects are read with a key of that scope: ', h('code', {}, 'throng key add --scope ops'), ' makes one. Released numbers need only the scope read.');
        return failed(error, context.again);
    }
    const samples = parseMetrics(text), firing = conditions(health, samples);
    context.downloads.push({label: 'Checks', name: 'throng-checks.csv', text: () => csvOf(['check', 'status', 'response_time_ms', 'message'], Object.entries(health.checks).map(([name, check]) => [name, check.status, check.response_time_ms, check.message]))});
    context.downloads.push({label: 'Operational metrics', name: 'throng-ops.csv', text: () => csvOf(['name', 'labels', 'value'], samples.map(sample => [sample.name, Object.entries(sample.labels).map(entry => entry.join('=')).join(' '), sample.value]))});
    return h('div', {class: 'stack'},
        h('section', {class: `banner ${health.status}`, 'aria-label': 'State'}, h('strong', {}, titleOf(health.status)), h('span', {}, `Throng ${health.version}, this process up for ${ago(health.uptime_ms)}`)),
        tiles(context, samples),
        card({label: 'Firing conditions'}, firing.length === 0 ? nothing('None', 'Every check passes, and nothing waits for a person.')
            : h('ul', {class: 'conditions'}, firing.map(entry => h('li', {}, h('span', {class: `status ${entry.status}`}, entry.status), h('strong', {}, entry.name), h('span', {}, entry.text))))),
        card({label: 'Checks'}, checksTable(health)),
        h('div', {class: 'grid two'}, card({label: 'Events'}, events(samples)), card({label: 'Rejects by reason'}, rejects(samples))),
        h('p', {class: 'hint'}, 'These are operational numbers: they lie outside of what is promised about persons, and behind a scope of their own.'));
}
