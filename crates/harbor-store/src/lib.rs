//! SQLite: migrations, typed queries, the stream of committed changes.
