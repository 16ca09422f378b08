"""What a definition reads, from its SQL text alone (PostgreSQL's own parser, through pglast)."""
