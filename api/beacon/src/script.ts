/* The beacon as a script of its own: options are the data attributes of its tag, and `throng` is what start() gives. */
import {start, type Options, type Throng} from './beacon';

(window as Window & {throng?: Throng}).throng = start((({src, dataset}: HTMLScriptElement) => ({
    ...(dataset as object as Options),
    events: new URL(dataset.events || 'events', src) as unknown as string,
    sources: JSON.parse(dataset.sources || 0 as never),
}))(document.currentScript as HTMLScriptElement));
