"""The wallboard: what goes on in a tenant's queues, and alerts when it is too much."""
