// The API, asked with the reader's key, which is held here: in memory, and if the reader wants it for this tab in sessionStorage.
import type {Series} from './types';

const SLOT = 'throng-key';
const KEEP_MS = 5 * 60 * 1000;

export class Problem extends Error {
    constructor(readonly status: number, readonly type: string, message: string) {
        super(message);
    }
}

let key: string | null = null;
let kept = new Map<string, {at: number; answer: Promise<unknown>}>();

export function restoreKey(): string | null {
    try {
        key = sessionStorage.getItem(SLOT);
    } catch { /* a browser may forbid storage: then the key lives as long as the page */ }
    return key;
}

export function setKey(value: string | null, forTab: boolean): void {
    key = value;
    kept = new Map();
    try {
        if (value !== null && forTab)
            sessionStorage.setItem(SLOT, value);
        else
            sessionStorage.removeItem(SLOT);
    } catch { /* see above */ }
}

export const hasKey = () => key !== null;
export const forget = () => { kept = new Map(); };

async function problemOf(response: Response): Promise<Problem> {
    try {
        const {type, title, detail} = await response.json();
        return new Problem(response.status, String(type).replace('urn:throng:problem:', ''), detail ?? title ?? 'no detail');
    } catch {
        return new Problem(response.status, 'unknown', `the server answered with status ${response.status}`);
    }
}

async function ask(path: string, accept: string, statuses: number[] = []): Promise<Response> {
    let response: Response;
    try {
        response = await fetch(path, {headers: {Accept: accept, ...(key === null ? {} : {Authorization: `Bearer ${key}`})},
            credentials: 'same-origin', redirect: 'error', referrerPolicy: 'no-referrer', cache: 'no-store'});
    } catch {
        throw new Problem(0, 'unreachable', 'The server cannot be reached. Released numbers stay where they are: try again.');
    }
    if (!response.ok && !statuses.includes(response.status))
        throw await problemOf(response);
    return response;
}

// The answer as JSON. Released numbers do not change, so that an answer is good for a few minutes; what is new comes with the next.
export function get<T>(path: string, fresh = false): Promise<T> {
    const known = kept.get(path);
    if (!fresh && known && Date.now() - known.at < KEEP_MS)
        return known.answer as Promise<T>;
    const answer = ask(path, 'application/json').then(response => response.json());
    kept.set(path, {at: Date.now(), answer});
    answer.catch(() => kept.delete(path));
    return answer;
}

// An answer that says something in other statuses than 200 too.
export async function getAlways<T>(path: string, statuses: number[]): Promise<T> {
    return (await ask(path, 'application/json', statuses)).json();
}

export const text = async (path: string) => (await ask(path, 'text/plain')).text();

// All pages of a series.
export async function series(path: string): Promise<Series> {
    const first = await get<Series>(path);
    let next = first.next;
    if (next === null)
        return first;
    const rows = [...first.rows];
    while (next !== null) {
        const page: Series = await get<Series>(next);
        rows.push(...page.rows);
        next = page.next;
    }
    return {...first, rows, next: null};
}

// All pages of a series as CSV.
export async function csv(path: string): Promise<string> {
    let next: string | null = path + (path.includes('?') ? '&' : '?') + 'format=csv', all = '';
    while (next !== null) {
        const response: Response = await ask(next, 'text/csv');
        const page = await response.text();
        all += all ? page.slice(page.indexOf('\n') + 1) : page;
        next = /<([^>]+)>;\s*rel="next"/.exec(response.headers.get('Link') ?? '')?.[1] ?? null;
    }
    return all;
}

export function url(path: string, query: Record<string, string | undefined>): string {
    const given = Object.entries(query).filter(([, value]) => value) as [string, string][];
    return path + (given.length ? '?' + new URLSearchParams(given) : '');
}
