// node driver.mjs SCENARIO ARGUMENTS(JSON): a reader of the dashboard in a real Chromium; prints what was found as JSON.
// base: origin of the private listener; key: an API key ('' if none is given); chromium: its path; more by scenario.
import {createRequire} from 'node:module';
import {readFileSync} from 'node:fs';
import {chromium} from 'playwright-core';

const [scenario, text] = process.argv.slice(2);
const given = JSON.parse(text);
const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const PATIENCE_MS = 120000; // of a machine that does other things beside
const browser = await chromium.launch({executablePath: given.chromium, timeout: PATIENCE_MS, args: ['--no-sandbox', '--disable-dev-shm-usage']});
const errors = [], addresses = [], strangers = [];
let transferred = 0;

// A page of its own context; what goes wrong on it and what it asks for is noted.
async function open({theme = 'light', width = 1280, height = 900, key = given.key, headers = {}, scale = 1} = {}) {
    const context = await browser.newContext({viewport: {width, height}, deviceScaleFactor: scale, colorScheme: theme, acceptDownloads: true, extraHTTPHeaders: headers});
    context.setDefaultTimeout(PATIENCE_MS);
    await context.addInitScript(() => {
        window.violations = [];
        document.addEventListener('securitypolicyviolation', event => window.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
    });
    if (key)
        await context.addInitScript(([value, base]) => { if (location.origin === base) sessionStorage.setItem('throng-key', value); }, [key, given.base]);
    const page = await context.newPage();
    page.on('pageerror', error => errors.push(String(error.stack)));
    page.on('console', message => { if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) errors.push(message.text()); });
    page.on('request', request => {
        addresses.push(request.url());
        if (!request.url().startsWith(given.base + '/') && !request.url().startsWith('blob:' + given.base))
            strangers.push(request.url());
    });
    const client = await context.newCDPSession(page);
    await client.send('Network.enable');
    client.on('Network.loadingFinished', event => { transferred += event.encodedDataLength; });
    return page;
}

const turn = page => page.evaluate(() => document.documentElement.dataset.shown ?? '');
const shown = (page, before = '') => page.waitForFunction(last => (document.documentElement.dataset.shown ?? '') !== last, before);
const still = page => page.evaluate(() => new Promise(resolve => requestAnimationFrame(() => setTimeout(resolve, 60))));
async function visit(page, fragment) {
    if (page.url().startsWith(`${given.base}/dashboard/#`) && !page.url().endsWith(fragment))
        return act(page, () => page.evaluate(to => { location.hash = to; }, fragment));
    await page.goto(`${given.base}/dashboard/${fragment}`);
    await shown(page);
    return still(page);
}
async function act(page, deed) {
    const before = await turn(page);
    await deed();
    await shown(page, before);
    await still(page);
}
const measures = page => page.evaluate(() => performance.getEntriesByName('throng:view').map(entry => Math.round(entry.duration)));

// All that a view says: its cards with headline, change and tables; lists, cells, and how wide it is.
const read = page => page.evaluate(() => {
    const line = element => element.innerText.replace(/\s+/g, ' ').trim();
    // A table is made when the event of its opening comes.
    const opened = [...document.querySelectorAll('details:not([open])')].map(details => new Promise(resolve => {
        details.addEventListener('toggle', resolve, {once: true});
        details.open = true;
    }));
    return Promise.all(opened).then(() => new Promise(resolve => setTimeout(() => resolve({
        title: document.title, heading: line(document.querySelector('h1')), text: line(document.querySelector('main')),
        cards: [...document.querySelectorAll('section.card')].map(card => ({
            label: card.getAttribute('aria-label'), big: [...card.querySelectorAll('.big')].map(line), bounds: [...card.querySelectorAll('.headline .bounds')].map(line),
            tables: [...card.querySelectorAll('table')].map(table => ({label: table.caption ? table.caption.innerText : '',
                rows: [...table.querySelectorAll('tbody tr')].map(row => [...row.cells].map(line)),
                leaves: [...table.querySelectorAll('tbody .leaf')].map(leaf => leaf.textContent)})),
            ranks: [...card.querySelectorAll('.ranks li')].map(entry => [line(entry.querySelector('.rank-name')), line(entry.querySelector('.rank-value'))]),
            steps: [...card.querySelectorAll('.funnel li')].map(entry => [line(entry.querySelector('.step-name')), line(entry.querySelector('.step-value')), line(entry.querySelector('.step-rates'))]),
            tiers: [...card.querySelectorAll('.tiers li')].map(entry => [line(entry.querySelector('.tier-name strong')), line(entry.querySelector('.tier-value'))]),
            moves: [...card.querySelectorAll('.ranks li, .tiers li, .funnel li')].map(entry => [line(entry.querySelector('.rank-name, .tier-name strong, .step-name')),
                [...entry.querySelectorAll('.was')].map(line), [...entry.querySelectorAll('.moved')].map(line)]),
            state: [...card.querySelectorAll('.state')].map(line), charts: card.querySelectorAll('canvas').length,
        })),
        heat: [...document.querySelectorAll('.heat tbody tr')].map(row => [line(row.cells[0]), ...[...row.cells].slice(1).map(cell =>
            cell.classList.contains('hatched') ? 'suppressed' : cell.classList.contains('blank') ? '' : cell.querySelector('button')?.firstChild?.textContent ?? line(cell))]),
        mean: [...document.querySelectorAll('.heat tfoot td')].map(cell => cell.firstChild?.textContent ?? ''),
        compares: document.querySelector('#compare') !== null,
        sideways: document.documentElement.scrollWidth - innerWidth, violations: window.violations, storage: JSON.stringify({...localStorage}),
    }), 150)));
});

const audit = async page => {
    await page.evaluate(axeSource);
    return page.evaluate(async () => (await axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']})).violations
        .map(found => `${found.id}: ${found.nodes.slice(0, 3).map(node => `${node.target} ${node.failureSummary.replace(/\s+/g, ' ').slice(0, 220)}`).join(' | ')}`));
};

const scenarios = {
    // Every view: what it says.
    async views() {
        const page = await open(), found = {};
        for (const [name, fragment] of Object.entries(given.fragments)) {
            await visit(page, fragment);
            found[name] = await read(page);
        }
        return found;
    },
    // The auditor's own script comes past the page's policy: through the debugger, which the policy does not bind.
    async accessible() {
        const found = {};
        for (const theme of ['light', 'dark']) {
            const page = await open({theme});
            for (const [name, fragment] of Object.entries(given.fragments)) {
                    await visit(page, fragment);
                await page.evaluate(() => { for (const details of document.querySelectorAll('details')) details.open = true; });
                await still(page);
                found[`${name} ${theme}`] = await audit(page);
            }
            await visit(page, given.fragments.overview);
            await page.click('.stat .info');
            found[`popover ${theme}`] = await audit(page);
            await page.context().close();
            const stranger = await open({theme, key: ''});
            await stranger.goto(`${given.base}/dashboard/`);
            await stranger.waitForSelector('#key');
            found[`login ${theme}`] = await audit(stranger);
            await stranger.context().close();
        }
        return found;
    },
    async phone() {
        const page = await open({width: 360, height: 740}), found = {};
        for (const [name, fragment] of Object.entries(given.fragments)) {
            await visit(page, fragment);
            found[name] = (await read(page)).sideways;
        }
        await page.click('#menu');
        found.menu = await page.isVisible('nav a[aria-current]') ? 0 : 'the menu does not open';
        return found;
    },
    async login() {
        const page = await open({key: ''});
        await page.goto(`${given.base}/dashboard/${given.fragment}`);
        await page.waitForSelector('#key');
        await page.fill('#key', 'ak_' + 'x'.repeat(32));
        await page.click('button[type=submit]');
        await page.waitForSelector('.login .alarm');
        const refused = await page.innerText('.login .alarm');
        await page.fill('#key', given.secret);
        if (given.keep)
            await page.check('#keep');
        await page.click('button[type=submit]');
        await shown(page);
        const heading = await page.innerText('h1'), storage = await page.evaluate(() => [{...sessionStorage}, {...localStorage}, document.cookie]);
        await page.reload();
        await Promise.race([shown(page), page.waitForSelector('#key')]);
        const again = await page.isVisible('#key');
        if (!again)
            await page.click('#logout');
        await page.waitForSelector('#key');
        return {refused, heading, storage, again, address: page.url(), after: await page.evaluate(() => ({...sessionStorage}))};
    },
    async proxy() {
        const page = await open({key: '', headers: {'X-Forwarded-User': given.user}});
        await visit(page, given.fragment);
        return {...await read(page), logout: await page.isVisible('#logout')};
    },
    async csv() {
        const page = await open(), found = {};
        for (const [name, fragment] of Object.entries(given.fragments)) {
            await visit(page, fragment);
            await page.click('#csv');
            const labels = await page.$$eval('.downloads button', buttons => buttons.map(button => button.innerText.trim()));
            if (labels.length === 0)
                continue;
            const [download] = await Promise.all([page.waitForEvent('download'), page.click('.downloads li:first-child button')]);
            found[name] = {labels, file: download.suggestedFilename(), text: readFileSync(await download.path(), 'utf8')};
        }
        return found;
    },
    async keyboard() {
        const page = await open(), found = {};
        const focused = () => page.evaluate(() => { const at = document.activeElement; return at.getAttribute('aria-label') || at.innerText || at.id || at.tagName; });
        await visit(page, given.overview);
        await page.keyboard.press('Tab');
        found.first = await focused();
        await page.keyboard.press('Enter');
        found.skipped = await page.evaluate(() => document.activeElement.id);
        await page.focus('.hero .info');
        await page.keyboard.press('Enter');
        await page.waitForSelector('.popover');
        found.popover = await page.innerText('.popover');
        found.inside = await page.evaluate(() => document.activeElement.className);
        await page.keyboard.press('Escape');
        await page.waitForSelector('.popover', {state: 'detached'});  // its toggle event comes when the browser has the time
        found.back = await focused();
        await page.focus('.hero .chart');
        await page.keyboard.press('End');
        found.newest = await page.innerText('.hero .readout');
        await page.keyboard.press('ArrowLeft');
        found.before = await page.innerText('.hero .readout');
        await page.focus('#range-4w');
        await act(page, () => page.keyboard.press('Enter'));
        found.kept = await page.evaluate(() => document.activeElement.id);
        found.pressed = await page.getAttribute('#range-4w', 'aria-pressed');
        await visit(page, given.retention);
        await page.focus('.heat tbody button[tabindex="0"]');
        const cell = await focused();
        await page.keyboard.press('ArrowDown');
        await page.keyboard.press('ArrowRight');
        found.cells = [cell, await focused()];
        await page.keyboard.press('Enter');
        await page.waitForSelector('.popover');
        found.cell = await page.innerText('.popover');
        return found;
    },
    // What was noted beside the numbers: seen, pointed at, walked to, printed; and its absence, when the request fails.
    async notes() {
        const notes = page => page.evaluate(() => ({list: [...document.querySelectorAll('.notes li')].map(entry => entry.innerText.replace(/\s+/g, ' ')),
            flags: [...document.querySelectorAll('.flag')].map(flag => flag.getAttribute('aria-label')), poles: document.querySelectorAll('.pole').length,
            charts: document.querySelectorAll('canvas').length, violations: window.violations, sideways: document.documentElement.scrollWidth - innerWidth}));
        const tip = async (page, count) => await page.waitForFunction(wanted => document.querySelectorAll('.tip:not([hidden])').length === wanted, count)
            && page.$$eval('.tip:not([hidden])', tips => tips.map(tip => tip.innerText.replace(/\s+/g, ' ')));
        const found = {audits: []};
        for (const theme of ['light', 'dark']) {
            const page = await open({theme});
            await visit(page, given.fragment);
            found.seen = await notes(page);
            await page.hover('.flag >> nth=-1');
            found.hovered = await tip(page, 1);
            found.tipInside = await page.evaluate(() => {
                const tip = document.querySelector('.tip:not([hidden])').getBoundingClientRect(), chart = document.querySelector('.hero .chart').getBoundingClientRect();
                return tip.left >= chart.left && tip.right <= chart.right && tip.top >= chart.top;
            });
            found.audits.push(...await audit(page));
            await page.mouse.move(5, 5);
            await page.focus('.hero .chart');
            await page.keyboard.press('End');
            found.readout = await page.innerText('.hero .readout');
            await page.keyboard.press('Tab');
            found.focused = [await page.evaluate(() => document.activeElement.getAttribute('aria-label')), await tip(page, 1)];
            await page.keyboard.press('Escape');
            found.closed = await tip(page, 0);
            await page.emulateMedia({media: 'print'});
            found.printed = await page.isVisible('.notes');
            await page.context().close();
        }
        const page = await open({width: 360, height: 740});
        await visit(page, given.weeks);
        found.weeks = await notes(page);
        await visit(page, given.without);
        found.without = await notes(page);
        const failing = await open();
        await failing.route('**/notes', route => route.fulfill({status: 503, contentType: 'application/problem+json', body: '{"type":"urn:throng:problem:unavailable","title":"Later","status":503}'}));
        await visit(failing, given.fragment);
        found.failed = {...await notes(failing), text: await failing.innerText('main')};
        return found;
    },
    // A link keeps the view; back leads back.
    async link() {
        const page = await open();
        await visit(page, given.fragment);
        await act(page, () => page.click('#range-6m'));
        await act(page, () => page.check('#compare'));
        await act(page, () => page.selectOption('#interval', 'week'));
        const address = page.url(), first = await read(page);
        const other = await open();
        await other.goto(address);
        await shown(other);
        await still(other);
        const second = await read(other);
        await act(page, () => page.goBack());
        return {address, same: JSON.stringify(first.cards) === JSON.stringify(second.cards), dates: second.text.match(/\d+ \w+ \d{4} – \d+ \w+ \d{4}/)?.[0], back: page.url()};
    },
    async themes() {
        const page = await open({theme: 'dark'}), theme = () => page.evaluate(() => document.documentElement.dataset.theme);
        await visit(page, given.fragment);
        const found = [await theme()];
        await act(page, () => page.click('#theme'));
        found.push(await theme());
        await page.reload();
        await shown(page);
        found.push(await theme());
        return found;
    },
    async live() {
        const page = await open();
        await visit(page, given.fragment);
        await page.waitForFunction(count => document.querySelectorAll('table.live tbody tr').length >= count, given.count);
        return read(page);
    },
    // Times of so many first views, each as a new reader's, and of three changes of the range each; ms since the page was asked for.
    async paces() {
        const firsts = [], ranges = [];
        for (let i = 0; i < given.times; i++) {
            const before = [transferred, addresses.length], page = await open();
            await visit(page, given.fragment);
            const marks = await page.evaluate(() => {
                const [asked, shown] = ['throng:asked', 'throng:shown'].map(name => performance.getEntriesByName(name)[0].startTime);
                const answers = performance.getEntriesByType('resource').filter(entry => entry.name.includes('/v1/') && entry.responseEnd <= shown);
                return {asked, answered: Math.max(...answers.map(entry => entry.responseEnd)), shown};
            });
            firsts.push({...marks, bytes: transferred - before[0], requests: addresses.length - before[1]});
            for (const range of ['6m', '3m', '4w'])
                await act(page, () => page.click(`#range-${range}`));
            ranges.push(...(await measures(page)).slice(1));
            await page.context().close();
        }
        return {firsts, ranges};
    },
    // For the repository: see screenshots. height 0: all of the page.
    async pictures() {
        for (const {file, fragment, theme, width, height, scale} of given.pictures) {
            const page = await open({theme, width, height: height || 900, scale});
            await visit(page, fragment);
            await page.evaluate(() => document.fonts.ready);
            await still(page);
            await page.screenshot({path: file, fullPage: height === 0});
            await page.context().close();
        }
    },
    // Times, to be told and not to be held to: of the first view and of changes of the range; and what the first one transfers.
    async pace() {
        const page = await open(), started = Date.now();
        await visit(page, given.fragment);
        const first = {took: Date.now() - started, view: (await measures(page))[0], transferred, requests: addresses.length};
        for (const range of ['6m', '4w', '3m', '13m'])
            await act(page, () => page.click(`#range-${range}`));
        return {...first, changes: (await measures(page)).slice(1)};
    },
};

try {
    const result = await scenarios[scenario]();
    console.log(JSON.stringify({result, errors, addresses, strangers}));
} finally {
    await browser.close();
}
