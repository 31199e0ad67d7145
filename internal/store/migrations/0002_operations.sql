-- One row for each piece of work that takes longer than a moment.
CREATE TABLE operations (
  id          TEXT PRIMARY KEY, -- sorts by time
  kind        TEXT NOT NULL,
  target      TEXT NOT NULL,    -- the container's name
  state       TEXT NOT NULL,
  actor       TEXT NOT NULL,
  created_at  TEXT NOT NULL,
  started_at  TEXT,
  finished_at TEXT,
  from_image  TEXT NOT NULL DEFAULT '',
  to_image    TEXT NOT NULL DEFAULT '',
  from_digest TEXT NOT NULL DEFAULT '',
  to_digest   TEXT NOT NULL DEFAULT '',
  downtime_ms INTEGER NOT NULL DEFAULT 0,
  error       TEXT,             -- JSON: code, message, logs
  plan        TEXT              -- JSON: what recovery needs to know
) STRICT;
CREATE INDEX operations_by_target ON operations (target, id);
CREATE INDEX operations_by_state ON operations (state);

-- The journal: a step is written before it is done.
CREATE TABLE steps (
  operation   TEXT NOT NULL REFERENCES operations (id) ON DELETE CASCADE,
  n           INTEGER NOT NULL,
  name        TEXT NOT NULL,
  state       TEXT NOT NULL,
  started_at  TEXT NOT NULL,
  finished_at TEXT,
  detail      TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (operation, n)
) STRICT, WITHOUT ROWID;

-- Releases that failed here: promise 5.
CREATE TABLE quarantine (
  container TEXT NOT NULL, -- the container's name
  digest    TEXT NOT NULL,
  operation TEXT NOT NULL,
  since     TEXT NOT NULL,
  PRIMARY KEY (container, digest)
) STRICT, WITHOUT ROWID;

-- Users: the password as an argon2id string.
CREATE TABLE users (
  name          TEXT PRIMARY KEY,
  password_hash TEXT NOT NULL,
  role          TEXT NOT NULL,
  created_at    TEXT NOT NULL,
  changed_at    TEXT NOT NULL
) STRICT;

-- Sessions: a token counts only while its row does.
CREATE TABLE sessions (
  id           TEXT PRIMARY KEY,
  user         TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
  device       TEXT NOT NULL DEFAULT '',
  address      TEXT NOT NULL DEFAULT '',
  created_at   TEXT NOT NULL,
  last_used_at TEXT NOT NULL,
  expires_at   TEXT NOT NULL
) STRICT;
CREATE INDEX sessions_by_user ON sessions (user);
