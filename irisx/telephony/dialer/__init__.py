"""Campaigns: contacts, when and how they may be called, and the dialler that calls them."""
