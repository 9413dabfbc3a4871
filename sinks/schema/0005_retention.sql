-- What `keep` has removed, so that what is left can still be recounted. Run by `roost migrate` in one transaction, once.

-- A constant default: the table is not rewritten, and an older roost goes on writing without the column.
ALTER TABLE roost.batches ADD COLUMN expired bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN roost.batches.expired IS 'of loaded: how many were removed from roost.posts since, because they were older than keep';

-- At most one row. Who reads posts and batches as one picture (roost audit) locks this table in ACCESS SHARE mode, and no
-- month is taken away meanwhile.
CREATE TABLE roost.retention (
    one            boolean     PRIMARY KEY DEFAULT true CHECK (one),
    posts_before   timestamptz NOT NULL,
    batches_before timestamptz NOT NULL,
    last_batch     bigint      NOT NULL DEFAULT 0
);
COMMENT ON TABLE roost.retention IS 'what was removed because it was older than keep; no row: nothing was';
COMMENT ON COLUMN roost.retention.posts_before IS 'posts created before this are gone, or going';
COMMENT ON COLUMN roost.retention.batches_before IS 'the same of batches whose batch_time is before this, with their events and rejects';
COMMENT ON COLUMN roost.retention.last_batch IS 'the highest id of a batch that was removed';
