"""Supervisors on live calls: who listens, whispers, joins in or takes over."""
