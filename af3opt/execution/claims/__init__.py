"""Who works on what: claims on jobs, and leases on what is compiled."""
