"""Knowledge bases: what a tenant's answers rest on, searched by words and by meaning."""
