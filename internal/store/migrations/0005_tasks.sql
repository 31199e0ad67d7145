-- What an operation's command said, and what came of it.
ALTER TABLE operations ADD COLUMN output TEXT; -- JSON: its last lines
ALTER TABLE operations ADD COLUMN result TEXT; -- JSON: of its kind's own shape
