// What arrives at the app's test twin, event by event, as a developer sends it.
import * as api from '../api';
import {appPath, Context} from '../context';
import {h} from '../dom';
import {clock, moment, plain, title as titleOf} from '../format';
import {card, csvOf, failed, nothing} from '../parts';
import type {Live, LiveEvent} from '../types';
import {snippet} from './empty';

const EVERY_MS = 2000, SHOWN = 200;

function rowOf(event: LiveEvent, zone: string): HTMLElement {
    const props = Object.entries(event.props);
    return h('tr', {}, h('th', {scope: 'row', class: 'n'}, clock(event.received_at, zone)),
        h('td', {}, h('code', {}, event.name), event.view && [' ', h('span', {class: 'tag'}, 'view')], event.goal && [' ', h('span', {class: 'tag goal'}, 'goal')]),
        h('td', {class: 'n'}, `person ${event.person}`), h('td', {class: 'n'}, event.session === null ? '–' : String(event.session)),
        h('td', {class: 'props'}, props.length === 0 ? '–' : props.map(([name, value]) => h('span', {class: 'prop'}, h('span', {class: 'hint'}, name + ' '), h('code', {}, String(value))))),
        h('td', {class: 'n'}, event.engaged_ms === null ? '–' : `${(event.engaged_ms / 1000).toFixed(1)} s`));
}

export async function live(context: Context): Promise<Node> {
    const path = appPath(context, 'live'), zone = context.catalogue.time_zone;
    let first: Live;
    try {
        first = await api.get<Live>(path, true);
    } catch (error) {
        if (error instanceof api.Problem && error.type === 'no_test_app')
            return h('div', {class: 'stack'}, card({label: 'See your first event at once'}, h('p', {class: 'lead'}, 'A test key writes to a twin of this app that lives for 24 hours. Nothing of it is ever released, so its events can be shown here one by one.'),
                ...snippet(context.catalogue.app)));
        return failed(error, context.again);
    }
    const events = [...first.events];
    context.downloads.push({label: 'Events of the test app', name: `${first.test_app}-events.csv`, text: () => csvOf(['id', 'received_at', 'ts', 'person', 'session', 'name', 'props', 'engaged_ms'],
        events.map(event => [event.id, event.received_at, event.ts, event.person, event.session, event.name, JSON.stringify(event.props), event.engaged_ms]))});
    const body = h('tbody'), seen = h('p', {class: 'lead', role: 'status'}), refused = h('div'), trouble = h('div'), waiting = h('div');
    let paused = false;
    const pause = h('button', {type: 'button', class: 'button', 'aria-pressed': 'false'}, 'Pause');
    pause.addEventListener('click', () => {
        paused = !paused;
        pause.textContent = paused ? 'Go on' : 'Pause';
        pause.setAttribute('aria-pressed', String(paused));
    });
    const show = (state: Live, fresh: LiveEvent[]) => {
        const text = `${plain(state.seen.events)} events of ${plain(state.seen.people)} people in ${plain(state.seen.sessions)} named sessions`;
        if (seen.textContent !== text)
            seen.textContent = text;
        body.prepend(...fresh.map(event => rowOf(event, zone)));
        while (body.childElementCount > SHOWN)
            body.lastElementChild!.remove();
        waiting.replaceChildren(...(body.childElementCount ? [] : [nothing('Waiting for the first event', 'Send one with the test key: it is here within a second or two.')]));
        refused.replaceChildren(...(state.refused.length === 0 ? [] : [card({label: 'Not taken in the last day'}, h('ul', {class: 'conditions'}, state.refused.map(entry =>
            h('li', {}, h('span', {class: 'status warn'}, entry.kind), h('strong', {}, titleOf(entry.reason)), h('span', {}, `${plain(entry.count)} times, last at ${clock(entry.last_minute, zone)}`)))))]));
    };
    show(first, first.events);
    const timer = setInterval(async () => {
        if (!context.alive())
            return clearInterval(timer);
        if (paused || document.hidden)
            return;
        try {
            const state = await api.get<Live>(`${path}?after=${events[0]?.id ?? 0}`, true);
            events.unshift(...state.events);
            show(state, state.events);
            trouble.replaceChildren();
        } catch (error) {
            trouble.replaceChildren(failed(error));
        }
    }, EVERY_MS);
    return h('div', {class: 'stack'}, card({label: `Test app ${first.test_app}`, aside: pause}, seen,
        h('p', {class: 'hint'}, `It lives until ${moment(first.lives_until, zone)} (${zone}). People and sessions have numbers in the order of their appearance.`), trouble, waiting,
        h('div', {class: 'table', tabindex: 0, role: 'region', 'aria-label': 'Events, the newest first'}, h('table', {class: 'live'}, h('caption', {class: 'sr'}, 'Events, the newest first'),
            h('thead', {}, h('tr', {}, ['Received', 'Event', 'Who', 'Session', 'Properties', 'Engaged'].map(label => h('th', {scope: 'col'}, label)))), body))), refused);
}
