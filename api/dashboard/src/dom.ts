// Elements without a framework: h('p', {class: 'x'}, 'text', child). Text is text, never markup.
export type Child = Node | string | number | null | undefined | false | Child[];
type Value = string | number | boolean | null | undefined | ((event: never) => void);

const SVG = 'http://www.w3.org/2000/svg';

function fill(element: Element, attributes: Record<string, Value>, children: Child[]): void {
    for (const [name, value] of Object.entries(attributes)) {
        if (typeof value === 'function')
            element.addEventListener(name.slice(2), value as EventListener);
        else if (value !== null && value !== undefined && value !== false)
            element.setAttribute(name, value === true ? '' : String(value));
    }
    append(element, children);
}

export function append(parent: Node, children: Child[]): void {
    for (const child of children) {
        if (Array.isArray(child))
            append(parent, child);
        else if (child !== null && child !== undefined && child !== false)
            parent.appendChild(child instanceof Node ? child : document.createTextNode(String(child)));
    }
}

export function h<K extends keyof HTMLElementTagNameMap>(name: K, attributes: Record<string, Value> = {}, ...children: Child[]):
    HTMLElementTagNameMap[K] {
    const element = document.createElement(name);
    fill(element, attributes, children);
    return element;
}

export function svg(name: string, attributes: Record<string, Value> = {}, ...children: Child[]): SVGElement {
    const element = document.createElementNS(SVG, name) as SVGElement;
    fill(element, attributes, children);
    return element;
}

// The policy allows no style attributes; properties set by the script are its own.
export function styled<T extends HTMLElement | SVGElement>(element: T, properties: Record<string, string>): T {
    for (const [name, value] of Object.entries(properties))
        element.style.setProperty(name, value);
    return element;
}

// Icons of one stroke, 20 by 20.
const PATHS: Record<string, string> = {
    overview: 'M3 16V9m5 7V4m5 12v-5m4 5V7',
    pages: 'M5 3h7l3 3v11H5zM12 3v3h3M8 10h4M8 13h4',
    retention: 'M3 4h4v4H3zM9 4h4v4H9zM3 10h4v4H3z',
    funnels: 'M3 4h14l-5 6v6l-4-2v-4z',
    features: 'M10 3l2 5 5 .4-4 3.4 1.3 5.200L10 14l-4.3 3 1.3-5.2-4-3.400L8 8z',
    goals: 'M5 17V3m0 1h9l-2 3 2 3H5',
    breakdowns: 'M3 5h14M3 10h9M3 15h5',
    outcomes: 'M4 16V4m0 12h12M7 12h.01M10 9h.01M13 6h.01M15 11h.01',
    insights: 'M3 14l4-5 3 3 6-8M12 4h4v4',
    privacy: 'M10 3l6 2v5c0 4-3 6-6 7-3-1-6-3-6-7V5z',
    pipeline: 'M3 10h3l2-6 4 12 2-6h3',
    live: 'M10 10h.01M6 6a5.6 5.6 0 000 8m8-8a5.6 5.6 0 010 8M3.5 3.500a9 9 0 000 13m13-13a9 9 0 010 13',
    info: 'M10 9v5M10 6.200h.01M10 2.500a7.5 7.5 0 100 15 7.5 7.5 0 000-15z',
    download: 'M10 3v9m-4-3l4 4 4-4M4 17h12',
    print: 'M6 7V3h8v4M6 14H4V8h12v6h-2M6 12h8v5H6z',
    link: 'M8 12l4-4M9 6l2-2a3.5 3.5 0 015 5l-2 2M11 14l-2 2a3.5 3.5 0 01-5-5l2-2',
    sun: 'M10 6.500a3.5 3.5 0 100 7 3.5 3.5 0 000-7zM10 2v1.500M10 16.500V18M2 10h1.500M16.5 10H18M4.3 4.300l1 1M14.7 14.700l1 1M4.3 15.700l1-1M14.7 5.300l1-1',
    moon: 'M16 12.500A6.5 6.5 0 017.5 4a6.5 6.5 0 108.5 8.500z',
    menu: 'M3 6h14M3 10h14M3 14h14',
    out: 'M8 4H4v12h4M12 6l4 4-4 4M16 10H8',
    check: 'M4 10.500l4 4 8-9',
};

export function icon(name: string): SVGElement {
    return svg('svg', {viewBox: '0 0 20 20', class: 'icon', 'aria-hidden': 'true', focusable: 'false'},
        svg('path', {d: PATHS[name] ?? PATHS.info}));
}
