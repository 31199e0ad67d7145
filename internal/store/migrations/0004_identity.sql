-- The contract calls the role so.
UPDATE users SET role = 'admin' WHERE role = 'administrator';
ALTER TABLE users ADD COLUMN handle BLOB;                      -- WebAuthn's user handle; NULL until it is needed
ALTER TABLE users ADD COLUMN factor TEXT NOT NULL DEFAULT '';  -- the method used last: otp, webauthn

-- A temporary session is a password that was right, and waits for its second factor.
ALTER TABLE sessions ADD COLUMN temporary INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN verified INTEGER NOT NULL DEFAULT 0; -- a second factor was given
ALTER TABLE sessions ADD COLUMN elevated_until TEXT;                 -- how long the last proof counts as fresh

-- Tokens for programs. The token itself is shown once and known to its owner alone.
CREATE TABLE api_tokens (
  id           TEXT PRIMARY KEY,
  user         TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
  name         TEXT NOT NULL,
  scope        TEXT NOT NULL,        -- read, operate, admin
  hash         BLOB NOT NULL UNIQUE, -- SHA-256
  created_at   TEXT NOT NULL,
  last_used_at TEXT,
  expires_at   TEXT                  -- NULL: never
) STRICT;
CREATE INDEX api_tokens_by_user ON api_tokens (user);

-- Devices that have signed in before, and so have guesses of their own.
CREATE TABLE devices (
  hash         BLOB PRIMARY KEY,     -- SHA-256 of what the device keeps
  user         TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
  created_at   TEXT NOT NULL,
  last_used_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX devices_by_user ON devices (user);

-- Failed guesses, by what they were about and who made them.
CREATE TABLE guesses (
  kind     TEXT NOT NULL,
  name     TEXT NOT NULL,
  failures INTEGER NOT NULL,
  last_at  TEXT NOT NULL,
  until    TEXT NOT NULL,            -- no guess before
  PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;

-- Second factors.
CREATE TABLE totp (
  user         TEXT PRIMARY KEY REFERENCES users (name) ON DELETE CASCADE,
  secret       BLOB NOT NULL,
  last_step    INTEGER NOT NULL,     -- the time step accepted last; one at or below it is refused
  created_at   TEXT NOT NULL,
  last_used_at TEXT
) STRICT;
CREATE TABLE passkeys (
  id            TEXT PRIMARY KEY,
  user          TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
  rpid          TEXT NOT NULL,
  credential_id BLOB NOT NULL UNIQUE,
  name          TEXT NOT NULL,
  credential    TEXT NOT NULL,       -- JSON of the WebAuthn library
  sign_count    INTEGER NOT NULL,
  created_at    TEXT NOT NULL,
  last_used_at  TEXT
) STRICT;
CREATE INDEX passkeys_by_user ON passkeys (user);
CREATE TABLE recovery_codes (
  user TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
  hash BLOB NOT NULL,                -- SHA-256
  PRIMARY KEY (user, hash)
) STRICT, WITHOUT ROWID;
-- Whose factors were taken over from the configuration file: once, and never again.
CREATE TABLE factor_imports (
  user TEXT PRIMARY KEY,
  at   TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Who did what. Names of users that are gone stay.
CREATE TABLE audit (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  at      TEXT NOT NULL,
  user    TEXT NOT NULL,             -- "" for nobody known
  address TEXT NOT NULL,
  via     TEXT NOT NULL,             -- session, token and its name, command line, schedule
  action  TEXT NOT NULL,
  target  TEXT NOT NULL,
  result  TEXT NOT NULL,             -- ok, refused, failed
  detail  TEXT NOT NULL              -- the problem's code, or what else there is to say
) STRICT;
CREATE INDEX audit_by_user ON audit (user, id);
CREATE INDEX audit_by_action ON audit (action, id);
