// Operational metrics: the Prometheus text of /metrics/ops as samples.
export interface Sample {
    name: string;
    labels: Record<string, string>;
    value: number;
}

export function parseMetrics(text: string): Sample[] {
    const samples: Sample[] = [];
    for (const line of text.split('\n')) {
        const found = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})?\s+(\S+)/.exec(line);
        if (found === null || line.startsWith('#'))
            continue;
        const labels: Record<string, string> = {};
        for (const [, name, value] of (found[2] ?? '').matchAll(/([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g))
            labels[name] = value.replace(/\\(.)/g, '$1');
        samples.push({name: found[1], labels, value: Number(found[3])});
    }
    return samples;
}

export const sum = (samples: Sample[], name: string, labels: Record<string, string> = {}): number | null => {
    const matching = samples.filter(sample => sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value));
    return matching.length === 0 ? null : matching.reduce((total, sample) => total + sample.value, 0);
};

export const greatest = (samples: Sample[], name: string): number | null => {
    const matching = samples.filter(sample => sample.name === name);
    return matching.length === 0 ? null : Math.max(...matching.map(sample => sample.value));
};
