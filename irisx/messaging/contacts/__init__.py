"""Contacts: kept, merged, imported, listed, asked for consent, exported and erased."""
