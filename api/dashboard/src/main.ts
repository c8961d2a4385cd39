// The page: who reads it, which app, which view of it, and what stands around every view.
import * as api from './api';
import {Context} from './context';
import {append, Child, h, icon} from './dom';
import {date as dateText} from './format';
import {closePopover, failed, loadDefinitions, openPopover, save} from './parts';
import {addDays, addPeriods, isDate, today} from './periods';
import {RANGES, rangeOf, readState, State, writeState} from './state';
import type {App, Catalogue, Period, Series} from './types';
import {breakdowns, pages} from './views/classes';
import {features, goals} from './views/declared';
import {empty} from './views/empty';
import {funnels} from './views/funnels';
import {insights} from './views/insights';
import {live} from './views/live';
import {outcomes} from './views/outcomes';
import {overview} from './views/overview';
import {pipeline} from './views/pipeline';
import {privacy} from './views/privacy';
import {retention} from './views/retention';

interface View {
    name: string;
    title: string;
    group: string;
    ranged: boolean; // it shows a range of time
    intervals: boolean;
    compares: boolean;
    show: (context: Context) => Promise<Node>;
}

const view = (name: string, title: string, group: string, show: View['show'], ranged = true, intervals = true, compares = false): View => ({name, title, group, show, ranged, intervals, compares});
const VIEWS: View[] = [
    view('overview', 'Overview', 'Numbers', overview, true, true, true),
    view('pages', 'Pages and sources', 'Numbers', pages, true, true, true),
    view('retention', 'Retention', 'Numbers', retention, true, false),
    view('funnels', 'Funnels', 'Numbers', funnels, true, false, true),
    view('features', 'Features', 'Numbers', features, true, true, true),
    view('goals', 'Goals', 'Numbers', goals, true, true, true),
    view('breakdowns', 'Breakdowns', 'Numbers', breakdowns, true, true, true),
    view('outcomes', 'Outcomes', 'Numbers', outcomes, true, false, true),
    view('insights', 'Insights', 'Numbers', insights, true, false),
    view('privacy', 'Privacy', 'Trust', privacy, false, false),
    view('pipeline', 'Pipeline', 'Trust', pipeline, false, false),
    view('live', 'Live events', 'Build', live, false, false),
];
const WITHOUT_NUMBERS = ['privacy', 'pipeline', 'live'];

interface Session {
    apps: App[];
    catalogue: Catalogue;
    anchor: string; // the last day that can have numbers
    any: boolean; // something has been released
    login: boolean; // by a key; else the proxy says who reads
    reads: boolean; // the key's scope reaches released numbers
}

let session: Session | null = null;
let shown = 0; // counts views, so that one that comes late is not shown

// --- theme ------------------------------------------------------------------------------------------------------------------

const THEME = 'throng-theme';
const systemDark = matchMedia('(prefers-color-scheme: dark)');

function applyTheme(theme: string | null): void {
    document.documentElement.dataset.theme = theme ?? (systemDark.matches ? 'dark' : 'light');
}

function storedTheme(): string | null {
    try {
        return localStorage.getItem(THEME);
    } catch {
        return null;
    }
}

function switchTheme(): void {
    const theme = document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark';
    applyTheme(theme);
    try {
        localStorage.setItem(THEME, theme);
    } catch { /* then it is for this page only */ }
    void render();
}

// --- who reads --------------------------------------------------------------------------------------------------------------

function loginPage(message: string | null): void {
    const key = h('input', {id: 'key', type: 'password', autocomplete: 'off', spellcheck: 'false', required: true, autocapitalize: 'off', 'aria-describedby': 'key-help'});
    const keep = h('input', {type: 'checkbox', id: 'keep'});
    const button = h('button', {class: 'button primary', type: 'submit'}, 'Open the dashboard');
    const said = h('div', {role: 'alert'}, message && h('p', {class: 'notice alarm'}, message));
    const form = h('form', {class: 'login card', 'aria-labelledby': 'login-title'}, h('div', {class: 'brand'}, h('img', {src: 'icon.svg', alt: '', width: 36, height: 36}), h('span', {}, 'Throng')),
        h('h1', {id: 'login-title'}, 'Numbers about a crowd, none about a person'), h('label', {for: 'key'}, 'API key'), key,
        h('p', {id: 'key-help', class: 'hint'}, 'It begins with ', h('code', {}, 'ak_'), '. ', h('code', {}, 'throng key add --scope read'), ' makes one. It is sent to this server only, and never part of an address.'),
        h('label', {class: 'check', for: 'keep'}, keep, 'Keep it for this tab, until the tab is closed'), said, button);
    form.addEventListener('submit', async event => {
        event.preventDefault();
        button.disabled = true;
        api.setKey(key.value.trim(), keep.checked);
        try {
            await begin(true);
        } catch (error) {
            api.setKey(null, false);
            said.replaceChildren(h('p', {class: 'notice alarm'}, error instanceof api.Problem && error.status === 401 ? 'This key is not known here.' : error instanceof Error ? error.message : String(error)));
            button.disabled = false;
            key.focus();
        }
    });
    document.title = 'Throng';
    document.body.replaceChildren(h('main', {class: 'login-page'}, form));
    key.focus();
}

function logout(): void {
    api.setKey(null, false);
    session = null;
    shown++;
    loginPage(null);
}

// --- which app --------------------------------------------------------------------------------------------------------------

const NONE: Catalogue = {app: '', title: '', time_zone: 'UTC', preset: '', definition_version: 0, linkable_days: 0, explanation: null, metrics: [], funnels: [], outcomes: [],
    protection: {kind: 'unreleased', preset: '', mechanism: '', unit: null, epsilon: null, delta: null, sigma2: null, rho: null, k: 0}};

// The last day that can have numbers: shortly after the newest released period, and not after today.
async function findAnchor(catalogue: Catalogue): Promise<{anchor: string; any: boolean}> {
    const funded = catalogue.metrics.find(metric => metric.metric === 'active_users')?.intervals.filter(entry => entry.funded).map(entry => entry.interval) ?? [];
    const now = today(catalogue.time_zone);
    for (const interval of ['month', 'week', 'day'] as Period[]) {
        if (!funded.includes(interval))
            continue;
        const {rows} = await api.series(`/v1/apps/${catalogue.app}/metrics/active_users?interval=${interval}`) as Series;
        if (rows.length === 0)
            continue;
        const end = addDays(addPeriods(rows[rows.length - 1].period!, interval, 2), -1);
        return {anchor: end < now ? end : now, any: true};
    }
    return {anchor: now, any: false};
}

// What every view of an app begins with, asked at once instead of one after the other; who needs an answer hears what is wrong with it.
function askAhead(name: string): void {
    for (const path of ['/v1/definitions', `/v1/apps/${name}/metrics`, `/v1/apps/${name}/metrics/active_users?interval=month`])
        api.get(path).catch(() => {});
}

async function openApp(name: string): Promise<void> {
    askAhead(name);
    const [catalogue] = await Promise.all([api.get<Catalogue>(`/v1/apps/${name}/metrics`), loadDefinitions()]);
    session = {...session!, catalogue, ...await findAnchor(catalogue)};
}

// Find out what this reader may see, and show it. login: with a key.
async function begin(login: boolean): Promise<void> {
    session = {apps: [], catalogue: NONE, anchor: today('UTC'), any: true, login, reads: true};
    try {
        session.apps = (await api.get<{apps: App[]}>('/v1/apps')).apps;
    } catch (error) {
        if (!(error instanceof api.Problem && error.status === 403))
            throw error;
        session.reads = false;
    }
    await render();
}

// --- around a view ----------------------------------------------------------------------------------------------------------

function go(change: Partial<State>): void {
    const state = readState(location.hash), next = writeState({...state, ...change});
    if (next === location.hash)
        void render();
    else
        location.hash = next;
}

const hrefOf = (state: State, name: string) => writeState({...state, view: name, metric: '', period: '', kind: '', interval: 'auto'});

function navigation(state: State): HTMLElement {
    const groups = [...new Set(VIEWS.map(entry => entry.group))], visible = VIEWS.filter(entry => session!.reads || entry.name === 'pipeline');
    const apps = session!.apps;
    const chooser = h('select', {id: 'app', 'aria-label': 'App'}, apps.map(app => h('option', {value: app.app, ...(app.app === state.app ? {selected: true} : {})}, app.title || app.app)));
    chooser.addEventListener('change', () => go({app: chooser.value, metric: '', period: '', kind: ''}));
    const menu = h('button', {type: 'button', class: 'button icon-only menu', id: 'menu', 'aria-expanded': 'false', 'aria-controls': 'views', 'aria-label': 'Views'}, icon('menu'));
    const side = h('header', {class: 'side'},
        h('div', {class: 'brand'}, h('img', {src: 'icon.svg', alt: '', width: 28, height: 28}), h('span', {}, 'Throng'), menu),
        apps.length > 0 && h('label', {class: 'app-choice', for: 'app'}, h('span', {}, 'App'), chooser),
        h('nav', {id: 'views', 'aria-label': 'Views'}, groups.map(group => {
            const entries = visible.filter(entry => entry.group === group);
            return entries.length > 0 && [h('h2', {}, group), h('ul', {}, entries.map(entry => h('li', {}, h('a', {href: hrefOf(state, entry.name), ...(entry.name === state.view ? {'aria-current': 'page'} : {})}, icon(entry.name), entry.title))))];
        })));
    menu.addEventListener('click', () => menu.setAttribute('aria-expanded', String(side.classList.toggle('open'))));
    return side;
}

function rangeControls(state: State, of: View): Child {
    if (!of.ranged)
        return null;
    const range = rangeOf(state, session!.anchor);
    const from = h('input', {type: 'date', id: 'from', value: range.from, 'aria-label': 'From'}), to = h('input', {type: 'date', id: 'to', value: range.to, 'aria-label': 'To, included'});
    const set = () => { if (isDate(from.value) && isDate(to.value) && from.value <= to.value) go({range: 'custom', from: from.value, to: to.value, period: ''}); };
    from.addEventListener('change', set);
    to.addEventListener('change', set);
    const choose = (name: string) => name === 'custom' ? go({range: 'custom', from: range.from, to: range.to}) : go({range: name, period: ''});
    return [h('div', {class: 'segments', role: 'group', 'aria-label': 'Range'}, RANGES.map(([name, label]) => h('button', {type: 'button', id: `range-${name}`, 'aria-pressed': String(state.range === name), onclick: () => choose(name)}, label))),
        state.range === 'custom' && h('span', {class: 'dates'}, from, h('span', {'aria-hidden': 'true'}, '–'), to),
        of.intervals && intervalControl(state), of.compares && compareControl(state)];
}

function intervalControl(state: State): HTMLElement {
    const box = h('select', {id: 'interval', 'aria-label': 'Interval'}, [['auto', 'Best interval'], ['day', 'By day'], ['week', 'By week'], ['month', 'By month']].map(([name, label]) =>
        h('option', {value: name, ...(name === state.interval ? {selected: true} : {})}, label)));
    box.addEventListener('change', () => go({interval: box.value as State['interval'], period: ''}));
    return h('span', {class: 'select bare'}, box);
}

function compareControl(state: State): HTMLElement {
    const box = h('input', {type: 'checkbox', id: 'compare', ...(state.compare ? {checked: true} : {})});
    box.addEventListener('change', () => go({compare: box.checked}));
    return h('label', {class: 'check', for: 'compare'}, box, 'Compare with the range before');
}

const tool = (name: string, id: string, label: string, act: (button: HTMLButtonElement) => void): HTMLButtonElement => {
    const button: HTMLButtonElement = h('button', {type: 'button', class: 'button icon-only', id, 'aria-label': label, title: label}, icon(name));
    button.addEventListener('click', () => act(button));
    return button;
};

async function fetchDownload(button: HTMLElement, download: Context['downloads'][0]): Promise<void> {
    try {
        await save(download);
    } catch (error) {
        openPopover(button, 'CSV', [failed(error)]);
    }
}

function offerDownloads(button: HTMLButtonElement, downloads: Context['downloads']): void {
    openPopover(button, 'CSV of this view', [h('h3', {}, 'CSV of this view'), downloads.length === 0 ? h('p', {}, 'There are no numbers in this view.')
        : h('ul', {class: 'downloads'}, downloads.map(download => h('li', {}, h('button', {type: 'button', class: 'linklike', onclick: () => { closePopover(); void fetchDownload(button, download); }}, icon('download'), download.label))))]);
}

async function shareLink(button: HTMLButtonElement): Promise<void> {
    const address = location.href;
    const input = h('input', {type: 'text', readonly: true, value: address, 'aria-label': 'Link to this view'});
    let said = 'It keeps view, range and app; whoever opens it needs a key of their own.';
    try {
        await navigator.clipboard.writeText(address);
        said = 'Copied. ' + said;
    } catch { /* it can be copied by hand */ }
    openPopover(button, 'Link to this view', [h('h3', {}, 'Link to this view'), input, h('p', {class: 'hint'}, said)]);
    input.select();
}

function topBar(state: State, of: View, context: Context): HTMLElement {
    const dark = document.documentElement.dataset.theme === 'dark';
    return h('header', {class: 'top'}, h('div', {class: 'top-line'}, h('div', {}, h('h1', {id: 'title', tabindex: -1}, of.title),
        session!.reads && h('p', {class: 'subtitle'}, h('span', {}, context.catalogue.title || context.catalogue.app), of.ranged && session!.any && h('span', {}, `${dateText(context.range.from)} – ${dateText(context.range.to)}`),
            h('span', {}, `time zone ${context.catalogue.time_zone}`))),
    h('div', {class: 'tools', role: 'group', 'aria-label': 'This view'}, tool('download', 'csv', 'CSV of this view', button => offerDownloads(button, context.downloads)),
        tool('link', 'share', 'Link to this view', button => void shareLink(button)), tool('print', 'print', 'Print', () => print()),
        tool(dark ? 'sun' : 'moon', 'theme', dark ? 'Light theme' : 'Dark theme', switchTheme), session!.login && tool('out', 'logout', 'Forget the key', logout))),
    of.ranged && session!.any && h('div', {class: 'controls', role: 'group', 'aria-label': 'Range and interval'}, rangeControls(state, of)));
}

function protectionLine(catalogue: Catalogue): string {
    const {protection} = catalogue;
    if (protection.kind === 'dp')
        return `Released numbers only. Noise was added to each, once: ε ≤ ${protection.epsilon} a user-month. Bands are 95 % intervals.`;
    return protection.kind === 'threshold' ? `Released numbers only, from ${protection.k} people on, without noise.` : protection.kind === 'none' ? 'Released numbers only, exact: this app protects nobody.' : 'Nothing is released.';
}

const footer = (catalogue: Catalogue) => h('footer', {class: 'foot'}, session!.reads && [h('p', {}, protectionLine(catalogue)),
    h('p', {}, `Definition ${catalogue.definition_version} of ${catalogue.app} · users are linked for ${catalogue.linkable_days} days · times in ${catalogue.time_zone}`)],
h('p', {}, h('a', {href: 'licences.txt'}, 'Licences of what this page is built with')));

const skeleton = () => h('div', {class: 'stack skeleton', 'aria-hidden': 'true'}, h('div', {class: 'card hero'}), h('div', {class: 'grid'}, [1, 2, 3, 4, 5, 6].map(() => h('div', {class: 'card'}))));

// --- rendering --------------------------------------------------------------------------------------------------------------

function frame(state: State, of: View, context: Context, content: Node): void {
    const focused = document.activeElement?.id, before = document.querySelector<HTMLElement>('main')?.dataset.view;
    const main = h('main', {id: 'main', 'data-view': of.name, tabindex: -1}, topBar(state, of, context), h('div', {id: 'content', 'aria-live': 'off'}, content), footer(context.catalogue));
    const skip = h('a', {class: 'skip', href: '#main'}, 'Skip to the numbers');
    skip.addEventListener('click', event => { event.preventDefault(); main.focus(); });
    document.body.replaceChildren(skip, h('div', {class: 'page'}, navigation(state), main), h('div', {class: 'progress', id: 'progress', hidden: true}));
    document.title = [of.title, context.catalogue.title || context.catalogue.app, 'Throng'].filter(Boolean).join(' · ');
    if (before !== undefined && before !== of.name) {
        scrollTo(0, 0);
        document.getElementById('title')?.focus();
    } else if (focused) {
        document.getElementById(focused)?.focus({preventScroll: true});
    }
}

function settle(state: State): boolean {
    const {apps, reads} = session!;
    if (!reads) {
        state.view = 'pipeline';
        return true;
    }
    if (!VIEWS.some(entry => entry.name === state.view))
        state.view = 'overview';
    if (!apps.some(app => app.app === state.app)) {
        state.app = (apps.find(app => app.app === 'sample') ?? apps[0])?.app ?? '';
        history.replaceState(null, '', writeState(state));
    }
    return state.app !== '';
}

async function contentOf(of: View, context: Context): Promise<Node> {
    try {
        return !session!.any && session!.reads && !WITHOUT_NUMBERS.includes(of.name) ? empty(context) : await of.show(context);
    } catch (error) {
        return failed(error, context.again);
    }
}

async function render(): Promise<void> {
    if (session === null)
        return;
    const turn = ++shown, state = readState(location.hash);
    performance.mark('throng:asked');
    if (!settle(state)) {
        document.body.replaceChildren(h('main', {class: 'login-page'}, h('div', {class: 'card login'}, h('h1', {}, 'No apps'), h('p', {}, 'There is none that this key may see. ', h('code', {}, 'throng app add FILE'), ' adds one.'),
            h('button', {class: 'button', type: 'button', onclick: logout}, 'Use another key'))));
        return;
    }
    const progress = document.getElementById('progress'), busy = document.getElementById('content');
    const late = setTimeout(() => { if (progress) progress.hidden = false; busy?.setAttribute('aria-busy', 'true'); }, 150);
    try {
        if (session.reads && session.catalogue.app !== state.app)
            await openApp(state.app);
    } catch (error) {
        clearTimeout(late);
        if (error instanceof api.Problem && error.status === 401)
            return expired();
        append(document.body, [failed(error, () => void render())]);
        return;
    }
    const of = VIEWS.find(entry => entry.name === state.view)!;
    const context: Context = {state, catalogue: session.catalogue, range: rangeOf(state, session.anchor), downloads: [], go, again: () => { api.forget(); void render(); }, alive: () => turn === shown};
    if (busy === null)
        frame(state, of, context, skeleton());
    const content = await contentOf(of, context);
    clearTimeout(late);
    if (turn !== shown)
        return;
    closePopover();
    frame(state, of, context, content);
    requestAnimationFrame(() => setTimeout(() => {
        performance.mark('throng:shown');
        performance.measure('throng:view', 'throng:asked', 'throng:shown');
        document.documentElement.dataset.shown = String(turn);
    }));
}

function expired(): void {
    api.setKey(null, false);
    session = null;
    loginPage('The key is no longer known.');
}

async function start(): Promise<void> {
    applyTheme(storedTheme());
    systemDark.addEventListener('change', () => { if (storedTheme() === null) { applyTheme(null); void render(); } });
    addEventListener('hashchange', () => void render());
    const login = api.restoreKey() !== null, {app} = readState(location.hash);
    if (login && app)
        askAhead(app);
    try {
        await begin(login);
    } catch (error) {
        session = null;
        if (error instanceof api.Problem && error.status === 401) {
            api.setKey(null, false);
            loginPage(login ? 'The key is no longer known.' : null);
        } else {
            document.body.replaceChildren(h('main', {class: 'login-page'}, failed(error, () => location.reload())));
        }
    }
}

void start();
