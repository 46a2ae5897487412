"""What the gateway remembers: SQLite, its migrations, and one family of tables a module."""
