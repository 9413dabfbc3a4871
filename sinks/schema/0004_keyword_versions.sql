-- What the sources asked their networks for, and when. Run by `roost migrate` in one transaction, once.

CREATE TABLE roost.keyword_versions (
    network   text        NOT NULL,
    source    text        NOT NULL,
    version   text        NOT NULL,
    contents  text        NOT NULL,
    number    bigint      NOT NULL,
    rule_id   text,
    rule      text,
    tag       text,
    keywords  text[]      NOT NULL DEFAULT '{}',
    languages text[]      NOT NULL DEFAULT '{}',
    began_at  timestamptz NOT NULL,
    ended_at  timestamptz,
    CONSTRAINT keyword_versions_key PRIMARY KEY (source, network, version, contents, number, began_at)
);
CREATE INDEX keyword_versions_began_at ON roost.keyword_versions (source, network, began_at);
CREATE INDEX keyword_versions_tag ON roost.keyword_versions (tag);

COMMENT ON TABLE roost.keyword_versions IS 'which keywords were in force when: a row for each rule of a version of a source''s list';
COMMENT ON COLUMN roost.keyword_versions.network IS 'x, bluesky, mastodon';
COMMENT ON COLUMN roost.keyword_versions.source IS 'the name of the [source] section';
COMMENT ON COLUMN roost.keyword_versions.version IS 'checksum of the list with its languages and switches, as in the tags of rules';
COMMENT ON COLUMN roost.keyword_versions.contents IS 'checksum of all rules with ids and tags: one version may stand on the server in several ways';
COMMENT ON COLUMN roost.keyword_versions.number IS 'of the row in its version; a rule of very many lines has several rows';
COMMENT ON COLUMN roost.keyword_versions.rule_id IS 'the network''s id of the rule (X v2)';
COMMENT ON COLUMN roost.keyword_versions.rule IS 'what the network was asked for: the rule (X v2) or the track list (X v1.1); null: nothing, these lines stand in no rule';
COMMENT ON COLUMN roost.keyword_versions.tag IS 'the rule''s tag, as in roost.posts.rules (X v2)';
COMMENT ON COLUMN roost.keyword_versions.keywords IS 'the lines of the list that the rule came from, as written';
COMMENT ON COLUMN roost.keyword_versions.languages IS 'the languages wanted; empty: all';
COMMENT ON COLUMN roost.keyword_versions.began_at IS 'from when posts were matched with it';
COMMENT ON COLUMN roost.keyword_versions.ended_at IS 'when another version took its place, or the source left the configuration; null: in force';
