-- Images that containers ran before, and can be rolled back to.
CREATE TABLE kept (
  container     TEXT NOT NULL,            -- the container's name
  image_id      TEXT NOT NULL,
  reference     TEXT NOT NULL,            -- what the container was made from
  digest        TEXT NOT NULL DEFAULT '', -- what a registry knows the image by; empty: it can't be pulled again
  old_container TEXT NOT NULL DEFAULT '', -- the old container's id, if that was left, too
  operation     TEXT NOT NULL,            -- that replaced it
  at            TEXT NOT NULL,
  PRIMARY KEY (container, image_id)
) STRICT, WITHOUT ROWID;
