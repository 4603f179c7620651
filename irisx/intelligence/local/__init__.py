"""Models that run on this machine, in processes of their own."""
