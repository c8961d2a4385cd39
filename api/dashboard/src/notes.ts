// What an operator noted beside the numbers: a mark and a flag in the chart, with the words in a tooltip; and a list below it, which
// is there for who hears the page or prints it.
import type uPlot from 'uplot';
import * as api from './api';
import {appPath, Context, Loaded} from './context';
import {Child, h, styled, svg} from './dom';
import {date} from './format';
import {startOf} from './periods';
import type {Note, Notes} from './types';

export interface Flag extends Note {
    index: number; // of its period in the chart; -1: none of the chart's
}

const TARGET_PX = 24; // what a finger or an unsteady hand needs; what is closer shares a flag
const TIP_NOTES = 3;
const SCROLLED_NOTES = 8;

// Numbers without their notes are better than none.
export async function loadNotes(context: Context): Promise<Note[]> {
    try {
        return (await api.get<Notes>(appPath(context, 'notes'))).notes;
    } catch {
        return [];
    }
}

// Those of the range, and of the chart's periods, which may reach beyond it.
export function flagsOf(context: Context, loaded: Loaded, notes: Note[]): Flag[] {
    const {interval, periods} = loaded;
    if (interval === null)
        return [];
    const from = startOf(context.range.from, interval);
    return notes.map(note => ({...note, index: periods.indexOf(startOf(note.day, interval))}))
        .filter(({day, index}) => index >= 0 || (day >= from && day <= context.range.to));
}

export const noteText = (note: Note) => `Note, ${date(note.day)}: ${note.text}`;

const line = (note: Note): Child[] => [h('time', {datetime: note.day}, date(note.day)), ' ', h('span', {}, note.text)];

export function notesList(flags: Flag[]): HTMLElement | null {
    if (flags.length === 0)
        return null;
    const scrolled = flags.length > SCROLLED_NOTES;
    return h('div', {class: 'notes', ...(scrolled ? {role: 'region', tabindex: 0, 'aria-label': 'Notes'} : {})},
        h('h3', {}, 'Notes'), h('ul', {}, [...flags].reverse().map(note => h('li', {}, line(note)))));
}

// Above its flag, and within the chart.
function openTip(flag: HTMLElement, tip: HTMLElement, chart: HTMLElement): void {
    tip.hidden = false;
    styled(tip, {left: '0px', 'max-width': `${Math.min(280, chart.clientWidth - 8)}px`});
    const edges = chart.getBoundingClientRect(), own = tip.getBoundingClientRect(), centre = flag.getBoundingClientRect().left + (flag.offsetWidth - own.width) / 2;
    styled(tip, {left: `${Math.max(edges.left + 4, Math.min(centre, edges.right - own.width - 4)) - own.left}px`});
}

function flagOf(notes: Flag[], at: number, chart: HTMLElement): HTMLElement {
    const hidden = notes.length - TIP_NOTES;
    const tip = h('span', {class: 'tip', hidden: true}, notes.slice(0, TIP_NOTES).map(note => h('span', {class: 'tip-note'}, line(note))),
        hidden > 0 && h('span', {class: 'hint'}, `and ${hidden} more, in the list below`));
    const flag = styled(h('button', {type: 'button', class: 'flag', 'aria-label': notes.map(noteText).join('; ')},
        svg('svg', {viewBox: '0 0 12 16', 'aria-hidden': 'true', focusable: 'false'}, svg('path', {d: 'M0 0h12l-3 4.500 3 4.500H1.500v7H0z'})), tip), {left: `${at}px`});
    const open = () => openTip(flag, tip, chart), close = () => { tip.hidden = true; };
    for (const name of ['pointerenter', 'focus', 'click'])
        flag.addEventListener(name, open);
    for (const name of ['pointerleave', 'blur'])
        flag.addEventListener(name, close);
    flag.addEventListener('keydown', event => { if (event.key === 'Escape') close(); });
    return flag;
}

// One after the other by place, in groups that stand apart.
function apart(flags: Flag[], place: (flag: Flag) => number): {at: number; notes: Flag[]}[] {
    const groups: {at: number; notes: Flag[]}[] = [];
    for (const flag of flags) {
        const at = place(flag), last = groups[groups.length - 1];
        if (last !== undefined && at - last.at < TARGET_PX)
            last.notes.push(flag);
        else
            groups.push({at, notes: [flag]});
    }
    return groups;
}

// Anew whenever the chart is drawn at another size.
export function placeFlags(u: uPlot, flags: Flag[], chart: HTMLElement): void {
    const inside = flags.filter(flag => flag.index >= 0), place = (flag: Flag) => Math.round(u.valToPos(u.data[0][flag.index], 'x'));
    const drawn = u.over.querySelector<HTMLElement>('.flags'), width = String(u.over.clientWidth);
    if (inside.length === 0 || drawn?.dataset.width === width)
        return;
    drawn?.remove();
    u.over.appendChild(h('div', {class: 'flags', 'data-width': width},
        [...new Set(inside.map(place))].map(at => styled(h('span', {class: 'pole', 'aria-hidden': 'true'}), {left: `${at}px`})),
        apart(inside, place).map(group => flagOf(group.notes, group.at, chart))));
}
