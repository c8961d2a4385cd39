// What every view is made of: cards, numbers with their intervals, explanations, tables, and what is said when there is nothing.
import * as api from './api';
import {append, Child, h, icon, styled} from './dom';
import {interval as intervalText, moment, number, plain, title as titleOf} from './format';
import type {Bounded, Definition, Interval, Protection, Reference, Row} from './types';

let definitions = new Map<string, Definition>();

export async function loadDefinitions(): Promise<void> {
    const {definitions: all} = await api.get<{definitions: Definition[]}>('/v1/definitions');
    definitions = new Map(all.map(definition => [definition.id, definition]));
}

export const definitionOf = (id: string) => definitions.get(id);

// --- explanations -----------------------------------------------------------------------------------------------------------

// One popover for all: it is filled when a button asks for it, and gives the focus back when it closes.
let popover: HTMLElement | null = null;

function place(beside: HTMLElement): void {
    const box = beside.getBoundingClientRect(), own = popover!.getBoundingClientRect(), edge = 12;
    const left = Math.max(edge, Math.min(box.left, document.documentElement.clientWidth - own.width - edge));
    const below = box.bottom + 8, top = below + own.height > innerHeight - edge ? Math.max(edge, box.top - own.height - 8) : below;
    styled(popover!, {left: `${left}px`, top: `${top}px`});
}

export function openPopover(beside: HTMLElement, label: string, content: Child[]): void {
    popover?.remove();
    const own = h('div', {class: 'popover', popover: 'auto', role: 'dialog', 'aria-label': label, tabindex: 0});
    popover = own;
    append(own, content);
    own.addEventListener('toggle', event => {
        if ((event as ToggleEvent).newState !== 'closed')
            return;
        const focused = own.contains(document.activeElement) || document.activeElement === document.body;
        beside.setAttribute('aria-expanded', 'false');
        own.remove();
        if (focused && beside.isConnected)
            beside.focus();
    });
    document.body.appendChild(own);
    own.showPopover();
    place(beside);
    beside.setAttribute('aria-expanded', 'true');
    own.focus();
}

export const closePopover = () => popover?.hidePopover?.();

function protectionText(protection: Protection, half: number | null, unit: string): string {
    if (protection.kind === 'dp')
        return `Noise of a discrete Gaussian was added once, before this number left (${protection.preset}: ε ≤ ${protection.epsilon} for everything`
            + ` released about a user's month, δ = ${protection.delta}).` + (half ? ` 95 of 100 times it moved the number by no more than ${plain(half)} ${unit}.` : '')
            + ` Fewer than about ${protection.k} people are never shown.`;
    if (protection.kind === 'threshold')
        return `Rounded, and shown from ${protection.k} people on. No noise: this does not protect against anyone who can submit events.`;
    return protection.kind === 'none' ? 'None: this app publishes exact counts.' : 'Nothing is released under this preset.';
}

const RELIABILITY: Record<string, string> = {
    exact: 'Exact: as counted.', high: 'High: the interval lies within 5 % of the value.', medium: 'Medium: the interval lies within 20 % of the value.',
    low: 'Low: the interval reaches further than 20 % of the value.', suppressed: 'Suppressed: too few people are behind it to tell it from noise.',
};

export interface Meaning {
    title: string;
    definition: Reference;
    unit: string;
    protection?: Protection | null;
    row?: Row | null;
    number?: Bounded | null;
    metric?: string;
    zone: string;
    more?: Child[];
}

const term = (name: string, ...value: Child[]) => [h('dt', {}, name), h('dd', {}, value)];

function explain(meaning: Meaning): Child[] {
    const {row} = meaning, shown = meaning.number ?? row, definition = definitions.get(meaning.definition.id);
    const half = row && shown === row && row.low !== null && row.high !== null && row.reliability !== 'exact' ? Math.ceil((row.high - row.low) / 2) : null;
    const whole = ['users', 'sessions', 'events'].includes(meaning.unit);
    return [
        h('h3', {}, meaning.title),
        h('p', {}, sentence(definition?.text ?? 'The definition is not known here.')),
        h('dl', {class: 'facts'},
            shown && term('Value', shown.value === null ? 'suppressed' : number(shown.value, meaning.unit, meaning.metric), shown.clamped ? ' (shown at the edge: noise had moved it out of what can be)' : ''),
            shown && term('95 % interval', intervalText(shown, meaning.unit, meaning.metric)),
            shown && term('Reliability', RELIABILITY[shown.reliability]),
            meaning.protection && term('Protection', protectionText(meaning.protection, whole ? half : null, meaning.unit)),
            row && term('Audit leaf', h('code', {class: 'leaf'}, row.audit_leaf), entryOf(row)),
            row && term('Release due', `${moment(row.sealed_at, meaning.zone)} (${meaning.zone})`),
            term('Definition', h('code', {}, `${meaning.definition.id} v${meaning.definition.version}`), definition ? `, ${definition.kind}` : '')),
        meaning.more,
    ];
}

export const sentence = (text: string) => {
    const whole = text.charAt(0).toUpperCase() + text.slice(1);
    return /[.!?]$/.test(whole) ? whole : whole + '.';
};

export function infoButton(meaning: Meaning): HTMLButtonElement {
    const button = h('button', {class: 'info', type: 'button', 'aria-haspopup': 'dialog', 'aria-expanded': 'false',
        'aria-label': `What ${meaning.title} means`, title: definitionOf(meaning.definition.id)?.text}, icon('info'));
    button.addEventListener('click', () => openPopover(button, meaning.title, explain(meaning)));
    return button;
}

// --- numbers ----------------------------------------------------------------------------------------------------------------

export function suppressedMark(why = 'Suppressed: too few people are behind it to tell it from noise.'): HTMLElement {
    return h('span', {class: 'suppressed', title: why}, 'suppressed');
}

export function valueText(value: Bounded, unit: string, metric = ''): Child {
    return value.value === null ? suppressedMark() : number(value.value, unit, metric);
}

// Value with half an interval or its bounds, for tables.
export function valueCell(value: Bounded | null | undefined, unit: string, metric = ''): Child {
    if (!value)
        return h('span', {class: 'nothing'}, '–');
    if (value.value === null)
        return suppressedMark();
    return [h('span', {class: 'value'}, number(value.value, unit, metric)),
        value.reliability === 'exact' ? null : h('small', {class: 'bounds'}, intervalText(value, unit, metric))];
}

// Whether two numbers differ by more than their intervals leave open: independent noise adds by squares.
export function change(now: Bounded, before: Bounded | null | undefined): {ratio: number | null; difference: number; clear: boolean} | null {
    if (now.value === null || before?.value == null)
        return null;
    // An end that was cut off, at 0 or at 100 %, says nothing about the noise: the other one does.
    const half = (n: Bounded) => n.reliability === 'exact' ? 0 : n.low === null || n.high === null ? Infinity : Math.max(n.high - n.value!, n.value! - n.low);
    const difference = now.value - before.value;
    return {ratio: before.value === 0 ? null : difference / before.value, difference, clear: Math.abs(difference) > Math.hypot(half(now), half(before))};
}

// A change in its own words: points of a share, else per cent.
export function changeSize(found: {ratio: number | null; difference: number}, unit: string): string {
    if (unit === 'ratio')
        return `${Math.abs(found.difference * 100).toFixed(1)} points`;
    return found.ratio === null ? number(Math.abs(found.difference), unit) : `${Math.abs(found.ratio * 100).toFixed(1)} %`;
}

export function changeChip(now: Bounded, before: Bounded | null | undefined, versus: string, unit: string, metric = ''): Child {
    const found = change(now, before);
    if (found === null)
        return h('span', {class: 'chip quiet'}, `no number ${versus.replace(/^on /, 'in ')}`);
    const arrow = found.difference > 0 ? '▲' : found.difference < 0 ? '▼' : '■';
    const size = changeSize(found, unit);
    const direction = found.difference > 0 ? 'up' : found.difference < 0 ? 'down' : 'same';
    const unclear = now.reliability === 'exact' ? '' : ', or noise';
    const tone = metric !== 'bounce_rate' ? direction : found.difference > 0 ? 'down' : 'up'; // less of it is better
    return h('span', {class: found.clear ? `chip ${tone}` : 'chip quiet', title: now.reliability === 'exact' ? 'Exact numbers' : found.clear ? 'More than the noise explains' : 'The two intervals do not tell them apart'},
        h('span', {'aria-hidden': 'true'}, arrow + ' '), h('span', {class: 'sr'}, direction + ' '), size, h('span', {class: 'versus'}, ` ${versus}${found.clear ? '' : unclear}`));
}

// --- cards, tables, states --------------------------------------------------------------------------------------------------

export function card(attributes: {class?: string; label: string; info?: Child; aside?: Child; level?: 'h2' | 'h3'}, ...content: Child[]): HTMLElement {
    return h('section', {class: 'card ' + (attributes.class ?? ''), 'aria-label': attributes.label},
        h('header', {class: 'card-head'}, h(attributes.level ?? 'h2', {}, attributes.label), attributes.info, attributes.aside && h('div', {class: 'aside'}, attributes.aside)),
        content);
}

export interface Column<T> {
    label: string;
    cell: (row: T) => Child;
    number?: boolean;
}

export function table<T>(label: string, columns: Column<T>[], rows: T[]): HTMLElement {
    return h('div', {class: 'table', tabindex: 0, role: 'region', 'aria-label': `${label}: table`}, h('table', {},
        h('caption', {class: 'sr'}, label),
        h('thead', {}, h('tr', {}, columns.map(column => h('th', {scope: 'col', class: column.number && 'n'}, column.label)))),
        h('tbody', {}, rows.map(row => h('tr', {}, columns.map((column, i) => h(i === 0 ? 'th' : 'td',
            {class: column.number && 'n', ...(i === 0 ? {scope: 'row'} : {})}, column.cell(row))))))));
}

// A table that is made when it is asked for: most are not.
export function tableBehind(label: string, make: () => HTMLElement): HTMLElement {
    const details = h('details', {class: 'numbers'}, h('summary', {'aria-label': `${label}: show as a table`}, 'Table'));
    details.addEventListener('toggle', () => {
        if (details.open && details.childElementCount === 1)
            details.appendChild(make());
    });
    return details;
}

// Where a row's leaf stands in the log.
export const entryOf = (row: Row): string => row.audit_index == null ? '' : `, entry ${row.audit_index} of the log`;

export function leafOf(row: Row): HTMLElement {
    return h('span', {class: 'leaf-of'}, row.audit_index == null ? 'leaf ' : `leaf ${row.audit_index} · `, leafCode(row.audit_leaf));
}

// The leaf of the audit trail, short enough for a table; whole for who points at it or copies it.
export function leafCode(leaf: string): HTMLElement {
    return h('code', {class: 'leaf', title: leaf}, leaf.slice(0, 8), h('span', {class: 'sr'}, leaf.slice(8)));
}

export function notice(text: string | null | undefined, kind = ''): Child {
    return text ? h('p', {class: `notice ${kind}`}, text) : null;
}

export function helpSuppressed(text: string): HTMLElement {
    const [first, ...rest] = text.split(' What helps: ');
    return h('div', {class: 'notice suppressed-help'}, h('span', {class: 'swatch hatched', 'aria-hidden': 'true'}),
        h('div', {}, h('p', {}, first), rest.length ? h('details', {}, h('summary', {}, 'What would help'), h('p', {}, sentence(rest.join(' ')))) : null));
}

export function noticeOf(text: string | null): Child {
    return text === null ? null : /not shown|suppress/.test(text) ? helpSuppressed(text) : notice(text);
}

const FAILURES: Record<string, string> = {
    forbidden: 'This key may not read this.', not_found: 'There is nothing here that this key may see.', unavailable: 'The database does not answer at present.',
    unreachable: 'The server cannot be reached.', unknown_key: 'This key is no longer known.',
};

export function failed(error: unknown, retry?: () => void): HTMLElement {
    const problem = error instanceof api.Problem ? error : new api.Problem(0, 'unknown', String(error));
    return h('div', {class: 'state failed', role: 'alert'}, h('strong', {}, FAILURES[problem.type] ?? 'This could not be read.'),
        h('p', {}, sentence(problem.message)), retry && h('button', {class: 'button', type: 'button', onclick: retry}, 'Try again'));
}

export function nothing(headline: string, ...more: Child[]): HTMLElement {
    return h('div', {class: 'state'}, h('strong', {}, headline), more.length ? h('p', {}, more) : null);
}

export function unfunded(why: string | null): HTMLElement {
    return h('div', {class: 'state unfunded'}, h('span', {class: 'swatch hatched', 'aria-hidden': 'true'}), h('strong', {}, 'Not released'),
        h('p', {}, sentence(why ?? 'the app releases nothing of this')), h('p', {class: 'hint'}, 'The app\'s policy decides what its privacy budget is spent on.'));
}

export function select(label: string, options: [string, string][], value: string, change_: (value: string) => void): HTMLElement {
    const box = h('select', {'aria-label': label}, options.map(([name, text]) => h('option', {value: name, ...(name === value ? {selected: true} : {})}, text)));
    box.addEventListener('change', () => change_(box.value));
    return h('label', {class: 'select'}, h('span', {}, label), box);
}

export interface Download {
    label: string;
    name: string;
    path?: string; // of the API
    text?: () => string;
}

export async function save(download: Download): Promise<void> {
    const text = download.path ? await api.csv(download.path) : download.text!();
    const link = h('a', {href: URL.createObjectURL(new Blob([text], {type: 'text/csv;charset=utf-8'})), download: download.name});
    document.body.appendChild(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

const quoted = (value: unknown) => {
    const text = value === null || value === undefined ? '' : String(value);
    return /[",\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
};

export const csvOf = (head: string[], rows: unknown[][]) => [head, ...rows].map(row => row.map(quoted).join(',')).join('\n') + '\n';

export const named = (name: string, title?: string | null) => title || titleOf(name);
export const intervalName = (interval: Interval) => ({day: 'day', week: 'week', month: 'month', rolling_7: '7 days', rolling_28: '28 days', rolling_30: '30 days'})[interval];
