// node browser.mjs SCENARIO ARGUMENTS(JSON): one visit of a real Chromium; prints what it found as JSON.
// site: origin of the pages; gateway: origin of the way to ingest; chromium: its path.
import {chromium} from 'playwright-core';

const [scenario, text] = process.argv.slice(2);
const given = JSON.parse(text);
const sleep = ms => new Promise(resolve => setTimeout(resolve, ms));
const mode = name => fetch(`${given.gateway}/control/${name}`);
const seen = async () => +(await (await fetch(`${given.gateway}/v1/seen`)).text());
const at = path => given.site + path;

async function arrived(count, seconds = 60) {
    for (const until = Date.now() + seconds * 1000; Date.now() < until; await sleep(50)) {
        if (await seen() >= count)
            return true;
    }
    return false;
}

// The name is the browser's own for all requests, also those that outlive their page: ingest drops what calls itself headless.
const PATIENCE_MS = 120000; // of a machine that does other things beside
const browser = await chromium.launch({executablePath: given.chromium, timeout: PATIENCE_MS, args: ['--no-sandbox', '--disable-dev-shm-usage',
    '--user-agent=Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36'],
    ignoreDefaultArgs: ['--disable-back-forward-cache']});
const context = await browser.newContext({viewport: {width: 800, height: 600}});
context.setDefaultTimeout(PATIENCE_MS);
if (given.init)
    await context.addInitScript(given.init);
const page = await context.newPage();
const errors = [], printed = [], requests = [];
// Whatever any page of the browser asks the network for.
context.on('request', request => requests.push([request.method(), request.resourceType(), request.url()]));
page.on('pageerror', error => errors.push(String(error)));
page.on('console', message => (message.type() === 'error' ? errors : printed).push(message.text()));
const status = (of = page) => of.evaluate(() => throng.status());
const settled = (of = page) => of.waitForFunction(() => throng.status().waiting === 0 && throng.status().accepted > 0, null,
    {timeout: PATIENCE_MS, polling: 100}).then(() => status(of));

const scenarios = {
    async reload() {
        await page.goto(at('/story/1?secret=secret-query#secret-hash'));
        for (let i = 0; i < 2; i++) {
            await settled();
            await page.reload();
        }
        return settled();
    },
    // Nothing has left the browser when the tab is closed.
    async close() {
        await page.goto(at('/'));
        await page.evaluate(() => throng.track('signup', {method: 'email'}));
        const before = await seen();
        await page.close({runBeforeUnload: true});
        return {before, arrived: await arrived(2)};
    },
    async leave() {
        await page.goto(at('/'));
        await page.evaluate(() => {
            throng.track('signup', {method: 'email'});
            location.href = 'about:blank';
        });
        return {arrived: await arrived(2)};
    },
    // What was not answered when the page was hidden is not sent again when it is left.
    async hide() {
        await page.goto(at('/'));
        await settled();
        await page.evaluate(() => throng.track('signup', {method: 'email'}));
        await page.evaluate(() => {
            Object.defineProperty(document, 'hidden', {value: true, configurable: true});
            document.dispatchEvent(new Event('visibilitychange'));
            window.dispatchEvent(new PageTransitionEvent('pagehide'));
        });
        return {arrived: await arrived(2)};
    },
    async back() {
        await page.goto(at('/story/1'));
        await page.evaluate(() => addEventListener('pageshow', event => window.kept = event.persisted));
        await settled();
        await page.evaluate(() => location.href = '/story/2');
        await page.waitForURL('**/story/2');
        await arrived(2);
        await page.evaluate(() => history.back());
        const again = await arrived(3);
        return {again, kept: await page.evaluate(() => window.kept ?? false), errors};
    },
    async told() {
        await page.goto(at('/story/1'));
        await page.evaluate(() => throng.track('signup', {method: 'email'}));
        await sleep(2500);
        const before = {seen: await seen(), status: await status()};
        await page.evaluate(() => {
            window.shown = true;
            document.dispatchEvent(new Event('prerenderingchange'));
        });
        return {before, after: await settled()};
    },
    async offline() {
        await page.goto(at('/'));
        await settled();
        await context.setOffline(true);
        for (let i = 0; i < 3; i++) {
            await page.evaluate(() => throng.track('signup', {method: 'email'}));
            await sleep(1200);
        }
        const during = await status();
        await context.setOffline(false);
        return {during, after: await settled()};
    },
    async fault() {
        await page.goto(at('/'));
        await settled();
        await mode(given.mode);
        await page.evaluate(() => throng.track('signup', {method: 'email'}));
        await sleep(4500);
        await page.evaluate(() => throng.track('signup', {method: 'oauth'}));
        const during = await status();
        await mode('');
        return {during, after: await settled()};
    },
    async tabs() {
        const other = await context.newPage();
        await Promise.all([page.goto(at('/story/1')), other.goto(at('/story/2'))]);
        return [await settled(page), await settled(other)];
    },
    // Whatever forbids to count: nothing is sent, in whatever way the page is left.
    async silent() {
        await page.goto(at('/story/1'));
        await page.evaluate(() => throng.track('signup', {method: 'email'}));
        await sleep(2500);
        const found = await status();
        const stored = await page.evaluate(() => [localStorage.length, sessionStorage.length]);
        await page.goto('about:blank');
        await sleep(500);
        return {found, stored};
    },
    async consent() {
        await page.goto(at('/story/1'));
        await page.evaluate(() => throng.track('signup', {method: 'email'}));
        await sleep(2500);
        const held = await status(), before = await seen();
        const stored = await page.evaluate(() => [localStorage.length, sessionStorage.length]);
        await page.evaluate(given => throng.consent(given), given.consent);
        await (given.consent ? settled() : sleep(2500));
        const after = await status();
        await page.evaluate(() => throng.consent(false));
        await page.evaluate(() => throng.track('signup', {method: 'email'}));
        await sleep(1500);
        return {held, before, stored, after, end: await status()};
    },
    async optOut() {
        await page.goto(at('/'));
        await settled();
        await page.evaluate(() => {
            throng.track('signup', {method: 'email'});
            throng.optOut();
        });
        await sleep(1500);
        const out = await status();
        await page.goto(at('/story/1'));
        await sleep(1500);
        const next = await status();
        await page.evaluate(() => throng.optOut(false));
        await page.reload();
        return {out, next, back: await settled()};
    },
    async optOutElsewhere() {
        const other = await context.newPage();
        await page.goto(at('/'));
        await other.goto(at('/'));
        await Promise.all([settled(page), settled(other)]);
        await page.evaluate(() => throng.optOut());
        await other.evaluate(() => throng.track('signup', {method: 'email'}));
        await sleep(1500);
        return status(other);
    },
    async full() {
        await page.goto(at('/'));
        await page.evaluate(count => {
            for (let i = 0; i < count; i++)
                throng.track('burst', {n: i});
        }, given.count);
        const held = await status();
        await page.evaluate(() => throng.consent(false));
        await sleep(1500);
        return {held, after: await status()};
    },
    // A script that the policy does not know is not run, and ours is.
    async csp() {
        await page.goto(at('/story/1'));
        const uninvited = await page.evaluate(() => window.uninvited);
        const refused = errors.splice(0).filter(text => /Content Security Policy/.test(text)).length;
        return {uninvited, refused, ...await settled()};
    },
    async clock() {
        await page.goto(at('/'));
        await page.evaluate(() => throng.track('signup', {method: 'email'}));
        return {there: await page.evaluate(() => Date.now()), here: Date.now(), after: await settled()};
    },
    async burst() {
        await page.goto(at('/'));
        const started = Date.now();
        const blocked = await page.evaluate(count => {
            const from = performance.now();
            for (let i = 0; i < count; i++)
                throng.track('burst', {n: i});
            return performance.now() - from;
        }, given.count);
        const after = await settled();
        return {after, blocked, took: Date.now() - started};
    },
    async views() {
        await page.goto(at('/'));
        // How many views there are then: of what is no other page, none more.
        for (const [path, count] of [['/story/1', 2], ['/story/1?page=secret-query', 2], ['/story/2#secret-hash', 3], ['/about', 4]]) {
            await page.evaluate(path => history.pushState({}, '', path), path);
            await Promise.all([arrived(count), sleep(1300)]);
        }
        await page.evaluate(() => history.back());
        await Promise.all([arrived(5), sleep(1300)]);
        return settled();
    },
    async hash() {
        await page.goto(at('/app#/story/1?secret=secret-query'));
        await arrived(1);
        for (const [path, count] of [['#/story/2', 2], ['#secret-anchor', 3], ['#/about#secret-hash', 4]]) {
            await page.evaluate(path => location.hash = path, path);
            await Promise.all([arrived(count), sleep(1300)]);
        }
        return settled();
    },
    async manual() {
        await page.goto(at('/hidden'));
        await page.evaluate(() => {
            throng.page('/story/:id');
            throng.user('another');
            throng.page('/story/:id');
            throng.user();
        });
        return settled();
    },
    async engaged() {
        const started = Date.now();
        await page.goto(at('/story/1'));
        for (let i = 0; i < 18; i++) {
            await page.mouse.move(10 + i, 10);
            await sleep(1000);
        }
        const grown = await seen();
        await page.evaluate(() => document.hasFocus = () => false);
        const took = Date.now() - started;
        await sleep(3000);
        await page.goto('about:blank');
        await sleep(1000);
        return {grown, took};
    },
    // One sign of a person, and a while without; then signs that nobody sees the page with.
    async idle() {
        await page.goto(at('/story/1'));
        await page.mouse.move(10, 10);
        await sleep(40000);
        await page.evaluate(() => Object.defineProperty(document, 'hidden', {value: true, configurable: true}));
        for (let i = 0; i < 4; i++) {
            await page.mouse.move(20 + i, 10);
            await sleep(1000);
        }
        await page.goto('about:blank');
        await sleep(1000);
        return {};
    },
    async scroll() {
        await page.goto(at('/story/1'));
        for (const top of [500, 100, 1500, 5000]) {
            await page.evaluate(top => scrollTo(0, top), top);
            await sleep(200);
        }
        return settled();
    },
    async clicks() {
        await page.goto(at('/story/1'));
        await page.click('#nothing');
        await page.click('#inner');
        await page.click('#download', {button: 'middle'});
        await page.click('#download', {button: 'right'});
        const found = await settled();
        await page.click('#out');
        await arrived(5);
        return found;
    },
    async source() {
        await page.goto(at(given.path), given.referrer ? {referer: given.referrer} : {});
        return settled();
    },
    async session() {
        await page.goto(at('/story/1'));
        await settled();
        await page.goto(at('/story/2'));
        await settled();
        return page.evaluate(() => [localStorage.length, {...sessionStorage}, document.cookie]);
    },
    async debug() {
        const values = [];
        page.on('console', message => values.push(Promise.all(message.args().map(value => value.jsonValue()))));
        await page.goto(at('/story/1'));
        await settled();
        await page.evaluate(() => {
            throng.debug();
            throng.track('unheard_of');
        });
        await page.waitForFunction(() => throng.status().rejected > 0);
        return {printed: await Promise.all(values), found: await status()};
    },
    // Without keepalive in fetch (Firefox before 133), what is left behind goes by sendBeacon.
    async old() {
        await page.goto(at('/'));
        await page.evaluate(() => throng.track('signup', {method: 'email'}));
        await page.goto('about:blank');
        return {arrived: await arrived(2)};
    },
    async many_at_the_end() {
        await page.goto(at('/'));
        await settled();
        await page.evaluate(count => {
            for (let i = 0; i < count; i++)
                throng.track('burst', {n: i});
            location.href = 'about:blank';
        }, given.count);
        const all = await arrived(given.least ?? given.count + 1);
        await sleep(given.least ? 2000 : 0);
        return {arrived: all};
    },
    // Much in few characters: what the page is hidden with, and what became of each request for it. Left, it is gone; else it lives on.
    async wide() {
        await page.goto(at('/'));
        await settled();
        await page.evaluate(([count, word, left]) => {
            window.tries = [];
            const real = fetch;
            window.fetch = (address, options) => {
                const one = {keepalive: options.keepalive, bytes: new TextEncoder().encode(options.body).length, failed: false};
                tries.push(one);
                const answer = real(address, options);
                answer.catch(() => one.failed = true);
                return answer;
            };
            for (let i = 0; i < count; i++)
                throng.track('rated', {word});
            if (left) {
                location.href = 'about:blank';
            } else {
                Object.defineProperty(document, 'hidden', {value: true, configurable: true});
                document.dispatchEvent(new Event('visibilitychange'));
            }
        }, [given.count, given.word, given.left]);
        if (given.left)
            return {arrived: await arrived(given.least ?? given.count + 1), rest: await sleep(given.least ? 2000 : 0)};
        const atOnce = await page.evaluate(() => tries.length);
        return {after: await settled(), tries: await page.evaluate(() => tries), atOnce};
    },
    // The page's own handlers come after the beacon's, and what they say still leaves.
    async last_words() {
        await page.goto(at('/'));
        await page.evaluate(() => {
            addEventListener('pagehide', () => throng.track('download'));
            document.addEventListener('visibilitychange', () => throng.track('signup', {method: 'email'}));
            throng.track('outbound', {to: 'docs'});
            location.href = 'about:blank';
        });
        return {arrived: await arrived(4)};
    },
    // Main-thread time of the beacon's own code, by Chromium's profiler; and of everything, with and without it.
    async cost() {
        const client = await context.newCDPSession(page);
        await client.send('Profiler.enable');
        await client.send('Profiler.setSamplingInterval', {interval: 100});
        const own = [];
        for (let i = 0; i < given.loads; i++) {
            await client.send('Profiler.start');
            await page.goto(at('/story/' + i));
            await settled();
            const {profile} = await client.send('Profiler.stop');
            const mine = new Set(profile.nodes.filter(node => node.callFrame.url.endsWith('/v1/beacon.js')).map(node => node.id));
            own.push(profile.samples.reduce((sum, id, i) => sum + (mine.has(id) ? profile.timeDeltas[i] : 0), 0) / 1000);
        }
        return {own: own.sort((a, b) => a - b)};
    },
    async module() {
        await page.goto(at('/story/1'));
        await page.evaluate(async ([source, options]) => {
            const {start} = await import(source);
            window.throng = start(options);
        }, [given.module, given.options]);
        return settled();
    },
    // Many people at once, each in a browser of their own; steps: [what, with what], each of which counts something.
    async crowd() {
        const steps = {
            open: (own, path) => own.goto(at(path)),
            route: (own, path) => own.evaluate(path => history.pushState({}, '', path), path),
            click: (own, name) => own.click(name),
            scroll: (own, top) => own.evaluate(top => scrollTo(0, top), top),
        };
        return Promise.all(given.people.map(async walk => {
            const own = await (await browser.newContext({viewport: {width: 800, height: 600}})).newPage();
            own.on('pageerror', error => errors.push(String(error)));
            own.on('console', message => { if (message.type() === 'error') errors.push(message.text()); });
            for (const [what, value] of walk) {
                const before = what === 'open' ? 0 : (await status(own)).accepted;
                await steps[what](own, value);
                await own.waitForFunction(count => throng.status().accepted > count, before, {timeout: PATIENCE_MS, polling: 100});
                await settled(own);
            }
            const said = await status(own);
            await own.context().close();
            return said;
        }));
    },
    async recipe() {
        await page.goto(at('/'));
        const first = await arrived(1);
        for (const path of given.paths)
            await page.evaluate(path => window.go ? go(path) : history.pushState({}, '', path), path);
        return {first, all: await arrived(1 + given.paths.length)};
    },
};

try {
    console.log(JSON.stringify({result: await scenarios[scenario](), errors, requests}));
} finally {
    await browser.close();
}
