"""The ledger's tables, with a comment on each column, and the steps from one version of them to the next.

Version 1  the first release.
Version 2  what reconciling and budgets need to know of an attempt.
Version 3  how much of what happened each destination of notices has been told.
Version 4  what each job chains from, so that a ledger alone can tell who is blocked.

Money hangs on what is written here, so a commit is on disk before anybody acts on it: a rollback journal, kept and
wiped rather than deleted, which spares a write of the folder, and `synchronous=EXTRA`. WAL would be faster, but every
SQLite before 3.51.3 can lose committed writes in it.
"""

from __future__ import annotations

PRAGMAS = """
PRAGMA journal_mode = PERSIST;
PRAGMA synchronous = EXTRA;
PRAGMA foreign_keys = ON;
PRAGMA busy_timeout = 5000;
PRAGMA trusted_schema = OFF;
"""

VERSION_1 = """
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,                     -- 'account': the service it belongs to; 'lent', 'claim': see lending;
                                                -- 'remembered:DESTINATION': what a notifier wants to know again
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE entries (                          -- a job as it was asked for: one address, one fingerprint
    id          INTEGER PRIMARY KEY,
    address     TEXT NOT NULL,                  -- spec/job
    fingerprint TEXT NOT NULL,
    spec_path   TEXT NOT NULL,                  -- below the project root where possible
    provider    TEXT NOT NULL,
    model       TEXT NOT NULL,
    entered_at  REAL NOT NULL,                  -- epoch seconds, as every *_at
    wanted_at   REAL NOT NULL,                  -- when a run last asked for it
    moved_from  TEXT,                           -- the address that this entry had before
    unprepared  TEXT,                           -- why the job could not be prepared; null once it could
    UNIQUE (address, fingerprint)
);

CREATE TABLE attempts (                         -- an intention to create a task; at most one of an entry gets paid
    id              INTEGER PRIMARY KEY,
    entry           INTEGER NOT NULL REFERENCES entries (id),
    state           TEXT NOT NULL,              -- see rows.AttemptState
    prompt_key      TEXT NOT NULL,              -- digest of model and prompt as the service keeps them
    tries           INTEGER NOT NULL DEFAULT 1, -- how often the same create was sent, each time surely in vain before
    intended_at     REAL NOT NULL,              -- just before the POST of the latest try
    answered_at     REAL,                       -- when its answer, or the lack of one, was recorded
    request_id      TEXT,                       -- of the create
    task_id         TEXT UNIQUE,
    task_status     TEXT,                       -- as last seen
    started_at      REAL,                       -- the service began to work, by its own clock
    ended_at        REAL,                       -- the service ended, by its own clock
    usage           TEXT,                       -- JSON of types.Usage
    code            TEXT,                       -- of a refusal or failure
    message         TEXT,
    again           INTEGER NOT NULL DEFAULT 0, -- 1: failed or refused in a way that calls for another attempt
    etag            TEXT,                       -- of the result being downloaded, to go on with it later
    artifact_sha256 TEXT,
    artifact_bytes  INTEGER,
    artifact_suffix TEXT
);
CREATE INDEX attempts_by_entry ON attempts (entry);
CREATE INDEX attempts_by_state ON attempts (state);

CREATE TABLE deliveries (                       -- what became of one artifact at one destination
    entry           INTEGER NOT NULL REFERENCES entries (id),
    artifact_sha256 TEXT NOT NULL,
    options_digest  TEXT NOT NULL,              -- of kind, resolved options and place
    sink            TEXT NOT NULL,              -- its name in the spec
    address         TEXT NOT NULL,              -- of the entry when it was delivered; it may have moved since
    place           TEXT NOT NULL,
    state           TEXT NOT NULL,              -- delivered, lapsed, failed or conflict
    receipt         TEXT,                       -- JSON of the sink's own details
    message         TEXT,
    at              REAL NOT NULL,
    PRIMARY KEY (entry, artifact_sha256, options_digest)
) WITHOUT ROWID;
CREATE INDEX deliveries_by_place ON deliveries (place);

CREATE TABLE uploads (                          -- files in the service's temporary store
    key        TEXT NOT NULL,                   -- Identity.key of the bytes
    provider   TEXT NOT NULL,
    model      TEXT NOT NULL,                   -- an upload is bound to the model it was made for
    url        TEXT NOT NULL,
    expires_at REAL NOT NULL,
    PRIMARY KEY (key, provider, model)
) WITHOUT ROWID;

CREATE TABLE events (                           -- append-only
    id   INTEGER PRIMARY KEY,
    run  TEXT NOT NULL,
    at   REAL NOT NULL,
    name TEXT NOT NULL,
    job  TEXT,
    data TEXT NOT NULL                          -- JSON
);
"""

VERSION_2 = """
ALTER TABLE attempts ADD COLUMN asked TEXT;         -- JSON: what a task that the service shows can be compared with
ALTER TABLE attempts ADD COLUMN skew_seconds REAL;  -- the service's clock minus ours when the create left, if known
ALTER TABLE attempts ADD COLUMN evidence TEXT;      -- JSON: what was found of an unsure one; frozen when held
ALTER TABLE attempts ADD COLUMN reserved INTEGER;   -- what it may cost at most, set aside before the POST; millionths
ALTER TABLE attempts ADD COLUMN cost INTEGER;       -- what it did cost, by its usage; millionths, null until known
ALTER TABLE attempts ADD COLUMN currency TEXT;      -- of both, such as CNY
ALTER TABLE attempts ADD COLUMN provider TEXT;      -- where its create went; the entry's is that of its next one
UPDATE attempts SET provider = (SELECT provider FROM entries WHERE entries.id = attempts.entry);
"""

VERSION_3 = """
CREATE TABLE notices (                          -- who has been told how much of what happened
    destination TEXT NOT NULL,                  -- digest of the sink's kind and resolved options
    spec        TEXT NOT NULL,                  -- the name of one that it hears of
    told        INTEGER NOT NULL,               -- events.id up to which it has been told all
    stopped     INTEGER,                        -- exit code of the stop that it knows of; null: of none that lasts
    at          REAL NOT NULL,                  -- when it was told last, or first listened
    PRIMARY KEY (destination, spec)
) WITHOUT ROWID;
"""

VERSION_4 = """
ALTER TABLE entries ADD COLUMN chains_from TEXT;  -- JSON: addresses of the jobs it is made from; null: not known
"""

#: MIGRATIONS[n] turns version n into version n + 1; `PRAGMA user_version` says where a file stands.
MIGRATIONS = (VERSION_1, VERSION_2, VERSION_3, VERSION_4)
