"""What every room stands on: sessions, ids, clock, errors, events, secrets, HTTP, logs."""
