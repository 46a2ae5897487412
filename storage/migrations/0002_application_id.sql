-- Whose file this is, so that another program's is told from it: "BxGw" in ASCII.
PRAGMA application_id = 1115178871;
