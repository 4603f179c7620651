"""The Event Socket room: wire format, safe commands, lasting connection, dispatch by call."""
