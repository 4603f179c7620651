"""Tenants and what belongs to them: users, API keys, numbers, carriers, features, audit."""
