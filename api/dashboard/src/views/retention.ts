// Retention as a table that is also a heat map: cohorts down, periods after the first across. Arrow keys move through it.
import * as api from '../api';
import {suppressedHint} from '../cards';
import {appPath, chooseInterval, Context, Loaded, metricOf} from '../context';
import {Child, h} from '../dom';
import {interval as intervalText, number, percent, period as periodText, periodShort} from '../format';
import {card, csvOf, failed, infoButton, leafCode, entryOf, nothing, openPopover, select, table, tableBehind, unfunded, valueCell, noticeOf} from '../parts';
import {startOf} from '../periods';
import type {Bounded, Period, Reference, Row, Series} from '../types';

const heat = (share: number) => Math.max(0, Math.min(9, Math.floor(Math.sqrt(share) * 10)));

interface Grid {
    cohorts: string[];
    columns: number[];
    cells: Map<string, Row>;
}

function gridOf(rows: Row[]): Grid {
    const cells = new Map(rows.map(row => [`${row.cohort} ${row.n}`, row]));
    return {cells, cohorts: [...new Set(rows.map(row => row.cohort!))], columns: [...new Set(rows.map(row => row.n!))].filter(n => n > 0).sort((a, b) => a - b)};
}

// Over complete cells, weighted by the size of their cohorts. The noises of cells and of sizes are independent: they add by squares
// (the ratio's first-order error).
export function average(grid: Grid, n: number): Bounded | null {
    const square = (of: Bounded) => (((of.high ?? of.value!) - (of.low ?? of.value!)) / 2) ** 2;
    let came = 0, size = 0, cells = 0, sizes = 0, exact = true;
    for (const cohort of grid.cohorts) {
        const cell = grid.cells.get(`${cohort} ${n}`), first = grid.cells.get(`${cohort} 0`);
        if (cell?.value == null || first?.value == null || first.value <= 0)
            continue;
        came += cell.value;
        size += first.value;
        exact = exact && cell.reliability === 'exact';
        cells += square(cell);
        sizes += square(first);
    }
    if (size === 0)
        return null;
    const value = came / size, half = Math.sqrt(cells + value ** 2 * sizes) / size;
    return {value, low: Math.max(0, value - half), high: value + half, reliability: exact ? 'exact' : 'high'};
}

function explain(context: Context, row: Row, unit: string, definition: Reference): Child[] {
    return [h('h3', {}, row.n === 0 ? 'Size of the cohort' : `Came back, ${unit} ${row.n}`),
        h('p', {}, `Cohort of the ${periodText(row.cohort!, unit as Period).replace(/^week of/, 'week of')}: users whose first ${unit} this was.`),
        h('dl', {class: 'facts'},
            h('dt', {}, 'Users'), h('dd', {}, row.value === null ? 'suppressed: too few people are behind it' : `${number(row.value, 'users')}; ${intervalText(row, 'users')}`),
            row.share ? [h('dt', {}, 'Share'), h('dd', {}, row.share.value === null ? 'suppressed' : `${percent(row.share.value)}; ${intervalText(row.share, 'ratio')}`)] : null,
            h('dt', {}, 'Reliability'), h('dd', {}, row.share?.reliability ?? row.reliability),
            h('dt', {}, 'Audit leaf'), h('dd', {}, h('code', {class: 'leaf'}, row.audit_leaf), entryOf(row)),
            h('dt', {}, 'Definition'), h('dd', {}, h('code', {}, `${definition.id} v${definition.version}`)),
            h('dt', {}, 'Time zone'), h('dd', {}, context.catalogue.time_zone))];
}

function cellOf(context: Context, row: Row | undefined, unit: string, definition: Reference): HTMLElement {
    if (row === undefined)
        return h('td', {class: 'blank'}, h('span', {class: 'sr'}, 'not released or not over'));
    const shown = row.n === 0 ? row : row.share;
    const label = shown?.value == null ? 'suppressed' : row.n === 0 ? number(row.value!, 'users') : percent(shown.value);
    const half = shown?.value != null && shown.reliability !== 'exact' && shown.low !== null && shown.high !== null ? (shown.high - shown.low) / 2 : null;
    const button = h('button', {type: 'button', tabindex: -1, 'aria-haspopup': 'dialog', 'aria-expanded': 'false'},
        shown?.value == null ? h('span', {class: 'sr'}, 'suppressed') : label.replace(' %', ''),
        half !== null && h('small', {}, row.n === 0 ? `±${Math.ceil(half)}` : `±${(half * 100).toFixed(1)}`),
        h('span', {class: 'sr'}, row.n === 0 ? ' users' : ` per cent, ${unit} ${row.n}`));
    button.addEventListener('click', () => openPopover(button, 'A cell of the table', explain(context, row, unit, definition)));
    const kind = shown?.value == null ? 'hatched' : row.n === 0 ? 'size' : `heat-${heat(shown.value)}`;
    return h('td', {class: kind}, button);
}

// One stop for the tab key; arrows, Home and End go on from there.
function roving(element: HTMLElement): void {
    const rows = () => [...element.querySelectorAll('tbody tr')].map(row => [...row.querySelectorAll<HTMLElement>('td')].map(cell => cell.querySelector('button')));
    const first = element.querySelector<HTMLElement>('tbody button');
    if (first)
        first.tabIndex = 0;
    element.addEventListener('keydown', event => {
        const grid = rows(), y = grid.findIndex(row => row.includes(document.activeElement as HTMLButtonElement));
        const x = y < 0 ? -1 : grid[y].indexOf(document.activeElement as HTMLButtonElement);
        const moves: Record<string, [number, number]> = {ArrowLeft: [y, x - 1], ArrowRight: [y, x + 1], ArrowUp: [y - 1, x], ArrowDown: [y + 1, x], Home: [y, 0],
            End: [y, x < 0 ? 0 : grid[y].length - 1]};
        if (x < 0 || !(event.key in moves))
            return;
        let [row, column] = moves[event.key];
        if (event.key === 'End')
            while (column > 0 && !grid[row][column])
                column--;
        const target = grid[row]?.[column];
        event.preventDefault();
        if (!target)
            return;
        (document.activeElement as HTMLElement).tabIndex = -1;
        target.tabIndex = 0;
        target.focus();
    });
}

function heatMap(context: Context, series: Series, grid: Grid, unit: Period): HTMLElement {
    const name = unit === 'month' ? 'Month' : unit === 'week' ? 'Week' : 'Day';
    const averages = grid.columns.map(n => average(grid, n));
    const element = h('div', {class: 'heat', tabindex: 0, role: 'region', 'aria-label': 'Cohorts'}, h('table', {},
        h('caption', {class: 'sr'}, `Share of each cohort that came back, by ${unit}, in per cent with half the 95 % interval`),
        h('thead', {}, h('tr', {}, h('th', {scope: 'col'}, 'Cohort'), h('th', {scope: 'col', class: 'n'}, 'Users'), grid.columns.map(n => h('th', {scope: 'col', class: 'n'}, `${name} ${n}`)))),
        h('tbody', {}, [...grid.cohorts].reverse().map(cohort => h('tr', {}, h('th', {scope: 'row'}, unit === 'month' ? periodText(cohort, 'month') : periodShort(cohort, unit) + ' ' + cohort.slice(0, 4)),
            cellOf(context, grid.cells.get(`${cohort} 0`), unit, series.definition), grid.columns.map(n => cellOf(context, grid.cells.get(`${cohort} ${n}`), unit, series.definition))))),
        h('tfoot', {}, h('tr', {}, h('th', {scope: 'row'}, 'Weighted mean'), h('td', {}), averages.map(mean => h('td', {},
            mean?.value == null ? '–' : [percent(mean.value).replace(' %', ''), mean.reliability === 'exact' ? null : h('small', {}, `±${((mean.high! - mean.low!) * 50).toFixed(1)}`)]))))));
    roving(element);
    return element;
}

export async function retention(context: Context): Promise<Node> {
    const orAfter = context.state.kind === 'on_or_after', metric = metricOf(context, orAfter ? 'retention_on_or_after' : 'retention');
    const kinds = select('Came back', [['on', 'on exactly that period'], ['on_or_after', 'on that month or after']], orAfter ? 'on_or_after' : 'on', kind => context.go({kind: kind === 'on' ? '' : kind}));
    if (metric === undefined)
        return nothing('No retention');
    const wanted: Period = context.state.interval !== 'auto' ? context.state.interval : context.range.days > 190 || orAfter ? 'month' : 'week';
    const {interval, why} = chooseInterval(metric.intervals, wanted);
    const units = orAfter ? null : select('Cohorts', [['week', 'by week'], ['month', 'by month']], interval ?? wanted, unit => context.go({interval: unit as Period}));
    const label = orAfter ? 'Retention, on or after' : 'Retention', heading = {label, aside: [units, kinds].filter(Boolean) as Node[],
        info: infoButton({title: label, definition: metric.definition, unit: 'users', zone: context.catalogue.time_zone, protection: context.catalogue.protection})};
    if (interval === null)
        return card(heading, unfunded(why));
    const path = api.url(appPath(context, 'retention'), {kind: orAfter ? 'on_or_after' : undefined, interval, from: orAfter ? undefined : startOf(context.range.from, interval), to: context.range.to});
    context.downloads.push({label, name: `${context.catalogue.app}-${orAfter ? 'retention-on-or-after' : 'retention'}-${interval}.csv`, path});
    let series: Series;
    try {
        series = await api.series(path);
    } catch (error) {
        return card(heading, failed(error, context.again));
    }
    if (series.rows.length === 0)
        return card(heading, nothing(orAfter ? 'No cohort has matured yet' : 'No cohort in this range', orAfter ? 'A month\'s cohort is released once, when its twelve months are over.' : 'A cohort appears when its first period is over.'));
    const grid = gridOf(series.rows), loaded: Loaded = {interval, why: null, series, before: new Map(), periods: [], error: null, coarser: false};
    context.downloads.push({label: 'Weighted mean', name: `${context.catalogue.app}-retention-mean.csv`,
        text: () => csvOf(['n', 'share', 'low', 'high'], grid.columns.map(n => [n, ...(mean => [mean?.value, mean?.low, mean?.high])(average(grid, n))]))});
    return h('div', {class: 'stack'}, card({...heading, class: 'wide'},
        h('p', {class: 'hint'}, `Per cent of the cohort${orAfter ? ' that were there in the n-th month or a later one' : ` that were there in exactly the n-th ${interval}`}, each with half its 95 % interval. Users are linked for ${series.linkable_days} days: who stays away longer counts as new.`),
        heatMap(context, series, grid, interval),
        h('div', {class: 'scale', 'aria-hidden': 'true'}, '0 %', [...Array(10).keys()].map(i => h('span', {class: `heat-${i}`})), '100 %', h('span', {class: 'hatched'}), 'suppressed'),
        suppressedHint(loaded, series.rows) ?? noticeOf(series.notice),
        h('footer', {class: 'card-foot'}, tableBehind(label, () => table(label, [
            {label: 'Cohort', cell: (row: Row) => periodText(row.cohort!, interval)},
            {label: 'n', number: true, cell: row => row.n},
            {label: 'Users', number: true, cell: row => valueCell(row, 'users')},
            {label: 'Share', number: true, cell: row => valueCell(row.share, 'ratio')},
            {label: 'Audit leaf', cell: row => leafCode(row.audit_leaf)},
        ], series.rows)))));
}
