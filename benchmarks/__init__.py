"""Measurements that stay in the repository: `python -m benchmarks [NAME]`. See __main__.py."""
