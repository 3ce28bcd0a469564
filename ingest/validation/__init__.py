"""Is a row right: cleaning, the rules of rows, and the fast path for rows in the usual form."""
