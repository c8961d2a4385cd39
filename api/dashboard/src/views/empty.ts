// An app without numbers yet: how its first event gets here.
import type {Context} from '../context';
import {Child, h} from '../dom';
import {card} from '../parts';
import {writeState} from '../state';

function copyable(text: string, label: string): HTMLElement {
    const button = h('button', {type: 'button', class: 'button small'}, 'Copy');
    button.addEventListener('click', async () => {
        try {
            await navigator.clipboard.writeText(text);
            button.textContent = 'Copied';
        } catch {
            const range = document.createRange();
            range.selectNodeContents(code);
            getSelection()?.removeAllRanges();
            getSelection()?.addRange(range);
            button.textContent = 'Selected';
        }
        setTimeout(() => { button.textContent = 'Copy'; }, 2000);
    });
    const code = h('code', {}, text);
    return h('div', {class: 'snippet'}, h('pre', {tabindex: 0, 'aria-label': label}, code), button);
}

// Where events go is the other listener, which this page cannot know: 8080 unless it was set.
export function snippet(app: string): Child[] {
    const server = `${location.protocol}//${location.hostname}:8080`;
    return [h('ol', {class: 'steps'},
        h('li', {}, h('h3', {}, 'Make a test key'), h('p', {}, 'It may be seen by anybody, and what it writes is never released.'), copyable(`throng app key ${app} --test`, 'Command that makes a test key')),
        h('li', {}, h('h3', {}, 'Put the beacon on a page'), h('p', {}, 'Of an origin that the app lists. Under 1.5 KB, no cookie. The address is that of the public listener.'),
            copyable(`<script async src="${server}/v1/beacon.js"\n        data-key="wk_test_…" data-user="u-123"></script>`, 'Beacon for a page'),
            h('p', {class: 'hint'}, 'With the sources, engaged time and scroll depth that the app declares: ', h('code', {}, `throng app snippet ${app}`), ' prints the tag.')),
        h('li', {}, h('h3', {}, 'Or send an event from a backend'), copyable(`curl ${server}/v1/events -H 'Authorization: Bearer wk_test_…' \\\n     -H 'Content-Type: application/json' \\\n     -d '{"events":[{"name":"page_view","ts":'$(date +%s000)',"user":"u-123"}]}'`, 'An event by curl')))];
}

export function empty(context: Context): Node {
    const {catalogue} = context;
    return h('div', {class: 'stack'}, card({label: 'No numbers yet', class: 'welcome'},
        h('p', {class: 'lead'}, `Nothing of ${catalogue.title || catalogue.app} has been released. A day's numbers come once the day is over and its late events are in: about six hours after midnight in ${catalogue.time_zone}. A test key shows events at once.`),
        catalogue.explanation && h('p', {class: 'notice alarm'}, catalogue.explanation),
        ...snippet(catalogue.app),
        h('p', {class: 'actions'}, h('a', {class: 'button primary', href: writeState({...context.state, view: 'live'})}, 'Watch events arrive'),
            h('span', {class: 'hint'}, 'History can be imported: ', h('code', {}, `throng import --app ${catalogue.app} --format jsonl FILE`)))));
}
