"""The SQLite database: its migrations, and one module for each family of tables."""
