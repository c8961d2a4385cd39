// Lines over time with their intervals as bands. What is suppressed is hatched; a lone point has whiskers. The arrow keys move
// through the periods; what is read out is also said.
import uPlot from 'uplot';
import {h, styled} from './dom';
import {axis, interval as intervalText, number, period as periodText, periodShort} from './format';
import {Flag, noteText, placeFlags} from './notes';
import {seconds} from './periods';
import type {Bounded, Interval} from './types';

export interface Line {
    label: string;
    points: (Bounded | null)[]; // one a period; null: there is no number
    colour: number; // 0 to 5: --series-N
    dashed?: boolean;
    unbanded?: boolean;
    before?: (Bounded | null)[]; // of the range before, beside each point
}

export interface ChartOptions {
    label: string;
    periods: string[];
    interval: Interval;
    unit: string;
    metric: string;
    lines: Line[];
    height: number;
    spark?: boolean;
    marks?: Set<string>; // periods to ring on the first line
    flags?: Flag[]; // notes, ascending by day
    readout: HTMLElement;
    rest: string; // what the readout says when nothing is pointed at
}

// Asked of the style once a theme: each question after a change of the page has the browser work out its styles anew.
let colours = new Map<string, string>(), coloured: string | undefined;

function colourOf(name: string): string {
    const {theme} = document.documentElement.dataset;
    if (theme !== coloured)
        colours = new Map();
    coloured = theme;
    const found = colours.get(name) ?? getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    colours.set(name, found);
    return found;
}

const UTC = (at: number) => uPlot.tzDate(new Date(at * 1000), 'Etc/UTC');

function hatch(context: CanvasRenderingContext2D, colour: string): CanvasPattern | null {
    const tile = document.createElement('canvas'), ratio = window.devicePixelRatio || 1, size = Math.round(6 * ratio);
    tile.width = tile.height = size;
    const pen = tile.getContext('2d')!;
    pen.strokeStyle = colour;
    pen.lineWidth = ratio;
    pen.beginPath();
    pen.moveTo(0, size);
    pen.lineTo(size, 0);
    pen.stroke();
    return context.createPattern(tile, 'repeat');
}

// The periods in which every line is suppressed, as areas behind everything; where only some are, and in a small chart, a strip at the foot.
function drawSuppressed(u: uPlot, options: ChartOptions): void {
    const lines = options.lines.filter(line => !line.dashed), xs = u.data[0], {ctx, bbox} = u;
    const half = xs.length > 1 ? (u.valToPos(xs[1], 'x', true) - u.valToPos(xs[0], 'x', true)) / 2 : bbox.width / 4;
    const strip = Math.min(bbox.height, 10 * (window.devicePixelRatio || 1)), area = options.spark ? strip : bbox.height;
    const pattern = hatch(ctx, colourOf('--hatch'));
    if (!pattern)
        return;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.fillStyle = pattern;
    xs.forEach((x, i) => {
        const height = lines.every(line => line.points[i]?.value == null) ? area : strip;
        if (lines.some(line => line.points[i]?.reliability === 'suppressed'))
            ctx.fillRect(u.valToPos(x, 'x', true) - half, bbox.top + bbox.height - height, half * 2, height);
    });
    ctx.restore();
}

// A point without neighbours has no band to be seen: it gets whiskers.
function drawLone(u: uPlot, options: ChartOptions): void {
    const {ctx} = u, ratio = window.devicePixelRatio || 1;
    ctx.save();
    ctx.lineWidth = 1.5 * ratio;
    ctx.setLineDash([]);
    for (const line of options.lines) {
        ctx.strokeStyle = colourOf(`--series-${line.colour}`);
        line.points.forEach((point, i) => {
            const alone = point?.value != null && line.points[i - 1]?.value == null && line.points[i + 1]?.value == null;
            if (!alone || point?.low == null || point.high == null || line.unbanded)
                return;
            const x = u.valToPos(u.data[0][i], 'x', true), top = u.valToPos(point.high, 'y', true), bottom = u.valToPos(point.low, 'y', true);
            ctx.beginPath();
            ctx.moveTo(x, top);
            ctx.lineTo(x, bottom);
            for (const y of [top, bottom]) {
                ctx.moveTo(x - 4 * ratio, y);
                ctx.lineTo(x + 4 * ratio, y);
            }
            ctx.stroke();
        });
    }
    ctx.restore();
}

function drawMarks(u: uPlot, options: ChartOptions): void {
    const {ctx} = u, ratio = window.devicePixelRatio || 1;
    ctx.save();
    ctx.strokeStyle = colourOf('--warn');
    ctx.lineWidth = 2 * ratio;
    ctx.setLineDash([]);
    options.periods.forEach((period, i) => {
        const value = options.lines[0].points[i]?.value;
        if (!options.marks?.has(period) || value == null)
            return;
        ctx.beginPath();
        ctx.arc(u.valToPos(u.data[0][i], 'x', true), u.valToPos(value, 'y', true), 6 * ratio, 0, 2 * Math.PI);
        ctx.stroke();
    });
    ctx.restore();
}

// Labels stand at periods, as many as there is room for, the newest among them.
function labelled(u: uPlot): number[] {
    const xs = u.data[0] as number[], room = Math.max(1, Math.floor(u.bbox.width / (window.devicePixelRatio || 1) / (innerWidth < 600 ? 66 : 84)));
    const every = Math.max(1, Math.ceil(xs.length / room));
    return xs.filter((_, i) => (xs.length - 1 - i) % every === 0);
}

function axesOf(options: ChartOptions): uPlot.Axis[] {
    const muted = colourOf('--muted'), line = colourOf('--grid'), font = `12px ${colourOf('--font') || 'sans-serif'}`;
    if (options.spark)
        return [{show: false}, {show: false}];
    const ticks = {show: false};
    const every = (u: uPlot, splits: number[]) => splits.map(at => {
        const then = UTC(at), date = `${then.getFullYear()}-${String(then.getMonth() + 1).padStart(2, '0')}-${String(then.getDate()).padStart(2, '0')}`;
        const long = options.interval === 'month' || (u.scales.x.max! - u.scales.x.min!) > 200 * 86400;
        return long ? periodShort(date, 'month') : periodShort(date, 'day');
    });
    return [
        {stroke: muted, font, grid: {show: false}, ticks, values: every, splits: labelled, gap: 8, size: 30},
        {stroke: muted, font, grid: {stroke: line, width: 1}, ticks, gap: 8, space: 44,
            values: (_, splits) => splits.map(value => axis(value, options.unit, options.metric)),
            size: (_, values) => 18 + 7 * Math.max(0, ...(values ?? []).map(value => value.length))},
    ];
}

function seriesOf(options: ChartOptions): {series: uPlot.Series[]; bands: uPlot.Band[]; data: (number | null)[][]} {
    const series: uPlot.Series[] = [{}], bands: uPlot.Band[] = [], data: (number | null)[][] = [];
    for (const line of options.lines) {
        const stroke = colourOf(`--series-${line.colour}`), first = series.length;
        if (!line.unbanded) {
            series.push({stroke: 'transparent', points: {show: false}}, {stroke: 'transparent', points: {show: false}});
            bands.push({series: [first, first + 1], fill: colourOf(`--band-${line.colour}`)});
            data.push(line.points.map(point => point?.high ?? null), line.points.map(point => point?.low ?? null));
        }
        series.push({stroke, width: options.spark ? 1.5 : 2, ...(line.dashed ? {dash: [5, 5]} : {}),
            points: {fill: stroke, size: options.spark ? 4 : 5, width: 0,
                show: (_u, _s, from, to) => to - from < (options.spark ? 3 : 16)}});
        data.push(line.points.map(point => point?.value ?? null));
        if (line.before) {
            series.push({stroke, width: 1.25, dash: [4, 5], points: {fill: stroke, size: 4, width: 0, show: (_u, _s, from, to) => to - from < 3}});
            data.push(line.before.map(point => point?.value ?? null));
        }
    }
    return {series, bands, data};
}

function yRange(_: uPlot, min: number | null, max: number | null): [number, number] {
    const low = Math.min(0, min ?? 0), high = Math.max(0, max ?? 0);
    return high === low ? [0, 1] : [low < 0 ? low - (high - low) * .06 : 0, high + (high - low) * .06];
}

function say(options: ChartOptions, index: number): void {
    const lines = options.lines.map(line => {
        const point = line.points[index];
        if (point === null || point === undefined)
            return '';
        const value = point.value === null ? 'suppressed' : number(point.value, options.unit, options.metric);
        const bounds = point.value === null || line.unbanded ? '' : ` (${intervalText(point, options.unit, options.metric)})`;
        const before = line.before?.[index], was = before?.value == null ? '' : `, before ${number(before.value, options.unit, options.metric)}`;
        return (options.lines.length > 1 ? `${line.label}: ` : '') + value + bounds + was;
    }).filter(text => text);
    const notes = (options.flags ?? []).filter(flag => flag.index === index).map(noteText);
    options.readout.textContent = [`${periodText(options.periods[index], options.interval)}: ${lines.join(' · ') || 'no number'}`, ...notes].join(' · ');
}

function attach(holder: HTMLElement, options: ChartOptions, width: number): uPlot {
    const {series, bands, data} = seriesOf(options);
    return new uPlot({
        width, height: options.height, series, bands, axes: axesOf(options), tzDate: UTC,
        padding: options.spark ? [6, 4, 4, 4] : [10, 32, 0, 0],
        legend: {show: false},
        scales: {x: {time: true}, y: {range: yRange}},
        cursor: {y: false, drag: {x: false, y: false}, points: {size: 7, width: 0}},
        hooks: {
            drawClear: [u => drawSuppressed(u, options)],
            draw: [u => { drawLone(u, options); drawMarks(u, options); placeFlags(u, options.flags ?? [], holder); }],
            setCursor: [u => {
                if (u.cursor.idx == null || (u.cursor.left ?? -1) < 0)
                    options.readout.textContent = options.rest;
                else
                    say(options, u.cursor.idx);
            }],
        },
    }, [options.periods.map(seconds), ...data] as uPlot.AlignedData, holder);
}

function move(u: uPlot, options: ChartOptions, event: KeyboardEvent): void {
    const last = options.periods.length - 1, at = u.cursor.idx ?? last + 1;
    const steps: Record<string, number> = {ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: last};
    if (!(event.key in steps) || event.metaKey || event.ctrlKey || event.altKey)
        return;
    event.preventDefault();
    const index = Math.min(last, Math.max(0, steps[event.key]));
    u.setCursor({left: u.valToPos(u.data[0][index], 'x'), top: 10});
    say(options, index);
}

// A chart is drawn when its place has a width, and again when that changes.
export function chart(options: ChartOptions): HTMLElement {
    const holder = styled(h('div', {class: options.spark ? 'chart spark' : 'chart', role: 'group', tabindex: 0, 'aria-roledescription': 'chart',
        'aria-label': `${options.label}. Arrow keys move through the periods; the table has all numbers.`}),
    {height: options.height + 'px'});
    let u: uPlot | null = null;
    const observer = new ResizeObserver(entries => {
        const room = entries[entries.length - 1].contentRect.width, width = Math.max(60, Math.round(room)); // measured already: no layout for it
        if (!holder.isConnected) {
            if (u === null) // not on the page yet
                return;
            observer.disconnect();
            u?.destroy();
            u = null;
        } else if (room > 0 && u === null) {
            u = attach(holder, options, width);
        } else if (u !== null && u.width !== width) {
            u.setSize({width, height: options.height});
        }
    });
    observer.observe(holder);
    holder.addEventListener('keydown', event => { if (u !== null && event.target === holder) move(u, options, event); });
    holder.addEventListener('blur', () => { u?.setCursor({left: -10, top: -10}); });
    return holder;
}
