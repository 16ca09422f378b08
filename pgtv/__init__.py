"""Operations toolkit for pg_tviews, the PostgreSQL extension of incrementally maintained views."""

__version__ = "0.1.0"
