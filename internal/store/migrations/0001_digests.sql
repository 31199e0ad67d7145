-- What a registry told about itself: JSON of the registry package's own.
CREATE TABLE registry_hosts (
  host  TEXT PRIMARY KEY,
  state TEXT NOT NULL,
  at    TEXT NOT NULL
) STRICT;

-- What a digest resolves to on a platform. Never changes, so it is never asked again.
CREATE TABLE resolutions (
  digest          TEXT NOT NULL,
  platform        TEXT NOT NULL,
  manifest_digest TEXT NOT NULL,
  config_digest   TEXT NOT NULL,
  at              TEXT NOT NULL,
  PRIMARY KEY (digest, platform)
) STRICT, WITHOUT ROWID;

-- Every digest that an image of this engine has been known by.
CREATE TABLE image_digests (
  image_id TEXT NOT NULL,
  platform TEXT NOT NULL,
  digest   TEXT NOT NULL,
  at       TEXT NOT NULL,
  PRIMARY KEY (image_id, platform, digest)
) STRICT, WITHOUT ROWID;

-- When a tag was first seen to name a digest: the age of a release.
CREATE TABLE releases (
  reference  TEXT NOT NULL,
  digest     TEXT NOT NULL,
  first_seen TEXT NOT NULL,
  PRIMARY KEY (reference, digest)
) STRICT, WITHOUT ROWID;
