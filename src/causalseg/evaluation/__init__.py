"""Metrics, statistics, controls and reports."""
