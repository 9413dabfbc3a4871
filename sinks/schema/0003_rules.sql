-- Which of the network's own rules a post came through (X v2). Run by `roost migrate` in one transaction, once.

-- A constant default: no table is rewritten, and rows that are there have the empty list.
ALTER TABLE roost.posts ADD COLUMN rules text[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN roost.posts.rules IS 'X v2: the rules that the post came through, by tag, or by id where a rule has no tag';

-- SELECT * means the columns of the day on which a view was made.
CREATE OR REPLACE VIEW roost.tweets AS
    SELECT * FROM roost.posts WHERE network = 'x' AND deleted_at IS NULL;
