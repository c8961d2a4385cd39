-- After a restore the aggregator's books may be older than the log, to which the sequencer gives back what the database lacks: so
-- it asks the log itself what of the days' ingestion is told.
SET ROLE throng_audit_owner;

-- What the log has of days from `since` on: the app's name and the day. One row of nulls: it is not known yet, as the start of a
-- daemon has no place in the log so far, and the sequencer gives back before it gives places.
CREATE FUNCTION audit.ingestion_told(since date) RETURNS TABLE (tenant text, day date)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    (SELECT NULL::text, NULL::date FROM audit.pending AS p JOIN audit.outbox AS o USING (id) WHERE o.act = 'daemon_started' LIMIT 1)
    UNION ALL
    SELECT e.tenant, (convert_from(o.leaf, 'UTF8')::jsonb->'data'->>'day')::date
    FROM audit.entry AS e JOIN audit.outbox AS o USING (id)
    WHERE e.act = 'ingestion' AND e.at >= since::timestamp AT TIME ZONE 'UTC' AND o.leaf IS NOT NULL -- not pruned
$$;
REVOKE ALL ON FUNCTION audit.ingestion_told(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit.ingestion_told(date) TO throng_state;

RESET ROLE;
