"""IVR flows: what an administrator writes as JSON, and what runs it on a call or without one."""
