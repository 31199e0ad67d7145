-- What the files of Compose projects held.
CREATE TABLE compose_versions (
  id      INTEGER PRIMARY KEY,
  folder  TEXT NOT NULL,    -- the project's, absolute
  n       INTEGER NOT NULL, -- counts within the folder
  name    TEXT NOT NULL,    -- relative to the folder
  at      TEXT NOT NULL,
  actor   TEXT NOT NULL,    -- empty: it was found on disk
  etag    TEXT NOT NULL,
  size    INTEGER NOT NULL,
  content BLOB NOT NULL,
  UNIQUE (folder, n)
) STRICT;
CREATE INDEX compose_versions_by_name ON compose_versions (folder, name, n);
