"""The Grafana boards, one module each; generate.py writes them as JSON."""
