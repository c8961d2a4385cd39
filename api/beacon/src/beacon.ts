/*
 * The beacon: one source of numbered events for each page load, kept in memory until an answer says what became of them.
 *
 * Sees:     location.pathname (with hash routing, the path in the hash); what the page passes in; with `sources`, the
 *           referrer's host and utm_source, of which only a declared name goes on. No title, form field, query or cookie.
 * Stores:   nothing, but: the session's name in sessionStorage with session 'tab', and an opt-out in localStorage.
 * Failure:  an event ends as accepted, or under the reason that status() counts it by; until then it is waiting.
 */

/** Values of declared properties. */
export type Props = Record<string, string | number | boolean | undefined>;

export interface Options {
    /** The app's write key. */
    key: string;
    /** Where events are sent: the address of POST /v1/events. */
    events: string;
    /** Who uses the page, as the app knows them. Without it they are a visitor of the day, if the app takes those. */
    user?: string;
    /** 'tab' keeps a session's name in sessionStorage. By default the server tells sessions by pauses. */
    session?: 'tab';
    /** 'history' (default): path of the address; 'hash': path in the hash; 'manual': only what page() says. */
    routing?: 'history' | 'hash' | 'manual';
    /** Name of the view event, which has the property `page`, and `source` with sources. Default: page_view. */
    view?: string;
    /** Name of the event that carries engaged time on, as it grows. Default: none; other events carry it. */
    engaged?: string;
    /** Values of the property `depth` of the event `scroll`, ascending, in per cent. Default: none. */
    scroll?: string;
    /** The app's classes of referrers. Default: none, and no referrer is read. */
    sources?: Record<string, string>;
    /** Hold events in memory until consent() says what to do with them. */
    consent?: 'required' | boolean;
    /** Count browsers that are driven by a program, for tests. */
    bots?: boolean;
}

export interface Status {
    /** on; waiting (for consent, or to be shown); or why nothing is counted: optOut, gpc, dnt, bot, consent. */
    state: string;
    /** Events that are not settled yet. */
    waiting: number;
    /** What became of the others: accepted, rejected, dropped (by the server), full (too many waited), http400 and the like. */
    [what: string]: string | number;
}

/** An app's events: `throng app types APP` writes their type. */
export interface AnyEvent {
    name: string;
    props?: Props;
}

export interface Throng<E extends {name: string; props?: object} = AnyEvent> {
    /** Count an event. */
    track<Name extends E['name']>(name: Name, props?: (E & {name: Name})['props']): void;
    /** Count a view of a path or route template. */
    page(path: string): void;
    /** From now on events are this user's; nobody's without. */
    user(id?: string): void;
    /** true sends what was held; false drops it, and what comes. */
    consent(given: boolean): void;
    /** Count nothing any more in this browser; false takes it back. */
    optOut(out?: boolean): void;
    status(): Status;
    /** Print what is sent and what was answered. */
    debug(): void;
}

/** An event as it is sent, but for the time: the page's own steady clock, which nobody sets. */
interface Entry {
    ts: number;
    name: string;
    user?: string;
    seq: number;
    engaged_ms: number;
    props: object;
}

const BUDGET_BYTES = 6e4; // of the 64 KiB that a page's keepalive requests may have on their way together
const BATCH_EVENTS = 40;
const QUEUE_EVENTS = 6e4;
const IDLE_MS = 3e4;
const TICK_MS = 1e3;

/** Start counting. Once a page load; in a browser only. */
export function start<E extends {name: string; props?: object} = AnyEvent>(o: Options): Throng<E> {
    const d = document as Document & {prerendering?: boolean}, l = location;
    const n = navigator as Omit<Navigator, 'doNotTrack'> & {globalPrivacyControl?: boolean; doNotTrack?: unknown};
    const source = crypto.getRandomValues(new Uint32Array(4)).join('-');
    const counts: Record<string, number> & {waiting: number} = {waiting: 0};
    let seq = 0;
    let engaged = 0, active = 0;
    let opted: unknown, session: string | undefined;
    let log: ((...what: unknown[]) => void) | undefined;
    let last = '', from: string | undefined, bucket = 0;
    let underway = 0, pause = 0, again = 0;
    const queue: Entry[] = [];

    const now = () => performance.now();
    const settle = (what: string, count: number) => {
        counts[what] = count + (counts[what] || 0);
        counts.waiting -= count;
    };
    const state = () => {
        try {
            opted = localStorage.throng; // another tab may have set it
        } catch {} // a browser may forbid all storage
        return opted ? 'optOut' : n.globalPrivacyControl ? 'gpc' : (n.doNotTrack as number) > 0 ? 'dnt' :
        n.webdriver && !o.bots ? 'bot' : (o.consent as boolean) == false ? 'consent' :
        (o.consent as string)?.[0] || d.prerendering ? 'waiting' : 'on';
    };

    const flush = async (hiding?: unknown) => {
        const why = state();
        if (why != 'on')
            return why == 'waiting' || settle(why, queue.splice(0).length);
        if (!queue[0] || !hiding && (underway || now() < again))
            return;
        try {
            session = o.session && (sessionStorage.throng ||= source);
        } catch {}
        const sent_at = Date.now();
        const batch = queue.splice(0, BATCH_EVENTS);
        const body = JSON.stringify({key: o.key, consent: o.consent, sent_at, source,
            events: batch.map(event => ({...event, session, ts: Math.round(sent_at - now() + event.ts)}))});
        const bytes = new Blob([body]).size;
        const keepalive = (underway += bytes) < BUDGET_BYTES; // before more is taken below
        log?.(body);
        if (hiding && keepalive)
            flush(1);
        try {
            if (hiding && !('keepalive' in Request.prototype))
                throw n.sendBeacon(o.events, body); // and once more if the page lives on: it counts once
            const answer = await fetch(o.events, {method: 'POST', body, keepalive, credentials: 'omit', referrer: ''});
            const status = answer.status;
            let result = await answer.json();
            log?.(status, result);
            if (status == 429 || status > 499)
                throw 0;
            if (status > 299)
                result = {['http' + status]: batch};
            for (const what in result) // accepted, rejected (a list), dropped
                settle(what, result[what].length ?? result[what]);
            pause = 0;
        } catch {
            queue.unshift(...batch);
            again = now() + (pause = pause % 3e5 * 2 + 1e3);
        }
        underway -= bytes;
        flush();
    };
    const track = (name: string, props?: unknown) => {
        if (queue.length < QUEUE_EVENTS)
            queue.push({ts: now(), name, user: o.user, seq: seq++, engaged_ms: engaged, props: JSON.parse(JSON.stringify(props || {}))});
        else
            settle('full', 1);
        counts.waiting++;
        engaged = 0;
        if (d.hidden)
            flush(underway < BUDGET_BYTES && !pause); // it may be the last chance
    };

    const view = (page: string) => {
        last = page;
        bucket = 0;
        track(o.view || 'page_view', {page, source: from});
    };

    /* Whatever happens, and every second: time counts for a while after each sign of a person, while the page is seen
     * and has the focus; the first view counts once it is seen. */
    const notice = (event: {type?: string} | 0) => {
        const type = (event as {type?: string}).type, hiding = d.hidden || type == 'pagehide', t = now();
        if (hiding || !d.hasFocus())
            active = 0;
        else if (event)
            active = t + IDLE_MS;
        else if (t < active)
            engaged += TICK_MS;
        const path = o.routing == 'manual' ? last :
            o.routing == 'hash' ? l.hash.match(/^#(\/[^?#]*)|/)![1] || '/' : l.pathname;
        if ((last || !hiding) && path != last)
            view(path);
        if (o.engaged && engaged > (hiding ? 0 : 1e4 + t / 4))
            track(o.engaged);
        if (type == 'pagehide')
            last = '';
        if (type == 'online')
            again = 0;
        for (let depth; type == 'scroll' && (depth = o.scroll?.split(',')[bucket] as unknown as number) <=
            (scrollY + innerHeight) / d.body.scrollHeight * 101; bucket++)
            track(type, {depth});
        if ((event as MouseEvent).button < 2 && /click/.test(type!)) {
            const data = ((event as MouseEvent).target as Element).closest<HTMLElement>('[data-throng]')?.dataset;
            if (data)
                track(data.throng!, JSON.parse(data.throngProps || 0 as never));
        }
        flush(event && hiding);
    };

    if (o.sources) {
        const utm = l.search.match(/utm_source=[^&]*/) as unknown as string;
        let host = d.referrer.split('/')[2];
        if (utm || host != l.host) {
            for (from = o.sources[utm]; host && !from; host = host.replace(/[^.]*.?/, ''))
                from = o.sources[host];
            from ||= utm || host == '' ? 'other' : 'direct';
        }
    }
    'scroll,click,auxclick,pagehide,online,keyup,pointermove,visibilitychange'.split(',').map(name =>
        addEventListener(name, notice, true));
    setInterval(notice, TICK_MS, 0);
    notice({});

    return {
        page: view,
        track,
        user(id) {
            o.user = id;
        },
        consent(given) {
            o.consent = given;
        },
        optOut(out: unknown = 1) {
            opted = out || '';
            localStorage.throng = opted;
        },
        status: () => ({...counts, state: state()}),
        debug() {
            log = console.log;
        },
    };
}
