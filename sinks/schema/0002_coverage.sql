-- What the sources' ledgers add up to. Run by `roost migrate` in one transaction, once.

-- Per source and hour (UTC): how much of it was heard. Known to be heard is what the `count` events say (each minute of
-- a stream, and at its end); known not to be is what roost.gaps says; a second that both name was not heard. The rest of
-- the hour, and every hour that is not here, is unknown: before the first connection, after the last sign of life, in an
-- outage that is not over yet. Ranges are joined before they are measured, so that nothing is counted twice.
CREATE VIEW roost.coverage AS
WITH heard AS (
    SELECT source, range_agg(tstzrange((body ->> 'from')::timestamptz, (body ->> 'to')::timestamptz)) AS ranges
    FROM roost.events
    WHERE kind = 'count' AND source IS NOT NULL
      AND (body ->> 'from')::timestamptz < (body ->> 'to')::timestamptz
    GROUP BY source
), missed AS (
    SELECT source, range_agg(tstzrange(started_at, ended_at)) AS ranges
    FROM roost.gaps
    WHERE started_at < ended_at AND cause NOT IN ('limit', 'corrupt', 'spool', 'spool_full')
    GROUP BY source
), known AS (
    SELECT source, coalesce(heard.ranges, '{}') AS heard, coalesce(missed.ranges, '{}') AS missed
    FROM heard FULL JOIN missed USING (source)
), hours AS (
    SELECT known.source, hour, tstzmultirange(tstzrange(hour, hour + interval '1 hour')) AS whole, known.heard, known.missed
    FROM known, unnest(known.heard + known.missed) AS span,
         generate_series(date_trunc('hour', lower(span), 'UTC'), upper(span), interval '1 hour') AS hour
    GROUP BY known.source, hour, known.heard, known.missed
), seconds AS (
    SELECT source, hour,
           (SELECT coalesce(sum(extract(epoch FROM upper(r) - lower(r))), 0) FROM unnest(whole * (heard - missed)) AS r) AS covered_seconds,
           (SELECT coalesce(sum(extract(epoch FROM upper(r) - lower(r))), 0) FROM unnest(whole * missed) AS r) AS gap_seconds
    FROM hours
), undelivered AS (
    SELECT source, date_trunc('hour', ended_at, 'UTC') AS hour, sum(undelivered) AS undelivered
    FROM roost.gaps
    WHERE undelivered IS NOT NULL AND ended_at IS NOT NULL
    GROUP BY 1, 2
)
SELECT source, hour,
       coalesce(covered_seconds, 0) AS covered_seconds,
       coalesce(gap_seconds, 0) AS gap_seconds,
       3600 - coalesce(covered_seconds, 0) - coalesce(gap_seconds, 0) AS unknown_seconds,
       coalesce(undelivered, 0)::bigint AS undelivered
FROM (SELECT * FROM seconds WHERE covered_seconds > 0 OR gap_seconds > 0) AS s FULL JOIN undelivered USING (source, hour);

COMMENT ON VIEW roost.coverage IS 'per source and hour (UTC): seconds heard, seconds missed, seconds nobody knows of, posts left out';
COMMENT ON COLUMN roost.coverage.covered_seconds IS 'the source was connected and nothing says that it was not heard';
COMMENT ON COLUMN roost.coverage.gap_seconds IS 'in an outage: roost.gaps says why';
COMMENT ON COLUMN roost.coverage.unknown_seconds IS 'the rest of the hour, also what lies in the future';
COMMENT ON COLUMN roost.coverage.undelivered IS 'posts and frames that roost.gaps counts as lost, in the hour in which that became known';
CREATE INDEX events_kind ON roost.events (kind, source);
