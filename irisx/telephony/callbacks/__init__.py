"""Callbacks: a customer is called at a time that was promised, and connected with a queue."""
