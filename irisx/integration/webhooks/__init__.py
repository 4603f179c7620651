"""Webhooks: a tenant's events, posted to URLs that it chose, signed, retried and logged."""
