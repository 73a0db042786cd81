"""The node agent: probes devices, keeps the link to the scheduler, has shims run shards."""
