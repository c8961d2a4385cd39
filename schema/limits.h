/*
 * Every bound that more than one program relies on, with its unit in its name.
 */
#ifndef THRONG_SCHEMA_LIMITS_H
#define THRONG_SCHEMA_LIMITS_H

#define PSEUDONYM_BYTES 16
#define RAW_ID_MAX_BYTES 256       /* a user or session id as the client sends it; at least 1 */
#define SOURCE_MIN_BYTES 16        /* characters of `source`, all of [A-Za-z0-9_-] */
#define SOURCE_MAX_BYTES 64
#define SEQ_MAX 9007199254740991LL /* 2^53 - 1: every JSON implementation carries it exactly */

#define NAME_MAX_BYTES 63 /* app, event, property, feature … names: [a-z][a-z0-9_]* (apps and populations also '-') */

#define APP_EVENTS_MAX 200
#define APP_ROUTES_MAX 500
#define APP_ORIGINS_MAX 50
#define EVENT_PROPS_MAX 32
#define ENUM_VALUES_MAX 200
#define DIMENSION_VALUES_MAX 50 /* of a dimension or path; the class behind them, with this number, is "other" */
#define DIMENSIONS_MAX 8
#define FEATURES_MAX 32
#define SEGMENTS_MAX 32
#define GOALS_MAX 50
#define FUNNELS_MAX 20
#define FUNNEL_STEPS_MAX 10
#define MEASURES_MAX 50
#define MEASURE_BINS_MAX 64 /* [0]: the least value; [i]: 2^(i-1) to below 2^i steps above it */
#define OUTCOMES_MAX 20
#define OUTCOME_TIERS_MAX 6
#define ENTITIES_MAX 8
#define PATHS_MAX 4

#define LINK_EPOCHS_MAX 4 /* how many passed epochs a packet may still name a user by */
#define NAMES_MAX (LINK_EPOCHS_MAX + 1)

#define SHARDS_DEFAULT 16
#define SHARDS_MAX 256

#define BODY_MAX_BYTES (64 * 1024)          /* a request with a write key */
#define BODY_TRUSTED_MAX_BYTES (1024 * 1024) /* a request with an ingest API key, or on the admin socket */
#define REQUEST_EVENTS_MAX 1000
#define ENTRY_MAX_BYTES (16 * 1024) /* one stream entry */

#define ENGAGED_MAX_MS (24u * 3600u * 1000u) /* engaged time one event may carry */
#define FUTURE_MAX_MS (5 * 60 * 1000)        /* a ts may lie this far after received_at */
#define CLOCK_OFFSET_MIN_MS (60 * 1000)      /* a client's offset below this counts as none */
#define SESSION_MAX_MS (24LL * 3600 * 1000)  /* a session is cut here */

/* Timestamps are milliseconds since 1970-01-01T00:00:00Z and lie in [TS_MIN_MS, TS_MAX_MS). */
#define TS_MIN_MS 0LL
#define TS_MAX_MS 4102444800000LL /* 2100-01-01 */

#endif
