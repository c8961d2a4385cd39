// What the API answers, as api/openapi.yaml has it.
export type Period = 'day' | 'week' | 'month';
export type Interval = Period | 'rolling_7' | 'rolling_28' | 'rolling_30';
export type Reliability = 'exact' | 'high' | 'medium' | 'low' | 'suppressed';

export interface App {
    app: string;
    title: string;
    time_zone: string;
    preset: string;
    definition_version: number;
    linkable_days: number;
}

export interface Protection {
    kind: 'none' | 'threshold' | 'dp' | 'unreleased';
    preset: string;
    mechanism: string;
    unit: string | null;
    epsilon: number | null;
    delta: number | null;
    sigma2: string | null;
    rho: string | null;
    k: number;
}

export interface Reference {
    id: string;
    version: number;
}

export interface Definition extends Reference {
    kind: 'concept' | 'released' | 'computed';
    unit: string | null;
    text: string;
    released_numbers: string[];
}

export interface Funding {
    interval: Interval;
    funded: boolean;
    why: string | null;
    family: string;
}

export interface Item {
    name: string;
    title: string | null;
    funded: boolean;
    classes: string[] | null;
}

export interface Metric {
    metric: string;
    title?: string | null;
    definition: Reference;
    unit: string;
    text: string;
    intervals: Funding[];
    items: Item[];
    by: string[];
}

export interface Funnel {
    funnel: string;
    title: string | null;
    definition: Reference;
    steps: string[];
    window_days: number;
    intervals: Funding[];
}

export interface Tier {
    name: string;
    title: string | null;
    sessions_from: number;
}

export interface Outcome {
    outcome: string;
    title: string | null;
    definition: Reference;
    measure: string;
    unit: string;
    aggregate: string;
    tiers: Tier[];
    intervals: Funding[];
}

export interface Catalogue extends App {
    protection: Protection;
    explanation: string | null;
    metrics: Metric[];
    funnels: Funnel[];
    outcomes: Outcome[];
}

// A number with its bounds: a row, or one beside it.
export interface Bounded {
    value: number | null;
    low: number | null;
    high: number | null;
    reliability: Reliability;
    clamped?: boolean;
}

export interface Bin {
    from: number;
    to: number;
    users: number | null;
}

export interface Row extends Bounded {
    period?: string;
    cohort?: string;
    n?: number;
    item?: string;
    class?: string;
    from?: string;
    to?: string;
    step?: number;
    label?: string;
    tier?: string;
    share?: Bounded | null;
    count?: Bounded | null;
    from_previous?: Bounded | null;
    from_first?: Bounded | null;
    users?: Bounded | null;
    difference?: Bounded | null;
    distribution?: Bin[];
    audit_index?: number | null; // place of the leaf in the log; null: it has none yet
    audit_leaf: string;
    sealed_at: string;
}

export interface Series {
    app: string;
    metric: string;
    definition: Reference;
    interval: Interval;
    time_zone: string;
    unit: string;
    linkable_days: number;
    protection: Protection;
    notice: string | null;
    correlation?: string;
    window_days?: number;
    rows: Row[];
    next: string | null;
}

export interface Guarantee {
    rho: string;
    epsilon: number;
    delta: number;
}

export interface Guarantees {
    user_day: Guarantee;
    user_month: Guarantee;
    user_13_months: Guarantee;
}

export interface Refusal {
    family: string;
    item: string;
    interval: Interval;
    period: string;
    reason: string;
}

export interface BudgetMonth {
    month: string;
    preset: string;
    definition: number;
    k: number;
    protection: 'dp' | 'unprotected';
    rho_total: string | null;
    rho_reserved: string | null;
    used_ratio: number | null;
    guarantees: Guarantees | null;
    families: {family: string; text: string; status: string; releases: number; refused: number; rho: string | null}[];
    refused: Refusal[];
    population: {apps: number; protection: string; epsilon: number | null; delta: number | null};
}

export interface Budget {
    app: string;
    population: string;
    preset: string;
    protection: 'dp' | 'unprotected';
    plan: null | {
        k: number;
        guarantees: Guarantees;
        families: {family: string; text: string; funded: boolean; why: string | null; share: number;
            numbers: {metric: string; intervals: Interval[]; clamp: number; half_width: number; shown_from: number | null}[]}[];
    };
    months: BudgetMonth[];
    explanation: string;
}

export interface Step {
    period: string;
    value: number | null;
    expected: number;
    score: number | null;
    anomaly: boolean;
}

export interface Insight {
    metric: string;
    definition: Reference;
    interval: Period;
    unit: string;
    protection: Protection;
    explanation: string | null;
    trend: {level: number; slope: number; slope_percent: number | null} | null;
    season: number[] | null;
    noise_deviation: number | null;
    history_deviation: number | null;
    latest: Step | null;
    anomalies: Step[];
    forecast: {period: string; value: number; low: number; high: number}[];
}

export interface Insights {
    alarm_score: number;
    method: string;
    insights: Insight[];
}

export interface Note {
    id: string;
    day: string;
    text: string;
}

export interface Notes {
    app: string;
    time_zone: string;
    notes: Note[]; // ascending by day
}

export interface Check {
    status: 'pass' | 'warn' | 'fail';
    response_time_ms: number | null;
    message: string;
}

export interface Health {
    status: string;
    uptime_ms: number;
    timestamp: string;
    version: string;
    checks: Record<string, Check>;
}

export interface LiveEvent {
    id: number;
    received_at: string;
    ts: string;
    person: number;
    session: number | null;
    name: string;
    props: Record<string, string | number | boolean>;
    engaged_ms: number | null;
    view: boolean;
    goal: boolean;
}

export interface Live {
    test_app: string;
    lives_until: string;
    seen: {events: number; people: number; sessions: number};
    refused: {reason: string; kind: string; count: number; last_minute: string}[];
    events: LiveEvent[];
}
